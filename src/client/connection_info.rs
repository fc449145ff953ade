//! What a server says about itself and about the connection.

use super::Client;
use super::shared::Core;
use crate::codec::{Properties, ProtocolVersion, QoS};

/// What is known about the present connection: what the server announced in its CONNACK, and what follows from that.
///
/// From [`Client::connection_info`]. The names are those of the properties of MQTT 5.0; where the CONNACK left one out,
/// and before MQTT 5.0, the field has the value that the standard gives that.
///
/// See MQTT 5.0, section 3.2.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The client id in use: the client's own, or the one that the server assigned to a client without.
    pub client_id: String,
    /// Whether the server has kept the session.
    pub session_present: bool,
    /// The Keep Alive in force, in seconds: the server's, if it demands one, or the client's. 0: none.
    pub keep_alive: u16,
    /// How long the server keeps the session after the connection, in seconds; `u32::MAX` is for ever. Before MQTT 5.0
    /// that is 0 with a clean session, and `u32::MAX` without.
    pub session_expiry_interval: u32,
    /// How many messages of QoS 1 and 2 may be on their way to the server at once.
    pub receive_maximum: u16,
    /// The highest QoS with which the server takes messages; see
    /// [`ClientBuilder::lower_qos`](super::ClientBuilder::lower_qos).
    pub maximum_qos: QoS,
    /// Whether the server takes retained messages.
    pub retain_available: bool,
    /// The largest packet that the server takes, in bytes; `None`: it takes any.
    pub maximum_packet_size: Option<u32>,
    /// How many Topic Aliases may be used; 0: none.
    pub topic_alias_maximum: u16,
    /// Whether the server takes filters with `+` and `#`.
    pub wildcard_subscription_available: bool,
    /// Whether the server takes Subscription Identifiers. Always `false` before MQTT 5.0.
    pub subscription_identifier_available: bool,
    /// Whether the server takes shared subscriptions, `$share/GROUP/FILTER`. Before MQTT 5.0 some servers do, and none
    /// says so: there it is `true`.
    pub shared_subscription_available: bool,
    /// What Response Topics may be made from, if it was asked for (`RequestResponseInformation`) and the server has it.
    pub response_information: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// What the server says in words, for logs.
    pub reason_string: Option<String>,
    /// All properties of the CONNACK, also those of the application's own (`UserProperty`).
    pub properties: Properties,
}

impl Client {
    /// Returns what the server said when it accepted the present connection: its limits, the client id that it assigned,
    /// the Keep Alive in force ..
    ///
    /// `None` unless there is a connection that the server has accepted; from `on_connect` on there is. Messages and
    /// subscriptions that these limits do not allow are refused with [`Error::NotAllowed`](super::Error::NotAllowed).
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::builder("foo1").protocol(mqtt::MQTTv5).build();
    /// client.connect_and_wait("localhost", 5)?;
    /// if let Some(info) = client.connection_info() {
    ///     println!("QoS up to {}, packets up to {:?} bytes", info.maximum_qos, info.maximum_packet_size);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn connection_info(&self) -> Option<ConnectionInfo> {
        self.shared().lock().connection_info()
    }
}

impl Core {
    fn connection_info(&self) -> Option<ConnectionInfo> {
        // Not before `on_connect` can be told.
        self.accepted_at?;
        let (properties, limits) = self.session.connack()?;
        let settings = &self.session.settings;
        let v5 = settings.version == ProtocolVersion::V5;
        let asked = if v5 {
            self.session.session_expiry()
        } else if settings.clean_start {
            0
        } else {
            u32::MAX
        };
        Some(ConnectionInfo {
            client_id: settings.client_id.clone(),
            session_present: self.session_present,
            keep_alive: limits.keep_alive.unwrap_or(settings.keep_alive),
            session_expiry_interval: properties.session_expiry_interval().unwrap_or(asked),
            receive_maximum: limits.receive_maximum,
            maximum_qos: limits.maximum_qos,
            retain_available: limits.retain_available,
            maximum_packet_size: properties.maximum_packet_size(),
            topic_alias_maximum: limits.topic_alias_maximum,
            wildcard_subscription_available: limits.wildcard_subscription_available,
            subscription_identifier_available: v5 && limits.subscription_identifier_available,
            shared_subscription_available: limits.shared_subscription_available,
            response_information: properties.response_information().map(str::to_owned),
            server_reference: properties.server_reference().map(str::to_owned),
            reason_string: properties.reason_string().map(str::to_owned),
            properties: properties.clone(),
        })
    }
}
