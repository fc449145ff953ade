//! Taking callbacks back (`client.on_message = None`), and what else changes with a callback that is set or cleared.

use super::{Client, logging};

/// Names a callback, for [`Client::callback_clear`]. Those of filters have their own
/// [`message_callback_remove`](Client::message_callback_remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callback {
    /// [`Client::on_connect`]
    OnConnect,
    /// [`Client::on_connect_fail`]
    OnConnectFail,
    /// [`Client::on_pre_connect`]
    OnPreConnect,
    /// [`Client::on_disconnect`]
    OnDisconnect,
    /// [`Client::on_message`]
    OnMessage,
    /// [`Client::on_publish`]
    OnPublish,
    /// [`Client::on_subscribe`]
    OnSubscribe,
    /// [`Client::on_unsubscribe`]
    OnUnsubscribe,
    /// [`Client::on_log`]
    OnLog,
    /// [`Client::on_socket_open`]
    OnSocketOpen,
    /// [`Client::on_socket_close`]
    OnSocketClose,
    /// [`Client::on_socket_register_write`]
    OnSocketRegisterWrite,
    /// [`Client::on_socket_unregister_write`]
    OnSocketUnregisterWrite,
    /// [`Client::reconnect_if`]
    ReconnectIf,
    /// [`Client::on_auth`] and [`Client::authenticator_set`]
    OnAuth,
    /// [`Client::on_redirect`]
    OnRedirect,
}

impl Client {
    /// Takes a callback back: from now on it is as if it had never been set.
    ///
    /// A call that another thread is in goes on to its end. A callback may clear itself; what it captured is dropped
    /// when it has returned. Without [`on_socket_register_write`](Self::on_socket_register_write) calls write by
    /// themselves again, beginning with what waits; `on_socket_unregister_write` is told, if it is set.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::default();
    /// client.on_message(|client, msg| {
    ///     println!("the first message: {}", msg.payload);
    ///     client.callback_clear(mqtt::Callback::OnMessage);
    /// });
    /// ```
    #[doc(alias = "None")]
    pub fn callback_clear(&self, callback: Callback) -> &Self {
        let callbacks = self.callbacks();
        match callback {
            Callback::OnConnect => callbacks.connect.clear(),
            Callback::OnConnectFail => callbacks.connect_fail.clear(),
            Callback::OnPreConnect => callbacks.pre_connect.clear(),
            Callback::OnDisconnect => callbacks.disconnect.clear(),
            Callback::OnMessage => callbacks.message.clear(),
            Callback::OnPublish => {
                callbacks.publish.clear();
                self.report_qos0();
            }
            Callback::OnSubscribe => callbacks.subscribe.clear(),
            Callback::OnUnsubscribe => callbacks.unsubscribe.clear(),
            Callback::OnLog => {
                callbacks.log.clear();
                self.trace_packets();
            }
            Callback::OnSocketOpen => callbacks.socket_open.clear(),
            Callback::OnSocketClose => callbacks.socket_close.clear(),
            Callback::OnSocketRegisterWrite => {
                callbacks.socket_register_write.clear();
                self.write_directly();
            }
            Callback::OnSocketUnregisterWrite => callbacks.socket_unregister_write.clear(),
            Callback::ReconnectIf => callbacks.reconnect_if.clear(),
            Callback::OnAuth => callbacks.auth.clear(),
            Callback::OnRedirect => callbacks.redirect.clear(),
        }
        self
    }

    /// `on_publish` was set or cleared: whether messages of QoS 0 are reported from now on.
    pub(super) fn report_qos0(&self) {
        let mut core = self.shared().lock();
        // Looked up under the lock, so that of two threads the last one has the last word.
        core.session.settings.report_qos0 = self.callbacks().publish.is_set();
    }

    /// `on_socket_register_write` was cleared: what waited for an event loop of the user's own is written.
    pub(super) fn write_directly(&self) {
        let shared = self.shared();
        let written = shared.after_command(shared.lock());
        shared.keep_failure(written);
    }

    /// `on_log` or the logger was set or cleared: whether somebody wants to see each packet from now on.
    pub(super) fn trace_packets(&self) {
        let logged = logging::logged(self.shared());
        let mut core = self.shared().lock();
        core.session.settings.trace = logged || self.callbacks().log.is_set();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_hears_is_not_reported_by_the_session() {
        let client = Client::default();
        let reported = || {
            let core = client.shared().lock();
            (core.session.settings.trace, core.session.settings.report_qos0)
        };
        client.on_log(|_, _, _| {}).on_publish(|_, _, _, _| {});
        assert_eq!(reported(), (true, true));
        client.callback_clear(Callback::OnLog);
        assert_eq!(reported(), (false, true));
        client.callback_clear(Callback::OnPublish);
        assert_eq!(reported(), (false, false));
    }
}
