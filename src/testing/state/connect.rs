//! CONNECT: who is admitted and with which limits, take-over of another connection, the session that goes on.

use std::time::Duration;

use super::connection::{PendingWill, Phase};
use super::message::Message;
use super::session::Session;
use super::{ConnectionId, End, Options, State};
use crate::codec::{
    ConnAck, Connect, Packet, Properties, Property, ProtocolVersion, Publish, QoS, ReasonCode, Will,
};

/// What the properties of a CONNECT say, or their defaults.
#[derive(Debug)]
struct Wishes {
    session_expiry: u32,
    receive_maximum: u16,
    max_packet_size: usize,
    topic_alias_maximum: u16,
    authentication_method: bool,
    response_information: bool,
}

impl State {
    pub(super) fn handle_connect(&mut self, id: ConnectionId, mut connect: Connect) -> Result<(), End> {
        let version = connect.version;
        let wishes = Wishes::of(&connect);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.version = version;
            connection.max_packet_size = wishes.max_packet_size;
        }
        if let Some(reason) = self.connect_refusal(&connect, &wishes) {
            return Err(End::Refused(reason));
        }
        let assigned = connect.client_id.is_empty();
        if assigned {
            connect.client_id = self.make_up_client_id();
        }
        let client_id = connect.client_id.as_str();

        if let Some(old) = self
            .sessions
            .get(client_id)
            .and_then(|session| session.connection)
        {
            self.log.line(format!(
                "Client {client_id} already connected, closing old connection."
            ));
            self.end(old, End::TakenOver);
        }
        if connect.clean_start {
            self.end_session(client_id);
        }
        let session_present = self.sessions.contains_key(client_id);
        if !session_present && self.sessions.len() >= self.options.max_sessions {
            return Err(End::Refused(ReasonCode::QUOTA_EXCEEDED));
        }

        let session = self
            .sessions
            .entry(client_id.to_owned())
            .or_insert_with(|| Session::new(client_id));
        session.resume(id);
        session.expiry = session_expiry(wishes.session_expiry, &self.options);
        session.window = usize::from(wishes.receive_maximum.min(self.options.max_inflight).max(1));
        self.open(id, &connect, &wishes);
        self.log_connect(id, &connect);

        let mut properties = Properties::default();
        if version == ProtocolVersion::V5 {
            self.announce(&mut properties, wishes.session_expiry);
            if assigned {
                properties.push(Property::AssignedClientIdentifier(client_id.to_owned()));
            }
            // Only where it was asked for [MQTT-3.1.2-28].
            if let (Some(base), true) = (&self.options.response_information, wishes.response_information) {
                properties.push(Property::ResponseInformation(format!("{base}/{client_id}")));
            }
        }
        let reason = ReasonCode::SUCCESS;
        self.send(
            id,
            &Packet::ConnAck(ConnAck {
                session_present,
                reason,
                properties,
            }),
        );
        self.pump(client_id);
        Ok(())
    }

    /// Why this CONNECT gets no session.
    fn connect_refusal(&self, connect: &Connect, wishes: &Wishes) -> Option<ReasonCode> {
        let options = &self.options;
        let v5 = connect.version == ProtocolVersion::V5;
        if options.refused_versions.contains(&connect.version) {
            return Some(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        }
        if wishes.authentication_method {
            return Some(ReasonCode::BAD_AUTHENTICATION_METHOD);
        }
        // An empty identifier: never in 3.1, only for a session that ends with the connection in 3.1.1 [MQTT-3.1.3-8].
        let must_have_id = connect.version == ProtocolVersion::V31 || (!v5 && !connect.clean_start);
        if connect.client_id.is_empty() && must_have_id {
            return Some(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        if !options.admits(connect.username.as_deref(), connect.password.as_deref()) {
            return Some(ReasonCode::NOT_AUTHORIZED);
        }
        if let Some(will) = &connect.will {
            if will.qos > options.max_qos {
                return Some(ReasonCode::QOS_NOT_SUPPORTED);
            }
            if will.retain && !options.retain {
                return Some(ReasonCode::RETAIN_NOT_SUPPORTED);
            }
        }
        let connected = self
            .sessions
            .values()
            .filter(|session| session.connection.is_some())
            .count();
        if connected >= options.max_connections {
            return Some(ReasonCode::SERVER_BUSY);
        }
        None
    }

    /// The connection is accepted.
    fn open(&mut self, id: ConnectionId, connect: &Connect, wishes: &Wishes) {
        let keep_alive = match (connect.version, self.options.server_keep_alive) {
            (ProtocolVersion::V5, Some(seconds)) => seconds,
            _ => connect.keep_alive,
        };
        let will = connect
            .will
            .as_ref()
            .map(|will| self.pending_will(&connect.client_id, will));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Open {
                client_id: connect.client_id.clone(),
            };
            // [MQTT-3.1.2-22]
            connection.max_silence =
                (keep_alive != 0).then(|| Duration::from_secs(u64::from(keep_alive)).mul_f64(1.5));
            connection.topic_alias_maximum = wishes.topic_alias_maximum;
            connection.will = will;
        }
    }

    fn pending_will(&self, client_id: &str, will: &Will) -> PendingWill {
        let delay = will.properties.will_delay_interval().unwrap_or(0);
        let publish = Publish {
            dup: false,
            qos: will.qos,
            retain: will.retain,
            topic: will.topic.clone(),
            packet_id: None,
            properties: will.properties.clone(),
            payload: will.payload.clone(),
        };
        let message = Message::new(&publish, Some(client_id), self.now);
        PendingWill {
            message,
            delay: Duration::from_secs(u64::from(delay)),
        }
    }

    fn log_connect(&mut self, id: ConnectionId, connect: &Connect) {
        let peer = self
            .connections
            .get(&id)
            .map_or("", |connection| connection.peer.as_str());
        // mosquitto numbers the versions 1, 2 and 5.
        let version = match connect.version {
            ProtocolVersion::V31 => 1,
            ProtocolVersion::V311 => 2,
            ProtocolVersion::V5 => 5,
        };
        let user = connect
            .username
            .as_ref()
            .map_or(String::new(), |name| format!(", u'{name}'"));
        self.log.line(format!(
            "New client connected from {peer} as {} (p{version}, c{}, k{}{user}).",
            connect.client_id,
            u8::from(connect.clean_start),
            connect.keep_alive
        ));
        match &connect.will {
            None => self.log.line("No will message specified."),
            Some(will) => {
                self.log.line(format!(
                    "Will message specified ({} bytes) (r{}, q{}).",
                    will.payload.len(),
                    u8::from(will.retain),
                    will.qos as u8
                ));
                self.log.line(format!("\t{}", will.topic.as_str()));
            }
        }
    }

    /// The properties of a CONNACK that say what this broker does not do by default.
    fn announce(&self, properties: &mut Properties, wanted_expiry: u32) {
        let options = &self.options;
        if let Some(maximum) = options
            .session_expiry_maximum
            .filter(|&maximum| wanted_expiry > maximum)
        {
            properties.push(Property::SessionExpiryInterval(maximum));
        }
        if options.topic_alias_maximum != 0 {
            properties.push(Property::TopicAliasMaximum(options.topic_alias_maximum));
        }
        if options.receive_maximum != u16::MAX {
            properties.push(Property::ReceiveMaximum(options.receive_maximum));
        }
        if options.max_qos != QoS::ExactlyOnce {
            properties.push(Property::MaximumQoS(options.max_qos as u8));
        }
        if let Some(bytes) = options.max_packet_size {
            properties.push(Property::MaximumPacketSize(bytes));
        }
        if let Some(seconds) = options.server_keep_alive {
            properties.push(Property::ServerKeepAlive(seconds));
        }
        if !options.retain {
            properties.push(Property::RetainAvailable(0));
        }
        if !options.wildcard_subscriptions {
            properties.push(Property::WildcardSubscriptionAvailable(0));
        }
        if !options.subscription_identifiers {
            properties.push(Property::SubscriptionIdentifierAvailable(0));
        }
        if !options.shared_subscriptions {
            properties.push(Property::SharedSubscriptionAvailable(0));
        }
    }

    /// CONNACK with a code that refuses: the client has no name yet, so the log has its host.
    pub(super) fn send_refusal(&mut self, id: ConnectionId, reason: ReasonCode) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let host = connection.peer_host().to_owned();
        let reason = match connection.version {
            ProtocolVersion::V5 => reason,
            _ => ReasonCode::from_connack_v3(connack_v3(reason)),
        };
        let properties = Properties::default();
        self.send_as(
            id,
            &host,
            &Packet::ConnAck(ConnAck {
                session_present: false,
                reason,
                properties,
            }),
        );
    }

    /// In the shape of mosquitto's, but the same in each run.
    fn make_up_client_id(&mut self) -> String {
        loop {
            let name = format!("auto-{:08X}-0000-4000-8000-000000000000", self.next_name);
            self.next_name = self.next_name.wrapping_add(1);
            if !self.sessions.contains_key(&name) {
                return name;
            }
        }
    }
}

impl Wishes {
    fn of(connect: &Connect) -> Self {
        let properties = &connect.properties;
        Self {
            session_expiry: match (connect.version, connect.clean_start) {
                (ProtocolVersion::V5, _) => properties.session_expiry_interval().unwrap_or(0),
                (_, true) => 0,
                (_, false) => u32::MAX,
            },
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            max_packet_size: properties
                .maximum_packet_size()
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(usize::MAX),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            authentication_method: properties.authentication_method().is_some(),
            response_information: properties.request_response_information() == Some(true),
        }
    }
}

/// How long a session stays; `None`: for ever (0xFFFFFFFF, MQTT 5.0, section 3.1.2.11.2).
pub(super) fn session_expiry(seconds: u32, options: &Options) -> Option<Duration> {
    let seconds = options
        .session_expiry_maximum
        .map_or(seconds, |maximum| seconds.min(maximum));
    (seconds != u32::MAX).then(|| Duration::from_secs(u64::from(seconds)))
}

/// The return code of MQTT 3 that comes nearest: "not authorized" where there is none.
fn connack_v3(reason: ReasonCode) -> u8 {
    const CODES: [(ReasonCode, u8); 6] = [
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (ReasonCode::SERVER_UNAVAILABLE, 3),
        (ReasonCode::SERVER_BUSY, 3),
        (ReasonCode::QUOTA_EXCEEDED, 3),
        (ReasonCode::BAD_USERNAME_OR_PASSWORD, 4),
    ];
    CODES
        .iter()
        .find(|(code, _)| *code == reason)
        .map_or(5, |(_, number)| *number)
}
