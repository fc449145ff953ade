//! Connections over unix sockets.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use callmq::client as mqtt;
use callmq::testing::Broker;

use crate::support::{Events, PATIENCE, listen};

/// A folder for a socket, which is gone when the value is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("callmq-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Passes connections to the socket on to the broker, until the process ends.
fn relay(folder: &Folder, broker: &Broker) -> PathBuf {
    let path = folder.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let address = broker.address();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = std::net::TcpStream::connect(address).unwrap();
            let (mut to_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let (mut from_client, mut from_server) = (client, server);
            thread::spawn(move || {
                let _ = io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Write);
            });
            thread::spawn(move || {
                let _ = io::copy(&mut from_server, &mut to_client);
                let _ = to_client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    path
}

#[test]
fn messages_of_every_size_go_both_ways() {
    let (folder, broker) = (Folder::new("both-ways"), listen());
    let path = relay(&folder, &broker);
    for target in [
        mqtt::ConnectOptions::unix(&path),
        format!("unix://{}", path.display()).parse().unwrap(),
        path.to_str().unwrap().parse().unwrap(),
    ] {
        let client = mqtt::Client::new("unix");
        let received = Events::new();
        let report = received.sink();
        client.on_message(move |_, message| report((message.payload.len(), message.qos)));
        client.loop_start().unwrap();
        client.connect_and_wait(target, PATIENCE).unwrap();
        let socket = client.socket().unwrap();
        assert_eq!((socket.peer_addr(), socket.local_addr()), (None, None));
        assert!(socket.raw_fd().is_some());
        client.subscribe(("t", 2)).unwrap().wait(PATIENCE).unwrap();
        for (size, qos) in [(0, 0), (1, 1), (100_000, 2), (5_000_000, 2)] {
            client
                .publish_with("t", vec![7; size], qos, false)
                .unwrap()
                .wait_for_publish(PATIENCE)
                .unwrap();
            assert_eq!(received.next(), (size, mqtt::QoS::try_from(qos as u8).unwrap()));
        }
        client.disconnect().unwrap();
        client.loop_stop().unwrap();
    }
}

#[test]
fn without_a_server_the_error_names_the_path() {
    let folder = Folder::new("missing");
    let client = mqtt::Client::new("unix");
    let error = client
        .connect(mqtt::ConnectOptions::unix(folder.socket()))
        .unwrap_err();
    let mqtt::Error::Io(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error.to_string().contains(folder.socket().to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn a_server_that_does_not_accept_is_given_up_in_time() {
    let folder = Folder::new("full");
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let mut queued = Vec::new();
    // The first that would have to wait shows that the queue is full.
    loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&socket2::SockAddr::unix(folder.socket()).unwrap()) {
            Ok(()) => queued.push(UnixStream::from(socket)),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break;
            }
        }
    }
    let started = Instant::now();
    let client = mqtt::Client::new("unix");
    let options = mqtt::ConnectOptions::unix(folder.socket()).connect_timeout(0.05);
    let error = client.connect(options).unwrap_err();
    assert!(
        matches!(&error, mqtt::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut),
        "{error:?}"
    );
    assert!(started.elapsed() >= Duration::from_millis(50));
    drop((listener, queued));
}

#[test]
fn the_transport_unix_takes_paths_only() {
    let client = mqtt::Client::builder("unix")
        .transport(mqtt::Transport::Unix)
        .build();
    let error = client.connect("localhost").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid host: must be the path of a unix socket"
    );
    let error = client.connect("/nowhere/at/all").unwrap_err();
    assert!(matches!(error, mqtt::Error::Io(_)), "{error:?}");
}
