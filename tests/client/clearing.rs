//! Taking callbacks back.

use callmq::client::{self as mqtt, Callback};

use crate::support::{Bench, Events, PATIENCE, Peer, broker_has, eventually, listen, published};

/// Everything that a connection can lead to, without a loop of its own.
fn live(bench: &Bench) {
    bench.connect();
    bench.client.subscribe(("t", 1)).unwrap();
    bench.settle();
    for qos in [0, 1] {
        bench.client.publish_with("t", "x", qos, false).unwrap();
        bench.settle();
    }
    bench.client.unsubscribe("t").unwrap();
    bench.settle();
    bench.client.disconnect().unwrap();
    // The goodbye is written, and the connection is gone.
    while bench.client.loop_once(0).is_ok() {}
}

/// Sets every callback that `live` leads to: it reports its name, and may clear itself.
fn set_all(client: &mqtt::Client, clear: bool) -> (Events<Callback>, Vec<Callback>) {
    let seen = Events::new();
    let mut all = Vec::new();
    macro_rules! set {
        ($($method:ident ( $($argument:pat),* ) $name:ident;)*) => {$(
            let report = seen.sink();
            client.$method(move |client $(, $argument)*| {
                report(Callback::$name);
                if clear {
                    client.callback_clear(Callback::$name);
                }
            });
            all.push(Callback::$name);
        )*};
    }
    set! {
        on_pre_connect() OnPreConnect;
        on_connect(_, _, _) OnConnect;
        on_disconnect(_, _, _) OnDisconnect;
        on_message(_) OnMessage;
        on_publish(_, _, _) OnPublish;
        on_subscribe(_, _, _) OnSubscribe;
        on_unsubscribe(_, _, _) OnUnsubscribe;
        on_log(_, _) OnLog;
        on_socket_open(_) OnSocketOpen;
        on_socket_close(_) OnSocketClose;
        on_socket_register_write(_) OnSocketRegisterWrite;
        on_socket_unregister_write(_) OnSocketUnregisterWrite;
    }
    (seen, all)
}

#[test]
fn a_callback_that_was_cleared_is_not_called() {
    let bench = Bench::new("clears");
    let (seen, all) = set_all(&bench.client, false);
    live(&bench);
    let called = seen.so_far();
    for name in &all {
        assert!(called.contains(name), "{name:?} was not called");
    }
    for name in &all {
        bench.client.callback_clear(*name);
    }
    live(&bench);
    assert_eq!(seen.so_far(), []);
    // And it can be set again.
    let (seen, _) = set_all(&bench.client, false);
    live(&bench);
    assert!(seen.so_far().contains(&Callback::OnMessage));
}

#[test]
fn a_callback_may_clear_itself() {
    let bench = Bench::new("clears-itself");
    let (seen, all) = set_all(&bench.client, true);
    live(&bench);
    live(&bench);
    let called = seen.so_far();
    for name in all {
        let calls = called.iter().filter(|call| **call == name).count();
        assert_eq!(calls, 1, "{name:?} in {called:?}");
    }
}

#[test]
fn the_loop_goes_on_when_nobody_decides_any_more() {
    let nobody = Peer::listen().address();
    let client = mqtt::Client::new("persists");
    client.reconnect_delay_set(0.001, 0.001).unwrap();
    let seen = Events::new();
    let report = seen.sink();
    client.on_pre_connect(move |_| report("attempt"));
    let report = seen.sink();
    client.on_connect_fail(move |client, _| {
        report("failed");
        client.callback_clear(Callback::OnConnectFail);
    });
    client
        .reconnect_if(|_, _, _| false)
        .callback_clear(Callback::ReconnectIf);
    client.connect_async(nobody).unwrap();
    client.loop_start().unwrap();
    let events: Vec<_> = (0..5).map(|_| seen.next()).collect();
    assert_eq!(events, ["attempt", "failed", "attempt", "attempt", "attempt"]);
    client.loop_stop().unwrap();
}

/// Sets the two callbacks about writing.
fn watch_writing(client: &mqtt::Client) -> Events<&'static str> {
    let seen = Events::new();
    let report = seen.sink();
    client.on_socket_register_write(move |_, _| report("register"));
    let report = seen.sink();
    client.on_socket_unregister_write(move |_, _| report("unregister"));
    seen
}

#[test]
fn without_on_socket_register_write_calls_write_again_what_waits_first() {
    let broker = listen();
    let client = mqtt::Client::new("writes");
    let seen = watch_writing(&client);
    client.connect(&broker).unwrap();
    client.loop_write().unwrap();
    eventually("it is connected", || {
        client.loop_read().unwrap();
        client.is_connected()
    });
    seen.so_far();
    client.publish("t", "waits").unwrap();
    assert_eq!((seen.so_far(), client.want_write()), (vec!["register"], true));

    client.callback_clear(Callback::OnSocketRegisterWrite);
    assert_eq!((seen.so_far(), client.want_write()), (vec!["unregister"], false));
    client.publish("t", "does not").unwrap();
    broker_has(&broker, "both messages", |broker| {
        published(broker, "t") == ["waits", "does not"]
    });
    assert_eq!(seen.so_far(), [""; 0]);

    let seen = watch_writing(&client);
    client.publish("t", "waits again").unwrap();
    assert_eq!((seen.so_far(), client.want_write()), (vec!["register"], true));
}

#[test]
fn on_socket_register_write_may_clear_itself() {
    let peer = Peer::listen();
    let client = mqtt::Client::new("writes");
    let seen = watch_writing(&client);
    let report = seen.sink();
    client.on_socket_register_write(move |client, _| {
        report("register");
        client.callback_clear(Callback::OnSocketRegisterWrite);
    });
    client.connect(peer.address()).unwrap();
    assert_eq!(seen.so_far(), ["register", "unregister"]);
    peer.accept().expect_packet(0x10);
}

#[test]
fn what_a_callback_sends_before_it_clears_on_socket_register_write_is_written() {
    let broker = listen();
    let client = mqtt::Client::new("writes");
    let _seen = watch_writing(&client);
    client.on_connect(|client, _, _, _| {
        client.publish("t", "x")?;
        client.callback_clear(Callback::OnSocketRegisterWrite);
        Ok(())
    });
    client.connect(&broker).unwrap();
    client.loop_write().unwrap();
    eventually("it is connected", || {
        client.loop_read().unwrap();
        client.is_connected()
    });
    assert!(
        broker
            .wait_for(PATIENCE, |broker| published(broker, "t") == ["x"])
            .is_ok()
    );
}
