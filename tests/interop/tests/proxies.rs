//! Every way into a real broker, directly and through proxies, with large messages in both directions. The brokers are
//! mosquitto, where 5 MB over WebSocket may not arrive in time, and aedes, where they do.
#![cfg(feature = "brokers")]

#[path = "../../support/proxies.rs"]
mod proxies;

use std::io::Write as _;
use std::time::{Duration, Instant};

use callmq::client as mqtt;
use interop::mosquitto::PASSWORD;
use interop::{Brand, Running, Way};
use proxies::Proxy;

const PATIENCE: Duration = Duration::from_secs(30);

/// Of a large message.
const SIZE: usize = 5_000_000;

/// Sends itself messages with every QoS, small ones and large ones. Those that come in cross those that go out.
fn exchange(client: &mqtt::Client, target: mqtt::ConnectOptions, way: Way) {
    let messages = client.messages(10);
    client.loop_start().unwrap();
    if let Err(error) = client.connect_and_wait(target, PATIENCE) {
        panic!("{way}: {error}");
    }
    client.subscribe(("t/#", 2)).unwrap().wait(PATIENCE).unwrap();
    let sizes = [1, SIZE, 70_000, 0, SIZE, SIZE];
    for (number, size) in sizes.into_iter().enumerate() {
        let (topic, payload) = (format!("t/{number}"), vec![number as u8; size]);
        client
            .publish_with(topic, payload, (number % 3) as u8, false)
            .unwrap();
    }
    let mut arrived = [false; 6];
    for _ in sizes {
        let message = messages
            .recv(PATIENCE)
            .unwrap_or_else(|error| panic!("{way}: {error}, after {arrived:?}"));
        let number: usize = message.topic.strip_prefix("t/").unwrap().parse().unwrap();
        assert_eq!(message.payload.len(), sizes[number], "{way}");
        assert!(
            message.payload.iter().all(|&byte| usize::from(byte) == number),
            "{way}"
        );
        arrived[number] = true;
    }
    assert_eq!(arrived, [true; 6], "{way}");
    client.disconnect().unwrap();
    client.loop_stop().unwrap();
}

fn client(broker: &Running, way: Way) -> mqtt::Client {
    let client = mqtt::Client::new("through");
    client.username_pw_set(broker.brand().user(), PASSWORD);
    broker.equip(&client, way);
    client
}

/// Each way: directly, and where it is by TCP through each kind of proxy. Prints what was gone through.
fn each_way(broker: &Running, ways: &[Way]) {
    let mut report = format!("\n{}, 5 MB in both directions\n", broker.brand());
    let mut line = |way, by, start: Instant| {
        report.push_str(&format!("  {way:8} {by:7} {:.1?}\n", start.elapsed()));
    };
    for &way in ways {
        let target = broker.target(way);
        let start = Instant::now();
        exchange(&client(broker, way), target.clone(), way);
        line(way, "direct", start);
        let Some(port) = target.servers()[0].port() else {
            continue;
        };
        let end = ([127, 0, 0, 1], port).into();
        for (by, proxy) in [
            ("HTTP", Proxy::http(end)),
            ("SOCKS5", Proxy::socks5(end, Some(("me", "secret")))),
        ] {
            let url = match by {
                "HTTP" => proxy.url("http"),
                _ => format!("socks5h://me:secret@{}", proxy.address),
            };
            let (client, start) = (client(broker, way), Instant::now());
            client.proxy_set(url).unwrap();
            exchange(&client, target.clone(), way);
            let asked = proxy.asked();
            assert!(
                asked.contains(&format!("127.0.0.1:{port}")),
                "{way}, {by}: {asked}"
            );
            line(way, by, start);
        }
    }
    // Past libtest, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(report.as_bytes());
}

#[test]
fn of_mosquitto() {
    each_way(
        &Brand::Mosquitto.start(),
        &[Way::Tcp, Way::Tls, Way::ClientCertificate, Way::Unix],
    );
}

#[test]
fn of_aedes() {
    each_way(&Brand::Aedes.start(), Brand::Aedes.ways());
}
