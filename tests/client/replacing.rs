//! A connection in whose place another one is made: what its server still says is not about the new one.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use callmq::client::{self as mqtt, ConnectOptions, Stream, Waker};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::support::{PATIENCE, Peer};

/// What all connections to the old server share with the test.
#[derive(Default)]
struct Link {
    /// The last words are due, and then the end.
    is_over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A connection to the old server.
struct OldServer {
    /// What it says at once, and then nothing more, until the link is over.
    first_words: Mutex<Vec<u8>>,
    last_words: Mutex<Vec<u8>>,
    link: Arc<Link>,
    /// Told when it is read and says nothing.
    silent: Option<Sender<()>>,
}

impl Stream for OldServer {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_over = self.link.is_over.load(Ordering::SeqCst);
        let mut words = std::mem::take(&mut *self.first_words.lock().unwrap());
        if words.is_empty() && is_over {
            words = std::mem::take(&mut *self.last_words.lock().unwrap());
        }
        if words.is_empty() && !is_over {
            if let Some(silent) = &self.silent {
                let _ = silent.send(());
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..words.len()].copy_from_slice(&words);
        Ok(words.len())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_waker(&self, waker: Waker) {
        *self.link.waker.lock().unwrap() = Some(waker);
    }
}

/// Ends the link when it is dropped, and waits until the client has let go of the connection.
struct Ender {
    link: Arc<Link>,
    closed: Receiver<()>,
}

impl Drop for Ender {
    fn drop(&mut self) {
        self.link.is_over.store(true, Ordering::SeqCst);
        if let Some(waker) = &*self.link.waker.lock().unwrap() {
            waker.wake();
        }
        let _ = self.closed.recv_timeout(PATIENCE);
    }
}

/// A refusal of MQTT 5.0, in the words of 3.1.1, or of 3.1.1.
const VERSION_REFUSED: &[u8] = b"\x20\x02\x00\x01";

/// CONNACK of MQTT 5.0 with "Server moved", and a Server Reference.
fn moved_to(peer: &Peer) -> Vec<u8> {
    let reference = format!("127.0.0.1:{:05}", peer.port());
    [&b"\x20\x15\x00\x9d\x12\x1c\x00\x0f"[..], reference.as_bytes()].concat()
}

/// `connect` stores where to connect to and forgets what the servers before have said; the options that it replaces go
/// then, and the last words come in that moment.
#[test]
fn the_last_words_of_the_old_server_do_not_count_for_the_new_one() {
    let elsewhere = Peer::listen();
    for (case, first_words, last_words) in [
        ("one of 3.1.1 hangs up", VERSION_REFUSED, Vec::new()),
        (
            "one of 3.1.1 is refused",
            VERSION_REFUSED,
            VERSION_REFUSED.to_vec(),
        ),
        ("one of 5.0 is refused", b"", VERSION_REFUSED.to_vec()),
        ("it leads elsewhere", b"", moved_to(&elsewhere)),
    ] {
        let client = mqtt::Client::builder("c")
            .protocol(mqtt::MQTTv5)
            .fallback(true)
            .build();
        client.on_redirect(|_, _| true);
        let (closing, closed) = unbounded();
        client.on_socket_close(move |_, _| {
            let _ = closing.send(());
        });
        let (silent, silence) = unbounded();
        let link = Arc::new(Link::default());
        let ender = Ender {
            link: Arc::clone(&link),
            closed: closed.clone(),
        };
        let first_words = Mutex::new(first_words.to_vec());
        let options = ConnectOptions::connector(move || {
            // The first connection has them, and another one follows; of that the test hears.
            let first_words = std::mem::take(&mut *first_words.lock().unwrap());
            Ok(Arc::new(OldServer {
                silent: first_words.is_empty().then(|| silent.clone()),
                first_words: Mutex::new(first_words),
                last_words: Mutex::new(last_words.clone()),
                link: Arc::clone(&ender.link),
            }))
        });
        client.loop_start().unwrap();
        client.connect(options).unwrap();
        silence.recv_timeout(PATIENCE).unwrap();
        while closed.try_recv().is_ok() {}
        client.reconnect_delay_set(600, 600).unwrap();

        let peer = Peer::listen();
        client.connect(peer.address()).unwrap();
        let mut connection = peer.accept();
        let connect = connection.expect_packet(0x10);
        assert_eq!(connect[8], 5, "{case}: {connect:02x?}");
        assert!(link.is_over.load(Ordering::SeqCst));
        connection.send(b"\x20\x03\x00\x00\x00");
        client.wait_for_connect(PATIENCE).unwrap();
        client.loop_stop().unwrap();
    }
}
