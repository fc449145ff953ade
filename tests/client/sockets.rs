//! The socket callbacks, in the order in which an event loop of the user's own needs them.

use callmq::client as mqtt;

use crate::support::{Events, PATIENCE, Peer, eventually, listen, published, round_trip};

fn watched(client: &mqtt::Client) -> Events<&'static str> {
    let seen = Events::new();
    let report = seen.sink();
    client.on_socket_open(move |_, socket| {
        assert!(socket.peer_addr().is_some() && socket.local_addr().is_some());
        report("open");
    });
    let report = seen.sink();
    client.on_socket_close(move |_, _| report("close"));
    let report = seen.sink();
    client.on_socket_register_write(move |_, _| report("register"));
    let report = seen.sink();
    client.on_socket_unregister_write(move |_, _| report("unregister"));
    seen
}

/// Reads and keeps alive until the condition holds, as an event loop would; writes when it was asked to.
fn turn_until(client: &mqtt::Client, what: &str, condition: impl Fn() -> bool) {
    eventually(what, || {
        if client.want_write() {
            client.loop_write().unwrap();
        }
        client.loop_read().unwrap();
        client.loop_misc().unwrap();
        condition()
    });
}

#[test]
fn a_session_in_an_event_loop_of_the_users_own() {
    let broker = listen();
    let client = mqtt::Client::new("own-loop");
    let seen = watched(&client);
    client.connect(&broker).unwrap();
    assert_eq!(seen.so_far(), ["open", "register"]);
    assert!(client.want_write());
    assert_eq!(client.socket().unwrap().peer_addr(), Some(broker.address()));
    client.loop_write().unwrap();
    assert_eq!(seen.so_far(), ["unregister"]);
    assert!(!client.want_write());
    turn_until(&client, "it is connected", || client.is_connected());

    let info = client.publish_with("t", "x", 2, false).unwrap();
    client.publish("t", "y").unwrap();
    assert_eq!(seen.so_far(), ["register"], "once for both");
    assert!(
        published(&broker, "t").is_empty(),
        "nothing is written but by loop_write"
    );
    turn_until(&client, "the message is published", || info.is_published());
    seen.so_far();

    client.disconnect().unwrap();
    assert!(
        client.is_connected() || client.want_write(),
        "the goodbye waits for loop_write"
    );
    let _ = client.loop_write();
    let events = seen.so_far();
    assert_eq!(events.first(), Some(&"register"), "{events:?}");
    assert_eq!(events.last(), Some(&"close"), "{events:?}");
    assert_eq!(
        events.iter().filter(|event| **event == "unregister").count(),
        1,
        "{events:?}"
    );
    assert!(client.socket().is_none());
}

#[test]
fn the_socket_is_closed_once_however_the_connection_ends() {
    let client = mqtt::Client::new("closes");
    let seen = watched(&client);
    let peer = Peer::listen();
    client.connect(peer.address()).unwrap();
    client.loop_write().unwrap();
    drop(peer.accept_client());
    eventually("the end is seen", || {
        client.loop_read().is_err() || client.loop_misc().is_err()
    });
    let events = seen.so_far();
    assert_eq!(
        events.iter().filter(|event| **event == "open").count(),
        1,
        "{events:?}"
    );
    assert_eq!(
        events.iter().filter(|event| **event == "close").count(),
        1,
        "{events:?}"
    );
    assert_eq!(events.last(), Some(&"close"), "{events:?}");
}

#[test]
fn with_a_loop_of_the_client_the_socket_is_its_own_business() {
    let broker = listen();
    let client = mqtt::Client::new("both");
    let seen = watched(&client);
    client.loop_start().unwrap();
    client.connect_and_wait(&broker, PATIENCE).unwrap();
    round_trip(&client);
    client.disconnect().unwrap();
    let _ = client.loop_stop();
    let events = seen.so_far();
    assert_eq!(events.first(), Some(&"open"), "{events:?}");
    assert_eq!(events.last(), Some(&"close"), "{events:?}");
}

#[cfg(unix)]
#[test]
fn the_file_descriptor_can_be_watched() {
    let broker = listen();
    let client = mqtt::Client::new("watched");
    client.connect(&broker).unwrap();
    assert!(client.socket().unwrap().raw_fd().is_some());
    client.wait_for_connect(PATIENCE).unwrap();
}
