//! Every call from several threads at once, against a broker that comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, ConnectFlags, Properties, ReasonCode};
use callmq::testing::Broker;

use crate::tools::{LONG, within};

/// A small random generator: each thread has its own course.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn any_call(client: &Client, address: (&'static str, u16), what: u64) {
    match what {
        0 => drop(client.connect(address)),
        1 => drop(client.connect_async(address)),
        2 => drop(client.reconnect()),
        3 => drop(client.disconnect()),
        4 => drop(client.loop_start()),
        5 => drop(client.loop_stop()),
        6 => drop(client.loop_once(0.001)),
        7 => drop(client.wait_for_connect(0.002)),
        8 => drop(client.flush(0.002)),
        9 => drop(client.subscribe(("t", 1))),
        10 => drop(client.unsubscribe("t")),
        11 => drop(
            client
                .publish_with("t", "x", 2, false)
                .map(|info| info.wait_for_publish(0.002)),
        ),
        12 => drop(client.publish_with("t", "x", 1, false)),
        13 => drop(client.drop_out_messages()),
        14 => drop(client.loop_misc()),
        15 => client.on_message(|_, _| {}).on_log(|_, _, _| {}).disable_logger(),
        16 => drop(client.message_callback_add("t", |_, _| {})),
        17 => client.message_callback_remove("t"),
        18 => drop(client.connect_and_wait(address, 0.005)),
        _ => drop(client.publish("t", "x")),
    }
}

#[test]
fn any_calls_from_any_threads_end_and_leave_a_client_that_works() {
    for in_callbacks in [false, true] {
        let broker = Broker::listen("127.0.0.1:0").unwrap();
        let address = ("127.0.0.1", broker.port());
        let client = Client::new("a");
        client.reconnect_delay_set(0.001, 0.01).unwrap();
        let calls = Arc::new(AtomicU64::new(0));
        let mut random = Random(7);
        let in_connect = move |client: &Client, _: ConnectFlags, _: ReasonCode, _: &Properties| {
            if in_callbacks {
                any_call(client, address, random.below(25));
            }
        };
        client.on_connect(in_connect);
        let mut random = Random(9);
        client.on_disconnect(move |client, _, _, _| {
            if in_callbacks && random.below(3) == 0 {
                any_call(client, address, random.below(25));
            }
        });
        let end = Instant::now() + Duration::from_millis(1500);
        let threads: Vec<_> = (1..=4)
            .map(|seed| {
                let (client, calls) = (client.clone(), Arc::clone(&calls));
                let mut random = Random(seed * 0x9e37_79b9);
                thread::spawn(move || {
                    while Instant::now() < end {
                        any_call(&client, address, random.below(25));
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        within(end - Instant::now() + LONG, move || {
            for thread in threads {
                thread.join().expect("no call panics");
            }
        });
        assert!(calls.load(Ordering::Relaxed) > 100, "{calls:?}");

        // It still works.
        client.on_connect(|_, _, _, _| {}).on_disconnect(|_, _, _, _| {});
        within(LONG, {
            let client = client.clone();
            move || {
                let _ = client.disconnect();
                let _ = client.loop_stop();
                client.drop_out_messages();
                client.loop_start().unwrap();
                client.connect(address).unwrap();
                client.wait_for_connect(LONG).unwrap();
                client
                    .publish_with("t", "x", 1, false)
                    .unwrap()
                    .wait_for_publish(LONG)
                    .unwrap();
                client.disconnect().unwrap();
                client.loop_stop().unwrap();
            }
        });
        assert!(!client.is_connected());
        drop(client);
    }
}
