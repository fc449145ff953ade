//! What the attacks share.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, DisconnectReason};
use crossbeam_channel::{Receiver, Sender, unbounded};

/// Long enough for anything that is not a hang, also on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(8);

/// `loop_stop`, `disconnect` and the like take less than this in every state.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own; panics if it does not return in time.
#[track_caller]
pub(crate) fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = sender.send(work());
    });
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs: not done after {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!(),
        },
    }
}

/// What no run may exceed, on however busy a machine: something else was waited for.
const FAR_TOO_LONG: Duration = Duration::from_secs(1);

/// How long the fastest of a few runs takes: a busy machine does not slow them all down, and none of them for as long as a
/// time-out of the client would. `run` measures by itself.
#[track_caller]
pub(crate) fn fastest(mut run: impl FnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let taken = run();
        assert!(taken < FAR_TOO_LONG, "{taken:?}");
        best = best.min(taken);
        if best < AT_ONCE {
            break;
        }
    }
    best
}

/// How long `work` takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Lets a test know that a callback was reached.
pub(crate) fn tell(sender: &Sender<()>) {
    let _ = sender.try_send(());
}

/// The ends of connections that `on_disconnect` is told, with what `is_connected` says there.
pub(crate) fn ends(client: &Client) -> Receiver<(DisconnectReason, bool)> {
    let (sender, receiver) = unbounded();
    client.on_disconnect(move |client, flags, _, _| {
        let _ = sender.send((flags.reason, client.is_connected()));
    });
    receiver
}

/// Payloads that `on_message` gets.
pub(crate) fn messages(client: &Client) -> Receiver<Vec<u8>> {
    let (sender, receiver) = unbounded();
    client.on_message(move |_, message| {
        let _ = sender.send(message.payload.to_vec());
    });
    receiver
}

/// A PUBLISH of QoS 0 to topic `t`.
pub(crate) fn publish(payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[b"\x00\x01t", payload].concat())
}

/// A packet of this first byte.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// A port where attempts to connect neither succeed nor fail: its queue is full.
pub(crate) struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
        }
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }

    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.address.port())
    }
}

/// A port where nobody listens, and nobody else will.
pub(crate) fn dead_port() -> (&'static str, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    // Kept for as long as the tests run.
    std::mem::forget(socket);
    ("127.0.0.1", port)
}
