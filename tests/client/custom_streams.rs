//! Streams of the user's own: what becomes of them, and of messages, when a connection ends.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use callmq::client as mqtt;
use crossbeam_channel::{Receiver, Sender, unbounded};
use mqtt::{ConnectOptions, Error, OfflineQueue, Stream, Waker, WeakClient};

use crate::support::{CONNACK, Events, PATIENCE};

/// A stream on which nothing comes, and which asks its client something when it is dropped.
struct Asking {
    client: WeakClient,
    read: Sender<()>,
    answers: Sender<u16>,
}

impl Stream for Asking {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        let _ = self.read.send(());
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_waker(&self, _: Waker) {}
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(client) = self.client.upgrade() {
            let _ = self.answers.send(client.keepalive());
        }
    }
}

/// Where a client gets such streams from, and what is heard of them.
struct Source {
    options: ConnectOptions,
    reads: Receiver<()>,
    answers: Receiver<u16>,
}

fn source(client: &mqtt::Client, opened: impl Fn(&mqtt::Client) + Send + Sync + 'static) -> Source {
    let (read, reads) = unbounded();
    let (sender, answers) = unbounded();
    let client = client.downgrade();
    let options = ConnectOptions::connector(move || {
        opened(&client.upgrade().unwrap());
        Ok(Arc::new(Asking {
            client: client.clone(),
            read: read.clone(),
            answers: sender.clone(),
        }))
    });
    Source {
        options,
        reads,
        answers,
    }
}

#[track_caller]
fn expect_dropped(source: &Source) {
    let answer = source.answers.recv_timeout(PATIENCE);
    assert_eq!(answer, Ok(60), "the stream cannot call its client");
}

#[test]
fn one_that_comes_too_late_may_call_the_client_when_it_is_dropped() {
    let client = mqtt::Client::new("late");
    let source = source(&client, |client| assert!(client.disconnect().is_err()));
    let options = source.options.clone();
    let connecting = thread::spawn(move || client.connect(options));
    expect_dropped(&source);
    assert!(matches!(connecting.join().unwrap(), Err(Error::NotConnected)));
}

#[test]
fn one_that_was_turned_to_before_it_was_given_up_may_call_the_client_when_it_is_dropped() {
    let client = mqtt::Client::new("given-up");
    let source = source(&client, |_| {});
    let (options, reads) = (source.options.clone(), source.reads.clone());
    let (open, opened) = unbounded();
    client.on_socket_open(move |client, _| {
        open.send(()).unwrap();
        // The other thread has turned to it.
        reads.recv_timeout(PATIENCE).unwrap();
        assert!(client.disconnect().is_err());
    });
    let stepping = thread::spawn({
        let client = client.clone();
        move || {
            opened.recv_timeout(PATIENCE).unwrap();
            client.loop_once(PATIENCE)
        }
    });
    let connecting = thread::spawn(move || client.connect(options));
    expect_dropped(&source);
    assert!(connecting.join().unwrap().is_err());
    stepping.join().unwrap().unwrap();
}

#[test]
fn reinitialise_drops_each_of_them_without_the_lock_also_one_that_a_callback_has_opened() {
    let client = mqtt::Client::new("old");
    let first = source(&client, |_| {});
    let second = source(&client, |_| {});
    client.connect(first.options.clone()).unwrap();
    let (options, again) = (second.options.clone(), AtomicBool::new(true));
    client.on_socket_close(move |client, _| {
        if again.swap(false, Ordering::SeqCst) {
            client.connect(options.clone()).unwrap();
        }
    });
    let beginning = thread::spawn({
        let client = client.clone();
        move || client.reinitialise("new", true)
    });
    expect_dropped(&first);
    expect_dropped(&second);
    beginning.join().unwrap().unwrap();
    assert!(client.socket().is_none());
    assert!(matches!(client.loop_once(0), Err(Error::NotConnected)));
}

/// The connection of a peer that takes a message and closes at once. `write` comes back only when the end of the
/// connection has been told, or after a while.
struct Hasty {
    told: Receiver<()>,
    arrived: Mutex<Arrived>,
    waker: Mutex<Option<Waker>>,
}

#[derive(Clone, Copy)]
enum Arrived {
    Nothing,
    Connack,
    End,
}

impl Hasty {
    fn arrive(&self, what: Arrived) {
        *self.arrived.lock().unwrap() = what;
        let waker = self.waker.lock().unwrap().clone();
        waker.unwrap().wake();
    }
}

impl Stream for Hasty {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut arrived = self.arrived.lock().unwrap();
        match *arrived {
            Arrived::Nothing => Err(ErrorKind::WouldBlock.into()),
            Arrived::Connack => {
                *arrived = Arrived::Nothing;
                buffer[..CONNACK.len()].copy_from_slice(CONNACK);
                Ok(CONNACK.len())
            }
            Arrived::End => Ok(0),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match bytes[0] >> 4 {
            1 => self.arrive(Arrived::Connack),
            3 => {
                self.arrive(Arrived::End);
                let _ = self.told.recv_timeout(Duration::from_millis(50));
            }
            _ => {}
        }
        Ok(bytes.len())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_waker(&self, waker: Waker) {
        *self.waker.lock().unwrap() = Some(waker);
    }
}

#[test]
fn a_message_counts_as_sent_also_when_the_peer_closes_before_write_comes_back() {
    for keep_qos0 in [false, true] {
        let queue = OfflineQueue {
            keep_qos0,
            ..OfflineQueue::default()
        };
        let client = mqtt::Client::builder("hasty").offline_queue(queue).build();
        client.reconnect_if(|_, _, _| false);
        let (tell, told) = unbounded();
        let ends = Events::new();
        let report = ends.sink();
        client.on_disconnect(move |_, _, _, _| {
            let _ = tell.send(());
            report(());
        });
        let connector = ConnectOptions::connector(move || {
            Ok(Arc::new(Hasty {
                told: told.clone(),
                arrived: Mutex::new(Arrived::Nothing),
                waker: Mutex::default(),
            }))
        });
        client.loop_start().unwrap();
        client.connect(connector).unwrap();
        client.wait_for_connect(PATIENCE).unwrap();
        let info = client.publish("t", "x").unwrap();
        ends.next();
        assert!(info.is_published(), "{:?}", info.delivery());
    }
}
