//! Settings of MQTT 5.0 for the session and for topic aliases.

use std::time::Duration;

use super::connect_options::{ConnectOptions, renamed};
use super::shared::Core;
use super::{CleanStart, Client, IntoTimeout};
use crate::codec::ProtocolVersion;
use crate::error::{Error, Result};

/// A session that does not expire (MQTT 5.0, section 3.1.2.11.2).
const NEVER: u32 = u32::MAX;

/// Sessions and topic aliases (MQTT 5.0). The call that connects refuses these settings for MQTT 3.
impl Client {
    /// Sets how long the server keeps the session after a connection has ended (MQTT 5.0): seconds or a [`Duration`],
    /// `None` for ever.
    ///
    /// A part of a second is rounded up; 4,294,967,295 seconds and more are for ever. 0 ends the session with its
    /// connection. Where nothing is set, that depends on the clean start:
    ///
    /// | clean session / clean start | the session is kept |
    /// |---|---|
    /// | not set, `true`, [`CleanStart::FirstOnly`] | not at all |
    /// | `false` | for ever, as in MQTT 3.1.1: otherwise there would be nothing to come back to |
    ///
    /// The server may choose another time: the `SessionExpiryInterval` that `on_connect` gets counts then.
    /// [`ConnectOptions::session_expiry`] comes before this setting, a `SessionExpiryInterval` among the
    /// [properties](ConnectOptions::properties) of the connection before both. Takes effect at the next connection; the
    /// calls that connect refuse the setting before MQTT 5.0. [`disconnect_with`](Self::disconnect_with) can change the
    /// time at the end.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a negative time.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
    /// // What is published while the meter is away for up to an hour reaches it.
    /// client.session_expiry_set(3600)?;
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.1.2.11.2.
    pub fn session_expiry_set(&self, time: impl IntoTimeout) -> Result<()> {
        let seconds = expiry_seconds(time)?;
        self.shared().lock().session_expiry = Some(seconds);
        Ok(())
    }

    /// Sets how many topic aliases are used for outgoing messages, at most (MQTT 5.0). Defaults to 0: none.
    ///
    /// The server's Topic Alias Maximum bounds them, too. A topic is sent in full once; from then on a number of two
    /// bytes stands for it, until the connection ends. When all numbers are taken, the topic that was not used for
    /// longest gives its number to the next. Worth it with long topics, of which there are not many more than numbers:
    /// a topic that gets a number takes 3 bytes more that once. Topics of up to 3 bytes never get one. Each number holds
    /// its topic in memory. Takes effect at the next connection; the calls that connect refuse another value than 0
    /// before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client as mqtt;
    ///
    /// let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).build();
    /// client.topic_alias_limit_set(16);
    /// ```
    ///
    /// See MQTT 5.0, section 3.3.2.3.4, and [`publish_message`](Self::publish_message) for aliases set by hand.
    pub fn topic_alias_limit_set(&self, limit: u16) {
        self.shared().lock().session.settings.topic_alias_limit = limit;
    }

    /// Sets how many topic aliases the server may use (MQTT 5.0). Defaults to 0: none.
    ///
    /// It is told the number, and the connection is ended with reason code 0x94 if it does not keep to it. Received
    /// messages always have their topic. Each alias holds a topic of at most 65,535 bytes in memory. Takes effect at the
    /// next connection; the calls that connect refuse another value than 0 before MQTT 5.0.
    ///
    /// See MQTT 5.0, section 3.1.2.11.5.
    pub fn topic_alias_maximum_set(&self, maximum: u16) {
        self.shared().lock().session.settings.topic_alias_maximum =
            Some(maximum).filter(|&maximum| maximum != 0);
    }
}

/// Seconds of a Session Expiry Interval.
pub(super) fn expiry_seconds(time: impl IntoTimeout) -> Result<u32> {
    let Some(time) = renamed(time.into_timeout(), "session_expiry")? else {
        return Ok(NEVER);
    };
    let seconds = time.as_secs() + u64::from(time > Duration::from_secs(time.as_secs()));
    Ok(u32::try_from(seconds).unwrap_or(NEVER))
}

impl Core {
    /// Whether the next CONNECT starts afresh, and how long its session is to live.
    pub(super) fn take_session(&mut self, options: &ConnectOptions) {
        let clean_start = options.clean_start_setting().unwrap_or(self.clean_start);
        let settings = &mut self.session.settings;
        let v5 = settings.version == ProtocolVersion::V5;
        settings.clean_start = match clean_start {
            CleanStart::Always => true,
            CleanStart::Never => false,
            CleanStart::FirstOnly => self.first_connection || !v5,
        };
        let by_default = (clean_start == CleanStart::Never).then_some(NEVER);
        let seconds = options
            .session_expiry_setting()
            .or(self.session_expiry)
            .or(by_default);
        // 0 is what an absent one stands for.
        settings.session_expiry = seconds.filter(|&seconds| seconds != 0);
    }

    /// Refuses settings that the version does not have.
    pub(super) fn check_session_settings(&self) -> Result<()> {
        if let Some(problem) = &self.setting_problem {
            return Err(Error::clone(problem));
        }
        if self.asked_for_v5() {
            return Ok(());
        }
        let settings = &self.session.settings;
        let refused = [
            (self.session_expiry.is_some(), "session_expiry"),
            (settings.topic_alias_limit != 0, "topic_alias_limit"),
            (settings.topic_alias_maximum.is_some(), "topic_alias_maximum"),
            (settings.receive_maximum.is_some(), "receive_maximum"),
            (settings.lower_qos, "lower_qos"),
        ];
        match refused.iter().find(|(set, _)| *set) {
            Some(&(_, argument)) => Err(Error::argument(argument, "only applies to MQTT 5.0")),
            None => Ok(()),
        }
    }
}
