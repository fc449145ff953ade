//! What the loops do by default after each way in which a server ends a connection.

use super::{DisconnectReason, Error, TlsReason, WebSocketReason};

/// How the loops go on after a connection has ended, where [`reconnect_if`](super::Client::reconnect_if) does not say
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// With the delays of [`reconnect_delay_set`](super::Client::reconnect_delay_set), which double.
    Backoff,
    /// With the longest of these delays at once: to come back soon would change nothing, or do harm.
    Slow,
}

use Retry::{Backoff, Slow};

/// For each code of a CONNACK or DISCONNECT of MQTT 5.0 that a server may end a connection with: how the loops go on,
/// and whether the same attempt will come to the same end.
const TABLE: &[(u8, Retry, bool)] = &[
    // DISCONNECT without a complaint: the server may just have been told to let go.
    (0x00, Backoff, false),
    // Says nothing about what comes next.
    (0x80, Backoff, false),
    // It did not understand us, or we it; the next connection may not come to that point.
    (0x81, Backoff, false),
    (0x82, Backoff, false),
    (0x83, Backoff, false),
    // Another server, or another version (`fallback`), is needed.
    (0x84, Slow, true),
    // The client id will be the same.
    (0x85, Slow, true),
    // The same credentials will be refused again, but `on_pre_connect` or the authenticator may have fresh ones: the
    // first attempt comes soon.
    (0x86, Backoff, true),
    (0x87, Backoff, true),
    // Gone for a while.
    (0x88, Backoff, false),
    (0x89, Backoff, false),
    // A ban is lifted by somebody, not by asking.
    (0x8A, Slow, true),
    // A restart, as a rule.
    (0x8B, Backoff, false),
    // The method will be the same.
    (0x8C, Slow, true),
    // The network was away.
    (0x8D, Backoff, false),
    // Another client has this id: coming back throws it out, and so on.
    (0x8E, Slow, true),
    // Subscriptions and messages are sent again as they are.
    (0x8F, Slow, true),
    (0x90, Slow, true),
    // A new connection starts with an empty window, and without aliases.
    (0x93, Backoff, false),
    (0x94, Backoff, false),
    // What was too large will be again.
    (0x95, Slow, true),
    // Too much of something: less of it is wanted.
    (0x96, Slow, false),
    (0x97, Slow, false),
    // Somebody has just thrown us out by hand.
    (0x98, Slow, false),
    // A will, a message or a subscription that this server does not take.
    (0x99, Slow, true),
    (0x9A, Slow, true),
    (0x9B, Slow, true),
    // For now. `on_redirect` follows.
    (0x9C, Backoff, false),
    // For good: nobody will be here. `on_redirect` follows.
    (0x9D, Slow, true),
    (0x9E, Slow, true),
    // Connecting less often is what it asks for.
    (0x9F, Slow, false),
    // The time was up, and the next connection gets as much again.
    (0xA0, Backoff, false),
    (0xA1, Slow, true),
    (0xA2, Slow, true),
];

/// What follows from a reason.
impl DisconnectReason {
    /// Returns how the loops go on after this, if [`reconnect_if`](super::Client::reconnect_if) lets them.
    ///
    /// They always do go on, as in paho-mqtt; only how soon differs. MQTT 3 has [`Retry::Backoff`] throughout, and so
    /// have connections that were lost or could not be made: also where TLS fails for good, since certificates and files
    /// are replaced without a word. Another server of a list is tried without any delay. For the codes of MQTT 5.0,
    /// in CONNACK and DISCONNECT:
    ///
    /// | code | name | retry | [permanent](Self::is_permanent) | because |
    /// |---|---|---|---|---|
    /// | 0x00 | Normal disconnection | back-off | | it may come back |
    /// | 0x80 - 0x83 | Unspecified, Malformed packet, Protocol, Implementation specific error | back-off | | the next connection may not come to that point |
    /// | 0x84, 0x85 | Unsupported protocol version, Client identifier not valid | slow | yes | the same CONNECT is refused again |
    /// | 0x86, 0x87 | Bad user name or password, Not authorized | back-off | yes | `on_pre_connect` may have fresh credentials |
    /// | 0x88, 0x89, 0x8B | Server unavailable, busy, shutting down | back-off | | it passes |
    /// | 0x8A, 0x8C | Banned, Bad authentication method | slow | yes | the same CONNECT is refused again |
    /// | 0x8D | Keep alive timeout | back-off | | the network was away |
    /// | 0x8E | Session taken over | slow | yes | coming back throws the other client out |
    /// | 0x8F, 0x90 | Topic filter invalid, Topic name invalid | slow | yes | it is sent again |
    /// | 0x93, 0x94 | Receive maximum exceeded, Topic alias invalid | back-off | | a new connection starts afresh |
    /// | 0x95 | Packet too large | slow | yes | it is sent again |
    /// | 0x96, 0x97, 0x9F | Message rate too high, Quota exceeded, Connection rate exceeded | slow | | less is what it asks for |
    /// | 0x98 | Administrative action | slow | | somebody wanted us gone |
    /// | 0x99, 0x9A, 0x9B | Payload format invalid, Retain not supported, QoS not supported | slow | yes | it is sent again |
    /// | 0x9C | Use another server | back-off | | for now; see [`on_redirect`](super::Client::on_redirect) |
    /// | 0x9D | Server moved | slow | yes | for good; see [`on_redirect`](super::Client::on_redirect) |
    /// | 0xA0 | Maximum connect time | back-off | | the next connection gets as much again |
    /// | 0x9E, 0xA1, 0xA2 | Shared subscription, Subscription identifiers, Wildcard subscription not supported | slow | yes | it is sent again |
    ///
    /// ```
    /// use callmq::client::{DisconnectReason, ReasonCode, Retry};
    ///
    /// let taken_over = DisconnectReason::Server(ReasonCode::SESSION_TAKEN_OVER.into());
    /// assert_eq!(taken_over.retry_default(), Retry::Slow);
    /// assert!(taken_over.is_permanent());
    /// ```
    ///
    /// See MQTT 5.0, sections 3.2.2.2 and 3.14.2.1.
    pub fn retry_default(&self) -> Retry {
        match self {
            // The return codes of MQTT 3 are below: there the delays are paho's.
            Self::Refused(code) | Self::Server(code) => rule(code.value()).map_or(Backoff, |rule| rule.1),
            _ => Backoff,
        }
    }

    /// Returns whether connecting again in the same way would come to the same end, or throw another client out: see the
    /// table at [`retry_default`](Self::retry_default).
    ///
    /// For programs that would rather stop than ask for ever. In MQTT 3: an unknown version, a refused client id, wrong
    /// credentials, not authorized. With TLS: a certificate that is not accepted, of either side, unless it will be valid
    /// later; a server that speaks TLS where we do not, or the other way round; settings that cannot be used. With
    /// WebSocket: an upgrade that is refused with a status of 300 to 499, unless that is about time (408, 425, 429);
    /// a server that speaks no HTTP, or not for MQTT.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::default();
    /// client.reconnect_if(|_client, reason, attempts| !reason.is_permanent() && attempts < 100);
    /// ```
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(code) | Self::Server(code) => rule(code.meaning()).is_some_and(|rule| rule.2),
            Self::Lost(Error::Tls(error)) => !passes(error.reason),
            Self::Lost(Error::WebSocket(error)) => match error.reason {
                WebSocketReason::Refused(status) => {
                    (300..500).contains(&status) && !matches!(status, 408 | 425 | 429)
                }
                WebSocketReason::NotHttp | WebSocketReason::SubProtocol => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether a failure of TLS may be gone the next time, without anybody having mended it.
fn passes(reason: TlsReason) -> bool {
    match reason {
        // The clock of this machine may be about to be set; a server that is just starting or stopping.
        TlsReason::NotYetValid | TlsReason::Closed | TlsReason::Protocol => true,
        TlsReason::UnknownIssuer
        | TlsReason::Expired
        | TlsReason::WrongName
        | TlsReason::BadCertificate
        | TlsReason::ClientCertificate
        | TlsReason::NotTls
        | TlsReason::TlsExpected
        | TlsReason::Settings => false,
    }
}

fn rule(code: u8) -> Option<&'static (u8, Retry, bool)> {
    TABLE.iter().find(|rule| rule.0 == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{ConnAck, Disconnect, Packet, Properties, ProtocolVersion, ReasonCode};
    use crate::error::{DecodeError, TlsError, WebSocketError};

    /// What the codec takes for a CONNACK or a DISCONNECT has a line in the table, and nothing else has.
    #[test]
    fn the_table_has_each_code_that_can_end_a_connection() {
        for code in 0..=u8::MAX {
            let connack = Packet::ConnAck(ConnAck {
                session_present: false,
                reason: ReasonCode::new(code),
                properties: Properties::new(),
            });
            let disconnect = Packet::Disconnect(Disconnect {
                reason: ReasonCode::disconnect(code),
                properties: Properties::new(),
            });
            let encodes = |packet: Packet| packet.encode(ProtocolVersion::V5, &mut Vec::new()).is_ok();
            // 0x04 is a client's word.
            let ends = code != 0x04 && (encodes(connack) || encodes(disconnect));
            let lines = TABLE.iter().filter(|rule| rule.0 == code).count();
            assert_eq!(lines, usize::from(ends), "{code:#04x}");
        }
    }

    #[test]
    fn mqtt_3_has_the_delays_of_paho() {
        for (code, permanent) in [(1, true), (2, true), (3, false), (4, true), (5, true), (6, false)] {
            let reason = DisconnectReason::Refused(ReasonCode::from_connack_v3(code).into());
            assert_eq!(
                (reason.retry_default(), reason.is_permanent()),
                (Backoff, permanent)
            );
        }
        for reason in [
            DisconnectReason::Requested,
            DisconnectReason::Lost(Error::ConnectionClosed),
            DisconnectReason::KeepAlive,
            DisconnectReason::Protocol(DecodeError::protocol("", "")),
            DisconnectReason::Authentication(Error::Timeout),
        ] {
            assert_eq!((reason.retry_default(), reason.is_permanent()), (Backoff, false));
        }
    }

    #[test]
    fn an_upgrade_that_is_refused_for_good_is_refused_the_next_time_too() {
        for (reason, permanent) in [
            (WebSocketReason::Refused(302), true),
            (WebSocketReason::Refused(401), true),
            (WebSocketReason::Refused(404), true),
            (WebSocketReason::Refused(429), false),
            (WebSocketReason::Refused(503), false),
            (WebSocketReason::Refused(200), false),
            (WebSocketReason::NotHttp, true),
            (WebSocketReason::SubProtocol, true),
            (WebSocketReason::HandshakeEnded, false),
            (WebSocketReason::Closed(1008), false),
        ] {
            let lost = DisconnectReason::Lost(WebSocketError::new(reason, "").into());
            assert_eq!(
                (lost.retry_default(), lost.is_permanent()),
                (Backoff, permanent),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_wrong_the_next_time_too() {
        for (reason, permanent) in [
            (TlsReason::UnknownIssuer, true),
            (TlsReason::WrongName, true),
            (TlsReason::Expired, true),
            (TlsReason::NotYetValid, false),
            (TlsReason::BadCertificate, true),
            (TlsReason::ClientCertificate, true),
            (TlsReason::NotTls, true),
            (TlsReason::TlsExpected, true),
            (TlsReason::Settings, true),
            (TlsReason::Closed, false),
            (TlsReason::Protocol, false),
        ] {
            let lost = DisconnectReason::Lost(TlsError::new(reason, "").into());
            assert_eq!(
                (lost.retry_default(), lost.is_permanent()),
                (Backoff, permanent),
                "{reason:?}"
            );
        }
    }
}
