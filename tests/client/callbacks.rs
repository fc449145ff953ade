//! What callbacks may do: everything, because no lock is held while they run.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use callmq::client::{self as mqtt, ConnectOptions, Error};
use callmq::testing::Broker;
use crossbeam_channel::bounded;

use crate::support::{
    Bench, Events, PATIENCE, Peer, broker_has, connect_to, eventually, listen, running, start,
};

/// Calls what does not wait, in every way a callback might.
fn call_everything(client: &mqtt::Client) {
    client.is_connected();
    let _ = client.publish("side", "0");
    let _ = client.publish_with("side", "1", 1, false);
    let _ = client.publish_message(mqtt::Message::new("side", "m"));
    let _ = client.subscribe("side");
    let _ = client.subscribe_with("side/with", |_, _| {});
    let _ = client.unsubscribe("side/with");
    client.message_callback_add("side/added", |_, _| {}).unwrap();
    client.message_callback_remove("side/added");
    client.message_callback_remove("side/with");
    client.username_pw_set(None, None);
    client.will_set("w", "x", 0, false).unwrap();
    client.will_clear();
    client.user_data_set(1);
    assert!(client.user_data_get::<i32>().is_some());
    client.reconnect_delay_set(0.01, 0.01).unwrap();
    client.resubscribe_set(mqtt::Resubscribe::default());
    client.offline_queue_set(mqtt::OfflineQueue::default());
    client.on_message(|_, _| {});
    client.reconnect_if(|_, _, _| true);
    drop(client.messages(1));
    let _ = (
        client.stats(),
        client.socket(),
        client.want_write(),
        client.host(),
        client.client_id(),
    );
    let _ = (
        client.protocol(),
        client.transport(),
        client.keepalive(),
        client.username(),
    );
    let _ = format!("{client:?}");
    let _ = client.max_inflight_messages_set(20);
    let clone = client.clone();
    drop(clone);
    assert!(client.downgrade().upgrade().is_some());
}

/// Calls everything here, then in another thread while the callback is still running.
fn call_everything_from_two_threads(client: &mqtt::Client) {
    call_everything(client);
    let (done, finished) = bounded(1);
    let other = client.clone();
    let thread = thread::spawn(move || {
        call_everything(&other);
        let _ = done.send(());
    });
    assert!(
        finished.recv_timeout(PATIENCE).is_ok(),
        "a lock is held while a callback runs"
    );
    thread.join().unwrap();
}

#[test]
fn every_callback_may_call_every_method_and_so_may_other_threads_meanwhile() {
    let broker = listen();
    let client = mqtt::Client::new("calls");
    let seen = Events::new();
    macro_rules! register {
        ($($callback:ident ( $($argument:pat),* );)*) => {$(
            let report = seen.sink();
            let mut first = true;
            client.$callback(move |client $(, $argument)*| {
                // Once: what it publishes and subscribes leads to calls of its own.
                if std::mem::take(&mut first) {
                    call_everything_from_two_threads(client);
                }
                report(stringify!($callback));
            });
        )*};
    }
    register! {
        on_pre_connect();
        on_connect(_, _, _);
        on_connect_fail(_);
        on_disconnect(_, _, _);
        on_publish(_, _, _);
        on_subscribe(_, _, _);
        on_unsubscribe(_, _, _);
        on_socket_open(_);
        on_socket_close(_);
    }
    let report = seen.sink();
    client.on_log(move |client, _, _| {
        client.is_connected();
        let _ = client.publish("side", "log");
        report("on_log");
    });
    let report = seen.sink();
    client
        .message_callback_add("main", move |client, _| {
            call_everything_from_two_threads(client);
            report("filter");
        })
        .unwrap();
    start(&client, &broker);
    client.subscribe("main").unwrap().wait(PATIENCE).unwrap();
    client.unsubscribe("never").unwrap().wait(PATIENCE).unwrap();
    client
        .publish_with("main", "x", 1, false)
        .unwrap()
        .wait_for_publish(PATIENCE)
        .unwrap();
    let wanted = [
        "on_pre_connect",
        "on_connect",
        "on_subscribe",
        "on_unsubscribe",
        "on_publish",
        "on_socket_open",
        "on_log",
        "filter",
    ];
    let mut missing: Vec<_> = wanted.to_vec();
    while !missing.is_empty() {
        let name = seen.next();
        missing.retain(|wanted| *wanted != name);
    }
    broker.set_reachable(false);
    let mut missing = vec!["on_socket_close", "on_disconnect"];
    while !missing.is_empty() {
        let name = seen.next();
        missing.retain(|wanted| *wanted != name);
    }
    drop(broker);
    while seen.next() != "on_connect_fail" {}
    client.loop_stop().unwrap();
}

#[test]
fn on_message_may_call_every_method_at_every_qos() {
    let broker = listen();
    for qos in [0, 1, 2] {
        let client = mqtt::Client::new(format!("calls-{qos}"));
        let seen = Events::new();
        let report = seen.sink();
        client.on_message(move |client, message| {
            call_everything_from_two_threads(client);
            report(message.topic.to_string());
        });
        start(&client, &broker);
        client.subscribe(("t", qos)).unwrap().wait(PATIENCE).unwrap();
        broker.publish("t", "x", qos, false).unwrap();
        assert_eq!(seen.next(), "t");
        client.loop_stop().unwrap();
    }
}

#[test]
fn what_would_wait_for_the_loop_that_the_callback_runs_on_is_refused() {
    let broker = listen();
    let client = mqtt::Client::new("deadlocks");
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |client, _| {
        let message = client.publish_with("u", "x", 1, false).unwrap();
        let request = client.subscribe("u").unwrap();
        report(vec![
            ("wait_for_publish", message.wait_for_publish(PATIENCE)),
            ("wait", request.wait(PATIENCE).map(drop)),
            ("flush", client.flush(PATIENCE)),
            (
                "connect_and_wait",
                client.connect_and_wait("localhost", PATIENCE).map(drop),
            ),
            ("loop_once", client.loop_once(0)),
            ("loop", client.r#loop()),
            ("loop_forever", client.loop_forever()),
            ("loop_read", client.loop_read()),
            ("loop_write", client.loop_write()),
            ("loop_misc", client.loop_misc()),
            ("reinitialise", client.reinitialise("other", true)),
        ]);
    });
    start(&client, &broker);
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    broker.publish("t", "x", 0, false).unwrap();
    for (name, result) in seen.next() {
        assert!(
            matches!(result, Err(Error::WouldDeadlock(_))),
            "{name}: {result:?}"
        );
    }
    assert!(client.is_connected(), "nothing has changed");
    client.flush(PATIENCE).unwrap();
}

#[test]
fn waiting_for_the_connection_in_a_callback_is_refused() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("deadlocks");
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |client, _, _, _| report(client.wait_for_connect(PATIENCE)));
    client.loop_start().unwrap();
    drop(connect_to(&client, &peer));
    let result = seen.next();
    assert!(matches!(result, Err(Error::WouldDeadlock(_))), "{result:?}");
}

#[test]
fn waiting_in_a_callback_of_another_client_is_fine() {
    let broker = listen();
    let worker = running("worker", &broker);
    let client = mqtt::Client::new("asks");
    let seen = Events::new();
    let report = seen.sink();
    client.on_connect(move |_, _, _, _| {
        report(
            worker
                .publish_with("t", "x", 1, false)
                .and_then(|info| info.wait_for_publish(PATIENCE)),
        );
    });
    start(&client, &broker);
    seen.next().unwrap();
}

#[test]
fn a_client_that_is_driven_in_the_callback_of_another_one_does_not_hide_it() {
    let refuse = || ConnectOptions::connector(|| Err(ErrorKind::ConnectionRefused.into()));
    let (outer, inner) = (mqtt::Client::new("outer"), mqtt::Client::new("inner"));
    let seen = Events::new();
    let (report, report_inside) = (seen.sink(), seen.sink());
    let weak = outer.downgrade();
    inner.on_pre_connect(move |inner| {
        let outer = weak.upgrade().unwrap();
        report_inside((outer.loop_once(0), inner.loop_once(0)));
    });
    let other = inner.clone();
    outer.on_pre_connect(move |outer| {
        other.connect(refuse()).unwrap_err();
        report((outer.loop_once(0), other.loop_once(0)));
    });
    outer.connect(refuse()).unwrap_err();
    let outside = (outer.loop_once(0), inner.loop_once(0));

    let is_inside = |result| matches!(result, Err(Error::WouldDeadlock(_)));
    let [both, one] = [seen.next(), seen.next()].map(|(outer, inner)| (is_inside(outer), is_inside(inner)));
    assert_eq!((both, one), ((true, true), (true, false)));
    assert!(!is_inside(outside.0) && !is_inside(outside.1));
}

#[test]
fn callbacks_may_replace_themselves() {
    let bench = Bench::new("replaces");
    let seen = Events::new();
    let (first, second) = (seen.sink(), seen.sink());
    bench.client.on_message(move |client, _| {
        first("first");
        let second = second.clone();
        client.on_message(move |_, _| second("second"));
    });
    bench.client.subscribe("t").unwrap();
    bench.connect();
    for _ in 0..3 {
        bench.broker.publish("t", "x", 0, false).unwrap();
        bench.settle();
    }
    assert_eq!(seen.so_far(), ["first", "second", "second"]);
}

#[test]
fn a_replaced_callback_is_dropped_and_may_use_the_client_while_it_is() {
    struct Last(mqtt::WeakClient, Arc<AtomicBool>);
    impl Drop for Last {
        fn drop(&mut self) {
            let client = self.0.upgrade().unwrap();
            client.on_message(|_, _| {});
            call_everything(&client);
            self.1.store(true, Ordering::Release);
        }
    }
    let bench = Bench::new("drops");
    for inside in [false, true] {
        let dropped = Arc::new(AtomicBool::new(false));
        let last = Last(bench.client.downgrade(), Arc::clone(&dropped));
        bench.client.on_connect(move |client, _, _, _| {
            let _last = &last;
            if inside {
                client.on_connect(|_, _, _, _| {});
            }
        });
        if inside {
            bench.connect();
        } else {
            bench.client.on_connect(|_, _, _, _| {});
        }
        assert!(dropped.load(Ordering::Acquire), "inside {inside}");
    }
}

#[test]
fn disconnect_in_any_callback_ends_loop_forever() {
    let broker = listen();
    broker.publish("t", "x", 1, true).unwrap();
    type Register = fn(&mqtt::Client);
    let callbacks: [(&str, Register); 5] = [
        ("on_connect", |client| {
            client.on_connect(|client, _, _, _| client.disconnect());
        }),
        ("on_subscribe", |client| {
            client.on_subscribe(|client, _, _, _| client.disconnect());
        }),
        ("on_message", |client| {
            client.on_message(|client, _| client.disconnect());
        }),
        ("on_publish", |client| {
            client.on_publish(|client, _, _, _| client.disconnect());
        }),
        ("filter", |client| {
            client
                .message_callback_add("t", |client, _| client.disconnect())
                .unwrap()
        }),
    ];
    for (name, register) in callbacks {
        let client = mqtt::Client::new(name);
        let seen = Events::new();
        let report = seen.sink();
        client.on_disconnect(move |client, flags, _, _| {
            report((flags.reason.to_string(), client.is_connected()));
        });
        register(&client);
        client.connect(&broker).unwrap();
        client.subscribe(("t", 1)).unwrap();
        client.publish_with("u", "x", 1, false).unwrap();
        client
            .loop_forever()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            seen.so_far(),
            [("disconnect requested".to_owned(), false)],
            "{name}"
        );
    }
}

#[test]
fn loop_stop_in_a_callback_ends_the_loop_and_leaves_the_connection() {
    let broker = listen();
    let client = mqtt::Client::new("stops");
    client.on_message(|client, _| client.loop_stop());
    client.connect(&broker).unwrap();
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    broker.publish("t", "x", 0, false).unwrap();
    client.loop_forever().unwrap();
    assert!(client.is_connected());

    client.loop_start().unwrap();
    broker.publish("t", "x", 0, false).unwrap();
    // The thread ends by itself: from then on another loop may run.
    eventually("the loop has ended", || client.loop_once(0).is_ok());
    assert!(client.is_connected());
}

#[test]
fn reconnecting_in_a_callback_works() {
    for qos in [0, 2] {
        let broker = listen();
        let client = mqtt::Client::builder("hops").clean_session(false).build();
        let seen = Events::new();
        let report = seen.sink();
        client.on_connect(move |_, _, _, _| report("connected"));
        let report = seen.sink();
        client.on_disconnect(move |_, _, _, _| report("disconnected"));
        let report = seen.sink();
        client.on_message(move |client, _| {
            report("message");
            client.reconnect()
        });
        start(&client, &broker);
        assert_eq!(seen.next(), "connected");
        client.subscribe(("t", qos)).unwrap().wait(PATIENCE).unwrap();
        broker.publish("t", "x", qos, false).unwrap();
        assert_eq!(seen.next(), "message");
        assert_eq!(seen.next(), "disconnected");
        assert_eq!(seen.next(), "connected");
        client.loop_stop().unwrap();
    }
}

#[test]
fn reconnecting_in_on_disconnect_works() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("returns");
    let seen = Events::new();
    let report = seen.sink();
    client.on_disconnect(move |client, _, _, _| {
        client.on_disconnect(|_, _, _, _| {});
        report(client.reconnect());
    });
    let connection = connect_to(&client, &peer);
    client.loop_start().unwrap();
    drop(connection);
    seen.next().unwrap();
    let _connection = peer.accept_client();
    client.wait_for_connect(PATIENCE).unwrap();
}

#[test]
fn functions_methods_and_boxes_serve_as_callbacks() {
    fn on_connect(
        client: &mqtt::Client,
        _flags: mqtt::ConnectFlags,
        reason_code: mqtt::ReasonCode,
        _properties: &mqtt::Properties,
    ) -> mqtt::Result<()> {
        assert!(reason_code == 0);
        client.subscribe("t")?;
        Ok(())
    }

    struct Counter(std::sync::Mutex<u32>);
    impl Counter {
        fn count(&self, _client: &mqtt::Client, _message: &mqtt::Message) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let bench = Bench::new("forms");
    let counter = Arc::new(Counter(std::sync::Mutex::new(0)));
    let counts = Arc::clone(&counter);
    type OnPublish = dyn FnMut(&mqtt::Client, u16, mqtt::ReasonCode, &mqtt::Properties) + Send;
    let boxed: Box<OnPublish> = Box::new(|client, _, _, _| client.user_data_set(String::from("told")));
    bench
        .client
        .on_connect(on_connect)
        .on_message(move |client, message| counts.count(client, message))
        .on_publish(boxed);
    bench.connect();
    bench.settle();
    bench.client.publish("t", "x").unwrap();
    bench.settle();
    assert_eq!(*counter.0.lock().unwrap(), 1);
    assert_eq!(*bench.client.user_data_get::<String>().unwrap(), "told");
}

#[test]
fn callbacks_run_one_at_a_time_while_threads_publish() {
    let broker = Broker::listen("127.0.0.1:0").unwrap();
    let client = running("alone", &broker);
    let inside = Arc::new(AtomicBool::new(false));
    let seen = Events::new();
    for which in 0..2 {
        let (inside, report) = (Arc::clone(&inside), seen.sink());
        let once = move || {
            assert!(!inside.swap(true, Ordering::AcqRel), "two callbacks at once");
            thread::yield_now();
            inside.store(false, Ordering::Release);
            report(());
        };
        if which == 0 {
            client.on_message(move |_, _| once());
        } else {
            client.on_publish(move |_, _, _, _| once());
        }
    }
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for number in 0..100 {
                    client.publish("t", number).unwrap();
                }
            });
        }
    });
    for _ in 0..600 {
        seen.next();
    }
    client.loop_stop().unwrap();
}

#[test]
fn a_callback_that_always_publishes_the_next_message_does_not_keep_others_waiting() {
    let broker = listen();
    let client = running("stream", &broker);
    let seen = Events::new();
    let report = seen.sink();
    client.on_message(move |_, message| report(message.payload.to_str_lossy().into_owned()));
    client.subscribe("t").unwrap().wait(PATIENCE).unwrap();
    client.on_publish(|client, _, _, _| client.publish("stream", "next"));
    client.publish("stream", "first").unwrap();
    broker_has(&broker, "the stream", |broker| broker.published().len() > 100);
    broker.publish("t", "heard", 0, false).unwrap();
    assert_eq!(seen.next(), "heard");
    client.on_publish(|_, _, _, _| {});
    client.loop_stop().unwrap();
}
