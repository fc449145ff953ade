//! Counts what the process holds, and so is alone in it.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{self, Read};
use std::net::TcpListener;
use std::thread;

use callmq::client as mqtt;
use callmq::testing::Broker;
use layers::certificates::Authority;
use layers::eventually;
use layers::front::{Front, Settings};
use layers::raw::RawServer;

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn failed_handshakes_leave_no_descriptor_and_no_thread() {
    let authority = Authority::new("Test CA");
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let front = Front::new(&broker, Settings::new(authority.issue(&["localhost"])));
    // Closes in the middle of the handshake.
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let closing_port = closing.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in closing.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1]);
        }
    });
    // Never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in silent.incoming().map_while(Result::ok) {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    // Refuses to become a WebSocket.
    let refusing = RawServer::listen();
    let refusing_url = refusing.url();
    thread::spawn(move || {
        loop {
            let mut raw = refusing.accept();
            raw.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nhush");
        }
    });
    let client = mqtt::Client::new("counted");
    let web = mqtt::Client::new("counted-too");
    let attempt = |number: usize| {
        if number % 6 == 5 {
            web.connect(refusing_url.as_str()).unwrap_err();
            return;
        }
        // A CA that has not signed the server's certificate.
        let stranger = mqtt::TlsOptions::new().ca_pem(Authority::new("Other CA").pem);
        client
            .proxy_set(match number % 6 {
                4 => mqtt::Proxy::http("127.0.0.1", closing_port),
                _ => mqtt::Proxy::none(),
            })
            .unwrap();
        match number % 6 {
            0 => client.tls_set(stranger).unwrap(),
            1 => client
                .tls_set(mqtt::TlsOptions::new().ca_pem(authority.pem.as_str()))
                .unwrap(),
            _ => {}
        }
        let port = match number % 6 {
            0 => front.port(),
            1 => broker.port(),
            2 => closing_port,
            _ => silent_port,
        };
        let options = mqtt::ConnectOptions::new(("localhost", port));
        let options = if number % 6 == 3 {
            options.connect_timeout(0.005)
        } else {
            options
        };
        client.connect(options).unwrap_err();
    };
    // The first attempts pay for what the process opens once.
    (0..6).for_each(attempt);
    let settled = || (entries("/proc/self/fd"), entries("/proc/self/task"));
    let mut before = settled();
    // The servers' sides go a moment later.
    eventually("nothing changes any more", || {
        thread::sleep(std::time::Duration::from_millis(20));
        let now = settled();
        std::mem::replace(&mut before, now) == now
    });
    (0..200).for_each(attempt);
    eventually("nothing is left", || {
        let now = settled();
        now.0 <= before.0 && now.1 <= before.1
    });
}
