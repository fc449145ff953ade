//! Registering callbacks: `on_connect` and the like.

use std::sync::Arc;

use super::{
    Client, ConnectFlags, DisconnectFlags, DisconnectReason, LogLevel, Message, Outcome, SocketHandle,
};
use crate::codec::{Properties, ReasonCode};
use crate::error::{Error, Result};

/// Registration of closures and functions. [`callback_clear`](Client::callback_clear) takes one back.
impl Client {
    /// Calls `callback` at each CONNACK, good or bad: whether the server has a session, its code, its properties.
    ///
    /// The place to subscribe: what is published or subscribed here leaves when the callback has returned. After a
    /// refusal `on_disconnect` follows, and the loops try again.
    ///
    /// Callbacks run on the thread that runs the loop, one at a time, with no lock held: they may call any method of
    /// the client, also this one, and should not wait for the network. Calls that would wait for the loop return
    /// [`Error::WouldDeadlock`]. An error or a panic is logged and reported to the caller of the loop.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::new("foo1");
    /// client.on_connect(|client, _flags, reason_code, _properties| {
    ///     println!("Connected with result code {}", reason_code.value());
    ///     client.subscribe("test/topic")
    /// });
    /// ```
    pub fn on_connect<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, ConnectFlags, ReasonCode, &Properties) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks().slot(|slots| &slots.connect).set(Box::new(
            move |client, flags, reason, properties| {
                callback(client, flags, reason, properties).into_result()
            },
        ));
        self
    }

    /// Calls `callback` when an attempt of the loop to connect failed before the CONNACK, with the reason.
    ///
    /// Unless [`reconnect_if`](Client::reconnect_if) or [`reconnect_on_failure_set`](Client::reconnect_on_failure_set)
    /// says otherwise, the loop goes on trying. Not called for [`connect`](Client::connect) and
    /// [`reconnect`](Client::reconnect), which return the error. For what a callback may do see
    /// [`on_connect`](Client::on_connect).
    pub fn on_connect_fail<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &Error) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.connect_fail)
            .set(Box::new(move |client, error| {
                callback(client, error).into_result()
            }));
        self
    }

    /// Calls `callback` before each attempt to open a connection: the place for fresh credentials
    /// ([`username_pw_set`](Client::username_pw_set)).
    ///
    /// Of a list of servers it is called for each that is tried; [`server`](Client::server) tells which one it is, so that
    /// credentials, TLS and the like can be those for that server.
    ///
    /// Runs on the thread that connects: the loop's, or that of the call to [`connect`](Client::connect). An error
    /// gives the attempt up. Two threads that connect at once take turns; only for an attempt that a callback of this
    /// kind (`on_pre_connect`, `on_socket_..`) makes itself it is not called while it runs. For what a callback may
    /// do see [`on_connect`](Client::on_connect).
    pub fn on_pre_connect<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.pre_connect)
            .set(Box::new(move |client| callback(client).into_result()));
        self
    }

    /// Calls `callback` once for each connection that ends: after `disconnect`, a loss, a refused CONNACK.
    ///
    /// `is_connected()` is false by then. [`DisconnectFlags::reason`] has the true reason; the code is its closest code
    /// of MQTT 5.0, in every version, or the code of a refusing CONNACK. For what a callback may do see
    /// [`on_connect`](Client::on_connect).
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::default();
    /// client.on_disconnect(|_client, flags, reason_code, _properties| {
    ///     println!("disconnected: {reason_code} ({})", flags.reason);
    /// });
    /// ```
    pub fn on_disconnect<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, DisconnectFlags, ReasonCode, &Properties) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks().slot(|slots| &slots.disconnect).set(Box::new(
            move |client, flags, reason, properties| {
                callback(client, flags, reason, properties).into_result()
            },
        ));
        self
    }

    /// Calls `callback` for each message that no filter callback
    /// ([`message_callback_add`](Client::message_callback_add), [`subscribe_with`](Client::subscribe_with)) matches.
    ///
    /// A message of QoS 1 or 2 is acknowledged when the callback has returned, and not if it failed (see also
    /// [`manual_ack_set`](Client::manual_ack_set)). For what a callback may do see [`on_connect`](Client::on_connect).
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::default();
    /// client.on_message(|_client, msg| println!("Received message: {} on topic {}", msg.payload, msg.topic));
    /// ```
    pub fn on_message<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &Message) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.message)
            .set(Box::new(move |client, message| {
                callback(client, message).into_result()
            }));
        self
    }

    /// Calls `callback` when a message is finished: QoS 0 written to the socket, QoS 1 at its PUBACK, QoS 2 at its
    /// PUBCOMP.
    ///
    /// Gets the message id, the server's code and its properties. The code is always a success before MQTT 5.0; there
    /// it may be a refusal, with QoS 2 at the PUBREC. It may run before `publish` returns. For what a callback may do
    /// see [`on_connect`](Client::on_connect).
    pub fn on_publish<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, u16, ReasonCode, &Properties) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks().slot(|slots| &slots.publish).set(Box::new(
            move |client, mid, reason, properties| callback(client, mid, reason, properties).into_result(),
        ));
        self.report_qos0();
        self
    }

    /// Calls `callback` at each SUBACK, with the id of the request and one code for each of its filters, in their
    /// order.
    ///
    /// Subscriptions that the client renews by itself are reported too. For what a callback may do see
    /// [`on_connect`](Client::on_connect).
    pub fn on_subscribe<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, u16, &[ReasonCode], &Properties) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks().slot(|slots| &slots.subscribe).set(Box::new(
            move |client, mid, reasons, properties| callback(client, mid, reasons, properties).into_result(),
        ));
        self
    }

    /// Calls `callback` at each UNSUBACK, with the id of the request. The list of codes is empty before MQTT 5.0.
    ///
    /// For what a callback may do see [`on_connect`](Client::on_connect).
    pub fn on_unsubscribe<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, u16, &[ReasonCode], &Properties) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks().slot(|slots| &slots.unsubscribe).set(Box::new(
            move |client, mid, reasons, properties| callback(client, mid, reasons, properties).into_result(),
        ));
        self
    }

    /// Calls `callback` with each log line: one line per packet at [`LogLevel::Debug`], failures at [`LogLevel::Err`].
    ///
    /// The texts are those of paho-mqtt. Runs on whatever thread produced the line, also on several at once, with no
    /// lock held. Lines that its own calls would produce are left out; a panic in it is caught and not reported.
    /// Payloads and passwords are in no line.
    pub fn on_log<F>(&self, callback: F) -> &Self
    where
        F: Fn(&Client, LogLevel, &str) + Send + Sync + 'static,
    {
        self.callbacks().log.set(Arc::new(callback));
        self.trace_packets();
        self
    }

    /// Calls `callback` when a socket was opened that an event loop of your own should watch for reading.
    ///
    /// Runs before CONNECT is written. An error closes the connection; [`connect`](Client::connect) returns it. Threads
    /// take turns as for [`on_pre_connect`](Client::on_pre_connect).
    pub fn on_socket_open<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &SocketHandle) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.socket_open)
            .set(Box::new(move |client, socket| {
                callback(client, socket).into_result()
            }));
        self
    }

    /// Calls `callback` before the socket is closed: an event loop of your own then forgets it.
    pub fn on_socket_close<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &SocketHandle) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.socket_close)
            .set(Box::new(move |client, socket| {
                callback(client, socket).into_result()
            }));
        self
    }

    /// Calls `callback` when there is something to write: an event loop of your own then watches for the socket to be
    /// writable, and calls [`loop_write`](Client::loop_write).
    ///
    /// While this is set and no loop of this crate runs, nothing is written but by `loop_write`.
    pub fn on_socket_register_write<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &SocketHandle) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.socket_register_write)
            .set(Box::new(move |client, socket| {
                callback(client, socket).into_result()
            }));
        self
    }

    /// Calls `callback` when everything is written, or the connection has ended: an event loop of your own need not
    /// watch for the socket to be writable any more.
    pub fn on_socket_unregister_write<F, R>(&self, mut callback: F) -> &Self
    where
        F: FnMut(&Client, &SocketHandle) -> R + Send + 'static,
        R: Outcome,
    {
        self.callbacks()
            .slot(|slots| &slots.socket_unregister_write)
            .set(Box::new(move |client, socket| {
                callback(client, socket).into_result()
            }));
        self
    }

    /// Asks `decide` before each attempt of the loop to reconnect. Without it the loop goes on for ever.
    ///
    /// It gets why the connection ended or could not be made, and how many attempts were made since the last good
    /// connection (0 before the first). `false` ends the loop with that reason: `loop_forever` returns it, after
    /// `loop_start` `loop_stop` does. A panic counts as `true`.
    ///
    /// ```
    /// use callmq::client as mqtt;
    /// use mqtt::DisconnectReason;
    ///
    /// let client = mqtt::Client::default();
    /// // A wrong password does not get better.
    /// client.reconnect_if(|_client, reason, attempts| {
    ///     let refused = matches!(reason, DisconnectReason::Refused(code) if *code == "Not authorized");
    ///     !refused && attempts < 100
    /// });
    /// ```
    pub fn reconnect_if<F>(&self, mut decide: F) -> &Self
    where
        F: FnMut(&Client, &DisconnectReason, u32) -> bool + Send + 'static,
    {
        self.callbacks()
            .slot(|slots| &slots.reconnect_if)
            .set(Box::new(move |client, reason, attempts| {
                decide(client, reason, attempts)
            }));
        self
    }

    /// Calls `callback` for messages whose topic matches `filter`, instead of `on_message`. Does not subscribe.
    ///
    /// All callbacks whose filter matches are called, the most specific first. A filter has one callback of this kind:
    /// the last one set. `$share/GROUP/` in front takes no part in matching: with `"$share/workers/jobs/+"` the callback
    /// gets what comes on `jobs/1`. For what a callback may do see
    /// [`on_connect`](Client::on_connect); with QoS 1 and 2 the message is acknowledged when all of them have returned,
    /// and not if one failed.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the filter is not valid.
    pub fn message_callback_add<F, R>(&self, filter: impl AsRef<str>, mut callback: F) -> Result<()>
    where
        F: FnMut(&Client, &Message) -> R + Send + 'static,
        R: Outcome,
    {
        let filter = filter.as_ref();
        crate::topic::check_filter(filter)?;
        self.callbacks().filters.set(
            filter,
            Box::new(move |client, message| callback(client, message).into_result()),
        )
    }

    /// Removes the callbacks of a filter, also those of [`subscribe_with`](Client::subscribe_with). Does not
    /// unsubscribe.
    ///
    /// The filter is compared letter by letter. If none was registered with just this spelling, those count that differ
    /// in `$share/GROUP/`: `"jobs/#"` stands for `"$share/workers/jobs/#"`, too, and the other way round. A filter without
    /// callbacks is ignored.
    pub fn message_callback_remove(&self, filter: &str) {
        self.callbacks().filters.remove(filter);
    }
}
