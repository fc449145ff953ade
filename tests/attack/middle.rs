//! Calls in the middle of messages that came together: they may change everything about the client, and what is left
//! of the messages does it no harm.

use callmq::client::{Callback, Client, Message};
use crossbeam_channel::{bounded, unbounded};

use crate::support::peer::{CONNACK, Connection, Peer};
use crate::tools::{LONG, packet, within};

/// The call is made while this message is handed out.
const MIDDLE: usize = 20;

/// A hundred messages of each QoS; those of QoS 2 are released behind them.
fn messages() -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in 1..=100u16 {
        let id = id.to_be_bytes();
        bytes.extend(packet(0x30, b"\0\x01tx"));
        bytes.extend(packet(0x32, &[&b"\0\x01t"[..], &id, b"x"].concat()));
        bytes.extend(packet(
            0x34,
            &[&b"\0\x01t"[..], &[0x40 | id[0], id[1]], b"x"].concat(),
        ));
    }
    for id in 1..=100u16 {
        let id = id.to_be_bytes();
        bytes.extend(packet(0x62, &[0x40 | id[0], id[1]]));
    }
    bytes
}

fn accept(peer: &Peer) -> Connection {
    let mut connection = peer.accept();
    connection.expect_packet(0x10);
    connection.send(CONNACK);
    connection
}

/// Given the address of another server.
type Call = fn(&Client, (&'static str, u16));

const CALLS: &[(&str, Call)] = &[
    ("connect", |client, other| drop(client.connect(other))),
    ("connect_async", |client, other| drop(client.connect_async(other))),
    ("disconnect", |client, _| drop(client.disconnect())),
    ("disconnect and connect", |client, other| {
        let _ = client.disconnect();
        let _ = client.connect(other);
    }),
    ("reconnect", |client, _| drop(client.reconnect())),
    ("loop_stop", |client, _| drop(client.loop_stop())),
    ("reinitialise", |client, other| {
        let _ = client.reinitialise("b", true);
        client.on_message(|_, _| {});
        let _ = client.connect(other);
        let _ = client.loop_start();
    }),
    ("on_message", |client, _| {
        client.on_message(|_, _| {});
    }),
    ("no on_message", |client, _| {
        client.callback_clear(Callback::OnMessage);
    }),
    ("a filter", |client, _| {
        drop(client.message_callback_add("t", |_, _| {}))
    }),
    ("a channel", |client, _| std::mem::forget(client.messages(1_000))),
    ("a channel that is gone", |client, _| drop(client.messages(1))),
    ("manual_ack", |client, _| client.manual_ack_set(true)),
    ("a large payload", |client, _| {
        for _ in 0..5 {
            let _ = client.publish("large", [7; 100_000].as_slice());
        }
    }),
    ("a panic", |_, _| panic!("in the middle")),
    ("a panic inside another", |client, _| {
        let _ = client.message_callback_add("t", |_, _| -> callmq::Result<()> { panic!("in the middle") });
        panic!("here as well");
    }),
];

#[test]
fn whatever_is_called_in_the_middle_of_messages_the_client_goes_on() {
    for (name, call) in CALLS {
        within(LONG, move || {
            let (first, second) = (Peer::listen(), Peer::listen());
            let other = second.address();
            let client = Client::new("middle");
            client.reconnect_delay_set(0.001, 0.001).unwrap();
            let mut count = 0;
            let (told, tells) = bounded(1);
            client.on_message(move |client, _| {
                count += 1;
                if count == MIDDLE {
                    let _ = told.send(());
                    call(client, other);
                }
            });
            client.loop_start().unwrap();
            client.connect(first.address()).unwrap();
            let mut connection = accept(&first);
            client.wait_for_connect(LONG).unwrap();
            connection.send(&messages());
            tells.recv_timeout(LONG).unwrap();

            // Whatever became of it: with another server it begins anew, and that hears nothing of the messages before.
            client.loop_stop().ok();
            client.manual_ack_set(false);
            client.message_callback_remove("t");
            let (sender, delivered) = unbounded();
            client.on_message(move |_, message: &Message| {
                sender.send(message.payload.to_vec()).map_err(Into::into)
            });
            client
                .loop_start()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let third = Peer::listen();
            client.connect(third.address()).unwrap();
            let mut connection = accept(&third);
            client.wait_for_connect(LONG).unwrap();
            connection.send(&packet(0x32, b"\0\x01t\x30\x39last"));
            while delivered.recv_timeout(LONG).unwrap() != b"last" {}
            connection.expect(b"\x40\x02\x30\x39");
            client.disconnect().unwrap();
            connection.expect_goodbye();
        });
    }
}
