//! What each way to a server costs: messages per second of QoS 0 over every combination of a route (directly, SOCKS5, HTTP
//! CONNECT, a unix socket) and layers (none, TLS, WebSocket, both), as a ratio to plain TCP in the same run.
//!
//! `cargo run --release --package layers --bin ways` prints the table; a number behind `--` is how many rounds there
//! are (5). Each round goes through all ways one after another, and the median of its rounds counts, so what else the
//! machine does hits all alike. The peer counts or sends as fast as it can, in a thread of the same process: what it
//! needs for TLS and frames is in the figures too, and so is the copying of the proxies.

#[cfg(unix)]
mod peer;
#[cfg(unix)]
#[path = "../../../../support/proxies.rs"]
mod proxies;

#[cfg(not(unix))]
fn main() {
    eprintln!("There are no unix sockets here.");
}

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(unix)]
mod unix {
    use std::env;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use callmq::client::{self as mqtt, Client, ConnectOptions, OfflineQueue, WhenFull};
    use layers::Folder;
    use layers::certificates::Authority;
    use layers::front::Settings;

    use crate::peer::{self, Layers};
    use crate::proxies::Proxy;

    /// How long one measurement may take.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// What is measured: the bytes of a message, and how many there are.
    const SIZES: [(usize, usize); 2] = [(1024, 50_000), (64 * 1024, 2_000)];

    struct Way {
        name: String,
        secure: bool,
        proxy: mqtt::Proxy,
        target: ConnectOptions,
    }

    pub fn main() {
        let rounds: usize = env::args()
            .nth(1)
            .map_or(5, |text| text.parse().expect("a number"));
        let (authority, folder) = (Authority::new("Test CA"), Folder::new());
        let settings = Settings::new(authority.issue(&["broker.invalid", "127.0.0.1"]));
        let mut ways = Vec::new();
        let mut proxies = Vec::new();
        for (layers, scheme) in [
            (Layers::default(), "mqtt"),
            (Layers::tls(settings.config()), "mqtts"),
            (Layers::websocket(), "ws"),
            (Layers::tls(settings.config()).and_websocket(), "wss"),
        ] {
            let end = peer::listen(layers);
            let (http, socks5) = (Proxy::http(end), Proxy::socks5(end, None));
            for (route, proxy) in [
                ("direct", mqtt::Proxy::none()),
                ("SOCKS5", socks5.url("socks5h").parse().expect("a proxy")),
                ("HTTP", http.url("http").parse().expect("a proxy")),
            ] {
                let name = format!("{route:<8}{scheme}");
                let host = if route == "direct" {
                    end.to_string()
                } else {
                    "broker.invalid:7".into()
                };
                let target = ConnectOptions::new(format!("{scheme}://{host}"));
                ways.push(Way {
                    name,
                    secure: matches!(scheme, "mqtts" | "wss"),
                    proxy,
                    target,
                });
            }
            proxies.extend([http, socks5]);
        }
        let path = folder.path().join("s");
        peer::listen_unix(&path);
        ways.push(Way {
            name: "unix    mqtt".into(),
            secure: false,
            proxy: mqtt::Proxy::none(),
            target: ConnectOptions::unix(&path),
        });
        table(&ways, rounds, &authority);
    }

    /// Measures, and prints: each column is a size in one direction, each row a way.
    fn table(ways: &[Way], rounds: usize, authority: &Authority) {
        let columns: Vec<_> = SIZES
            .into_iter()
            .flat_map(|size| [(size, true), (size, false)])
            .collect();
        // Messages per second by way, column and round.
        let mut rates = vec![vec![Vec::new(); columns.len()]; ways.len()];
        for _ in 0..rounds {
            for (column, &(size, out)) in columns.iter().enumerate() {
                for (way, rates) in ways.iter().zip(&mut rates) {
                    rates[column].push(measure(way, authority, size, out));
                }
            }
        }
        print!("{:<16}", "");
        for ((bytes, _), out) in &columns {
            let direction = if *out { "out" } else { "in" };
            print!("{:>22}", format!("{} KiB {direction}", bytes / 1024));
        }
        println!();
        for (way, of_way) in ways.iter().zip(&rates) {
            print!("{:<16}", way.name);
            for (column, of_column) in of_way.iter().enumerate() {
                let ratios = of_column
                    .iter()
                    .zip(&rates[0][column])
                    .map(|(rate, plain)| rate / plain);
                let (ratio, rate) = (median(ratios.collect()), median(of_column.clone()));
                print!("{:>22}", format!("{ratio:.2} ({rate:.0}/s)"));
            }
            println!();
        }
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Messages per second, to the peer or from it.
    fn measure(way: &Way, authority: &Authority, (bytes, count): (usize, usize), out: bool) -> f64 {
        // Whoever is faster than the connection waits for it.
        let queue = OfflineQueue {
            when_full: WhenFull::Block(PATIENCE),
            ..OfflineQueue::default()
        };
        let client = Client::builder("ways").offline_queue(queue).build();
        // It would have every connection go through TLS.
        if way.secure {
            client
                .tls_set(mqtt::TlsOptions::new().ca_pem(authority.pem.as_str()))
                .expect("a certificate");
        }
        client.proxy_set(&way.proxy).expect("a proxy");
        client.loop_start().expect("a thread");
        let (sender, done) = mpsc::channel();
        let mut came = 0;
        client.on_message(move |_, message| {
            came += usize::from(message.payload.len() == bytes);
            if came == count {
                let _ = sender.send(());
            }
        });
        client
            .connect_and_wait(&way.target, PATIENCE)
            .expect("a connection");
        let start = Instant::now();
        if out {
            let payload = tungstenite::Bytes::from(vec![7; bytes]);
            for _ in 0..count {
                client.publish_with("t", payload.clone(), 0, false).expect("room");
            }
            // The acknowledgement comes when the peer has read what was before.
            let last = client.publish_with("t", (), 1, false).expect("room");
            last.wait_for_publish(PATIENCE).expect("an acknowledgement");
        } else {
            let wish = format!("{}{count}/{bytes}", peer::SEND);
            client.subscribe((wish.as_str(), 0)).expect("room");
            done.recv_timeout(PATIENCE).expect("all messages");
        }
        count as f64 / start.elapsed().as_secs_f64()
    }
}
