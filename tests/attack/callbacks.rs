//! Callbacks that fail, panic, call everything, replace themselves, and own things that misbehave when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::{Client, Error, WeakClient};
use crossbeam_channel::{bounded, unbounded};

use crate::support::peer::{CONNACK, Connection, Peer};
use crate::tools::{LONG, packet, publish, within};

/// Keeps the tests' output readable: panics on purpose are not printed.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let on_purpose = info
                .payload()
                .downcast_ref::<&str>()
                .is_some_and(|text| text.starts_with("on purpose"));
            if !on_purpose && info.payload().downcast_ref::<Bomb>().is_none() {
                usual(info);
            }
        }));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, when dropped");
    }
}

fn accept(peer: &Peer) -> Connection {
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    connection
}

#[test]
fn the_loop_outlives_a_panic_in_each_callback() {
    quiet();
    let peer = Peer::listen();
    let client = Client::new("a");
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    macro_rules! failing {
        ($method:ident, $($argument:pat),+) => {
            client.$method({
                let calls = Arc::clone(&calls);
                move |$($argument),+| -> () {
                    if calls.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
                        std::panic::panic_any(Bomb);
                    }
                    panic!("on purpose");
                }
            })
        };
    }
    failing!(on_connect, _, _, _, _);
    failing!(on_disconnect, _, _, _, _);
    failing!(on_message, _, _);
    failing!(on_publish, _, _, _, _);
    failing!(on_subscribe, _, _, _, _);
    failing!(on_unsubscribe, _, _, _, _);
    failing!(on_socket_close, _, _);
    failing!(on_connect_fail, _, _);
    client.on_log(|_, _, _| panic!("on purpose"));
    client
        .message_callback_add("f", |_, _| -> () { panic!("on purpose") })
        .unwrap();
    client.connect_async(peer.address()).unwrap();
    client.loop_start().unwrap();
    for _ in 0..3 {
        let mut connection = accept(&peer);
        client.wait_for_connect(LONG).unwrap();
        let subscribe = client.subscribe("t").unwrap();
        connection.expect_packet(0x82);
        connection.send(&packet(
            0x90,
            &[&subscribe.mid.to_be_bytes()[..], b"\x00"].concat(),
        ));
        let unsubscribe = client.unsubscribe("t").unwrap();
        connection.expect_packet(0xa2);
        connection.send(&packet(0xb0, &unsubscribe.mid.to_be_bytes()));
        connection.send(&publish(b"x"));
        connection.send(&packet(0x30, b"\x00\x01fx"));
        client.publish("t", "x").unwrap();
        connection.expect(&publish(b"x"));
        // A message whose callback failed is not acknowledged; the answer to this one shows that all went through.
        let info = client.publish_with("t", "x", 1, false).unwrap();
        connection.expect_packet(0x32);
        connection.send(&packet(0x40, &info.mid.to_be_bytes()));
        info.wait_for_publish(LONG).unwrap();
    }
    let result = within(LONG, {
        let client = client.clone();
        move || client.loop_stop()
    });
    assert!(matches!(result, Err(Error::Callback { .. })), "{result:?}");
    assert!(calls.load(Ordering::SeqCst) >= 3 * 7, "{calls:?}");
}

#[test]
fn panics_before_the_connection_fail_the_attempt_and_the_loop_goes_on() {
    quiet();
    let peer = Peer::listen();
    for callback in ["on_pre_connect", "on_socket_open", "reconnect_if"] {
        let client = Client::new("a");
        client.reconnect_delay_set(0.001, 0.001).unwrap();
        let left = AtomicUsize::new(2);
        let fail = move || {
            if left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
            {
                panic!("on purpose");
            }
        };
        match callback {
            "on_pre_connect" => drop(client.on_pre_connect(move |_| fail())),
            "on_socket_open" => drop(client.on_socket_open(move |_, _| fail())),
            _ => drop(client.reconnect_if(move |_, _, _| {
                fail();
                true
            })),
        }
        client.connect_async(peer.address()).unwrap();
        client.loop_start().unwrap();
        if callback == "on_socket_open" {
            drop((peer.accept(), peer.accept()));
        }
        if callback == "reconnect_if" {
            drop(accept(&peer));
            drop(accept(&peer));
        }
        let _connection = accept(&peer);
        client.wait_for_connect(LONG).unwrap();
    }
}

/// Calls everything there is; only calls that would wait for the loop are refused.
fn call_everything(client: &Client) {
    let refused =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::WouldDeadlock(_))), "{result:?}");
    refused(client.loop_once(1));
    refused(client.r#loop());
    refused(client.loop_forever());
    refused(client.loop_read());
    refused(client.loop_write());
    refused(client.loop_misc());
    let _ = client.wait_for_connect(LONG);
    let _ = client.loop_start();
    let _ = client.publish("e", "x");
    let _ = client.publish_with("e", "x", 1, false).map(|info| {
        refused(info.wait_for_publish(LONG));
        info.delivery()
    });
    let _ = client.publish_with("e", "x", 2, false);
    let _ = client.subscribe("e").map(|info| info.wait(LONG));
    let _ = client.unsubscribe("e");
    let _ = client.subscribe_with("e", |_, _| {});
    let _ = client.message_callback_add("e", |_, _| {});
    client.message_callback_remove("e");
    let _ = client.flush(LONG);
    let _ = client.reinitialise("b", true);
    let _ = (
        client.stats(),
        client.is_connected(),
        client.want_write(),
        client.socket(),
    );
    client.drop_out_messages();
    drop(client.clone());
    drop(client.messages(1));
}

#[test]
fn each_callback_may_call_everything() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let (told, tells) = unbounded();
    macro_rules! calling {
        ($method:ident, $($argument:pat),*) => {
            client.$method({
                let told = told.clone();
                move |client, $($argument),*| {
                    call_everything(client);
                    // It replaces itself as well.
                    let told = told.clone();
                    client.$method(move |_, $($argument),*| {
                        let _ = told.send(concat!("second ", stringify!($method)));
                    });
                }
            })
        };
    }
    calling!(on_pre_connect,);
    calling!(on_socket_open, _);
    calling!(on_connect, _, _, _);
    calling!(on_message, _);
    calling!(on_publish, _, _, _);
    calling!(on_subscribe, _, _, _);
    calling!(on_unsubscribe, _, _, _);
    calling!(on_disconnect, _, _, _);
    calling!(on_socket_close, _);
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    client.connect_async(peer.address()).unwrap();
    client.loop_start().unwrap();
    let all_seen = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&all_seen);
    let server = thread::spawn(move || {
        while !done.load(Ordering::Acquire) {
            let Some(mut connection) = peer.accept_within(Duration::from_millis(100)) else {
                continue;
            };
            if connection.packet_within(LONG).is_none() {
                continue;
            }
            // The client may leave at any time: at the end of the test it does.
            let mut answer = |answer: &[u8]| connection.try_send(answer).is_ok();
            if !(answer(CONNACK) && answer(&publish(b"1")) && answer(&publish(b"2"))) {
                continue;
            }
            // It closes after a while: there are callbacks for that, too.
            for _ in 0..300 {
                let Some(sent) = connection.packet_within(Duration::from_millis(100)) else {
                    break;
                };
                let answer = match sent[0] & 0xf0 {
                    0x30 if sent[0] & 6 == 2 => packet(0x40, &sent[5..7]),
                    0x30 if sent[0] & 6 == 4 => packet(0x50, &sent[5..7]),
                    0x60 => packet(0x70, &sent[2..4]),
                    0x80 => packet(0x90, &[&sent[2..4], b"\x00"].concat()),
                    0xa0 => packet(0xb0, &sent[2..4]),
                    _ => continue,
                };
                if connection.try_send(&answer).is_err() {
                    break;
                }
            }
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    let started = Instant::now();
    while seen.len() < 9 {
        assert!(started.elapsed() < 4 * LONG, "only {seen:?}");
        seen.insert(
            tells
                .recv_timeout(LONG)
                .unwrap_or_else(|_| panic!("only {seen:?}")),
        );
        // What the callbacks made needs something to report.
        let _ = client.publish("t", "x");
        let _ = client.unsubscribe("t");
        let _ = client.subscribe("t");
    }
    all_seen.store(true, Ordering::Release);
    within(LONG, move || drop(client));
    server.join().unwrap();
}

/// Calls the client when it is dropped.
struct CallsBack(WeakClient, &'static str);

impl Drop for CallsBack {
    fn drop(&mut self) {
        if let Some(client) = self.0.upgrade() {
            client.on_message(|_, _| {});
            client.message_callback_remove("t");
            let _ = client.message_callback_add("u", |_, _| {});
            let _ = client.publish_with("t", self.1, 1, false);
            let _ = client.stats();
            let _ = client.loop_stop();
        }
    }
}

#[test]
fn what_a_closure_owns_may_call_the_client_when_it_is_dropped() {
    let peer = Peer::listen();
    within(LONG, move || {
        let client = Client::new("a");
        let owned = |name| CallsBack(client.downgrade(), name);
        macro_rules! owning {
            ($method:ident, $($argument:pat),+) => {{
                let owned = owned(stringify!($method));
                client.$method(move |$($argument),+| assert!(!owned.1.is_empty()));
            }};
        }
        for _ in 0..2 {
            owning!(on_connect, _, _, _, _);
            owning!(on_disconnect, _, _, _, _);
            owning!(on_message, _, _);
            owning!(on_publish, _, _, _, _);
            owning!(on_socket_open, _, _);
            owning!(on_log, _, _, _);
            let filter = owned("filter");
            client
                .message_callback_add("t", move |_, _| assert!(!filter.1.is_empty()))
                .unwrap();
            let filter = owned("subscribe_with");
            client
                .subscribe_with("t", move |_, _| assert!(!filter.1.is_empty()))
                .unwrap();
            client.message_callback_remove("t");
        }
        client.user_data_set(owned("user data"));
        client.user_data_set(());
        client.connect(peer.address()).unwrap();
        let _connection = peer.accept_client();
        client.loop_start().unwrap();
        client.wait_for_connect(LONG).unwrap();
        drop(client);
    });
}

#[test]
fn a_closure_may_own_another_client_and_be_dropped_anywhere() {
    quiet();
    let peer = Peer::listen();
    within(LONG, move || {
        let outer = Client::new("outer");
        let inner = Client::new("inner");
        inner.connect(peer.address()).unwrap();
        let mut connection = peer.accept_client();
        inner.loop_start().unwrap();
        inner.wait_for_connect(LONG).unwrap();
        let bomb = Bomb;
        let (entered, enter) = bounded(0);
        outer.on_message(move |client, _| {
            let _ = (&inner, &bomb);
            // From now on the closure belongs to the call that runs it.
            client.on_message(|_, _| {});
            let _ = entered.send(());
        });
        outer.connect(peer.address()).unwrap();
        let mut own = peer.accept_client();
        outer.loop_start().unwrap();
        own.send(&publish(b"x"));
        enter.recv_timeout(LONG).unwrap();
        // The inner client says goodbye when the closure goes, and the bomb harms nobody.
        connection.expect_goodbye();
        outer.publish("t", "still here").unwrap();
        own.expect(&publish(b"still here"));
    });
}

#[test]
fn filters_may_change_while_messages_come() {
    let peer = Peer::listen();
    let client = Client::new("a");
    let count = Arc::new(AtomicUsize::new(0));
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    let over = AtomicBool::new(false);
    let counted = {
        let count = Arc::clone(&count);
        move |_: &Client, _: &callmq::client::Message| {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    client.on_message(counted.clone());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                // The second takes the place of the first.
                client.message_callback_add("t", counted.clone()).unwrap();
                client.message_callback_add("t", counted.clone()).unwrap();
                client.message_callback_remove("t");
            }
        });
        for _ in 0..20 {
            connection.send(&publish(b"x").repeat(1_000));
        }
        connection.send(&packet(0x32, b"\x00\x01t\x00\x01x"));
        connection.expect_packet(0x40);
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(
        count.load(Ordering::SeqCst),
        20_001,
        "each message is for exactly one of them"
    );
}

#[test]
fn on_log_may_publish_and_take_its_time() {
    let peer = Peer::listen();
    let client = Client::new("a");
    client.on_log(|client, _, text| {
        if text.contains("PUBLISH") {
            let _ = client.publish("log", "x");
            thread::sleep(Duration::from_millis(1));
        }
    });
    client.connect(peer.address()).unwrap();
    client.loop_start().unwrap();
    let mut connection = peer.accept_client();
    client.wait_for_connect(LONG).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    client.publish("t", "x").unwrap();
                }
            });
        }
        for _ in 0..80 {
            connection.expect_packet(0x30);
        }
    });
    within(LONG, move || client.loop_stop().unwrap());
}
