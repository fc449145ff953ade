//! The client over WebSocket.

mod closing;
mod failures;
mod frames;
mod settings;

use std::sync::mpsc::{self, Receiver};

use callmq::client as mqtt;

fn websocket_error(error: mqtt::Error) -> mqtt::WebSocketError {
    match error {
        mqtt::Error::WebSocket(error) => error,
        other => panic!("{other:#}"),
    }
}

/// Why the connections of this client end. It does not reconnect.
fn ends(client: &mqtt::Client) -> Receiver<mqtt::DisconnectReason> {
    let (sender, ends) = mpsc::channel();
    client.on_disconnect(move |_, flags, _, _| drop(sender.send(flags.reason.clone())));
    client.reconnect_on_failure_set(false);
    ends
}
