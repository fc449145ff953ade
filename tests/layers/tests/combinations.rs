//! Ways to the server and layers over them, in every combination.
#![cfg(unix)]

#[path = "../../support/proxies.rs"]
mod proxies;

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use callmq::client as mqtt;
use callmq::testing::Broker;
use layers::certificates::Authority;
use layers::front::{Front, Settings};
use layers::websocket::{Frames, WebFront};
use layers::{Folder, PATIENCE};
use proxies::Proxy;

/// Sends messages to itself: small ones and large ones, with every QoS, while others come in.
fn exchange(client: &mqtt::Client, target: impl mqtt::IntoConnect) {
    let (sender, messages) = mpsc::channel();
    client.on_message(move |_, message| drop(sender.send(message.clone())));
    client.loop_start().unwrap();
    client.connect_and_wait(target, PATIENCE).unwrap();
    client.subscribe(("t/#", 2)).unwrap().wait(PATIENCE).unwrap();
    let sizes = [1, 70_000, 5_000_000, 0, 5_000_000];
    for (number, size) in sizes.into_iter().enumerate() {
        let payload = vec![number as u8; size];
        client
            .publish_with(format!("t/{number}"), payload, (number % 3) as u8, false)
            .unwrap();
    }
    for _ in sizes {
        let message = messages.recv_timeout(PATIENCE).unwrap();
        let number: usize = message.topic.strip_prefix("t/").unwrap().parse().unwrap();
        assert_eq!(message.payload.len(), sizes[number]);
        assert!(message.payload.iter().all(|&byte| usize::from(byte) == number));
    }
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

#[test]
fn directly_and_through_proxies_with_and_without_tls_and_websocket() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let web = WebFront::new(broker.address(), Frames::AsTheyCome);
    // Only the proxies know where that name leads.
    let identity = authority.issue(&["broker.invalid", "127.0.0.1"]);
    let settings = Settings::new(identity);
    let front = Front::new(&broker, settings.clone());
    let both = Front::before(web.address(), settings);
    for (scheme, end) in [
        ("mqtt", broker.address()),
        ("mqtts", front.address()),
        ("ws", web.address()),
        ("wss", both.address()),
    ] {
        let (http, socks5) = (Proxy::http(end), Proxy::socks5(end, Some(("me", "secret"))));
        let named = format!("{scheme}://broker.invalid:7");
        for (proxy, target) in [
            (mqtt::Proxy::none(), format!("{scheme}://{end}")),
            (http.url("http").parse().unwrap(), named.clone()),
            (
                format!("socks5h://me:secret@{}", socks5.address).parse().unwrap(),
                named.clone(),
            ),
        ] {
            let client = mqtt::Client::new("combined");
            if scheme.ends_with('s') && scheme != "ws" {
                client
                    .tls_set(mqtt::TlsOptions::new().ca_pem(authority.pem.as_str()))
                    .unwrap();
            }
            client.proxy_set(&proxy).unwrap();
            exchange(&client, target.as_str());
            println!("{target} through {proxy}");
        }
        assert!(http.asked().starts_with("CONNECT broker.invalid:7 "));
        assert_eq!(socks5.asked(), "me@broker.invalid:7");
    }
}

#[test]
fn a_name_behind_a_proxy_is_verified_all_the_same() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = Front::new(&broker, Settings::new(authority.issue(&["other.invalid"])));
    let proxy = Proxy::http(front.address());
    let client = mqtt::Client::new("verified");
    client
        .tls_set(mqtt::TlsOptions::new().ca_pem(authority.pem.as_str()))
        .unwrap();
    client.proxy_set(proxy.url("http")).unwrap();
    match client.connect("mqtts://broker.invalid").unwrap_err() {
        mqtt::Error::Tls(error) => assert_eq!(error.reason, mqtt::TlsReason::WrongName),
        other => panic!("{other:?}"),
    }
    assert!(proxy.asked().starts_with("CONNECT broker.invalid:8883 "));
}

/// Leads what comes from this client to a server, and back, until the server closes.
fn lead_to(target: SocketAddr, client: UnixStream) -> io::Result<()> {
    let server = std::net::TcpStream::connect(target)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let (mut from_client, mut to_server) = (client, server);
    thread::spawn(move || drop(io::copy(&mut from_client, &mut to_server)));
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}

/// A unix socket in front of a server.
fn unix_front(folder: &Folder, name: &str, target: SocketAddr) -> PathBuf {
    let path = folder.path().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            lead_to(target, client).unwrap();
        }
    });
    path
}

#[test]
fn over_unix_sockets_with_and_without_tls_and_websocket() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let web = WebFront::new(broker.address(), Frames::AsTheyCome);
    let settings = Settings::new(authority.issue(&["inside.example"]));
    let front = Front::new(&broker, settings.clone());
    let both = Front::before(web.address(), settings);
    let folder = Folder::new();
    for (name, tls, transport, end) in [
        ("raw", false, mqtt::Transport::Unix, broker.address()),
        ("tls", true, mqtt::Transport::Unix, front.address()),
        ("ws", false, mqtt::Transport::WebSockets, web.address()),
        ("wss", true, mqtt::Transport::WebSockets, both.address()),
    ] {
        let path = unix_front(&folder, name, end);
        let client = mqtt::Client::builder("unix").transport(transport).build();
        if tls {
            let options = mqtt::TlsOptions::new().ca_pem(authority.pem.as_str());
            client.tls_set(&options).unwrap();
            match client.connect(mqtt::ConnectOptions::unix(&path)).unwrap_err() {
                mqtt::Error::Tls(error) => assert!(error.to_string().contains("server_name"), "{error}"),
                other => panic!("{other:?}"),
            }
            client.tls_set(options.server_name("inside.example")).unwrap();
        }
        exchange(&client, mqtt::ConnectOptions::unix(&path));
        println!("unix socket, {name}");
    }
}

/// A stream of the user's own. Without a poll it has itself looked at all the time, as long as it lives.
struct Own {
    stream: UnixStream,
    alive: Arc<()>,
}

impl mqtt::Stream for Own {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.stream, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.stream, bytes)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    fn set_waker(&self, waker: mqtt::Waker) {
        let alive = Arc::downgrade(&self.alive);
        thread::spawn(move || {
            while alive.strong_count() > 0 {
                waker.wake();
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

#[test]
fn tls_and_websocket_over_a_stream_of_the_users_own() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let web = WebFront::new(broker.address(), Frames::AsTheyCome);
    let settings = Settings::new(authority.issue(&["inside.example"]));
    let front = Front::new(&broker, settings.clone());
    let both = Front::before(web.address(), settings);
    for (tls, transport, target) in [
        (true, mqtt::Transport::Tcp, front.address()),
        (false, mqtt::Transport::WebSockets, web.address()),
        (true, mqtt::Transport::WebSockets, both.address()),
    ] {
        let client = mqtt::Client::builder("own").transport(transport).build();
        if tls {
            let options = mqtt::TlsOptions::new().ca_pem(authority.pem.as_str());
            client.tls_set(options.server_name("inside.example")).unwrap();
        }
        exchange(&client, own_stream(target));
    }
}

/// Connects by streams of the user's own, which lead to a server.
fn own_stream(target: SocketAddr) -> mqtt::ConnectOptions {
    mqtt::ConnectOptions::connector(move || {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        lead_to(target, far)?;
        Ok(Arc::new(Own {
            stream: near,
            alive: Arc::new(()),
        }))
    })
}
