//! The will: the message that the server publishes when the connection ends without a goodbye.

use bytes::Bytes;

use super::{Client, IntoMessage, IntoPayload, IntoQos, Message};
use crate::codec::Will;
use crate::error::{Error, Result};

/// The will. It takes effect at the next connection.
impl Client {
    /// Sets the message that the server publishes when the connection ends without DISCONNECT.
    ///
    /// Takes effect at the next connection. [`will_set_message`](Self::will_set_message) takes properties as well.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a topic that is not valid, a QoS over 2, a payload over 65,535 bytes.
    ///
    /// ```
    /// # let client = callmq::client::Client::default();
    /// client.will_set("house/sensor1", "gone", 1, true)?;
    /// assert_eq!(client.will_topic().as_deref(), Some("house/sensor1"));
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.1.2.5.
    pub fn will_set<'a>(
        &self,
        topic: impl AsRef<str>,
        payload: impl IntoPayload<'a>,
        qos: impl IntoQos,
        retain: bool,
    ) -> Result<()> {
        let qos = qos.into_qos()?;
        self.will_set_message(Message::new(topic, payload).qos(qos).retain(retain))
    }

    /// Sets the will as [`will_set`](Self::will_set) does, with its properties (MQTT 5.0).
    ///
    /// A will may have a `WillDelayInterval` (the server waits so many seconds for the client to come back, at most
    /// until its session ends), `PayloadFormatIndicator`, `MessageExpiryInterval`, `ContentType`, `ResponseTopic`,
    /// `CorrelationData` and user properties.
    ///
    /// # Errors
    ///
    /// As [`will_set`](Self::will_set), and [`Error::InvalidArgument`] for a property that is not one of a will, stands
    /// twice, has a value out of its range, or before MQTT 5.0.
    ///
    /// ```
    /// use callmq::client::{self as mqtt, Message, Properties, Property, QoS};
    ///
    /// let client = mqtt::Client::builder("sensor1").protocol(mqtt::MQTTv5).build();
    /// // A minute to come back before anybody hears of it.
    /// let properties = Properties::new().with(Property::WillDelayInterval(60));
    /// client.will_set_message(Message::new("house/sensor1", "gone").retain(true).properties(properties))?;
    /// # Ok::<(), mqtt::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.1.3.2.
    #[doc(alias = "will_set")]
    pub fn will_set_message<'a>(&self, message: impl IntoMessage<'a>) -> Result<()> {
        let Message {
            topic,
            payload,
            qos,
            retain,
            properties,
            ..
        } = message.into_message()?;
        let payload = payload.into_bytes();
        if payload.len() > usize::from(u16::MAX) {
            return Err(Error::argument(
                "payload",
                "of a will must not be larger than 65,535 bytes",
            ));
        }
        properties.check_for_will()?;
        let mut core = self.shared().lock();
        if !properties.is_empty() && !core.asked_for_v5() {
            return Err(Error::argument("properties", "only apply to MQTT 5.0"));
        }
        core.session.settings.will = Some(Box::new(Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        }));
        Ok(())
    }

    /// Forgets the will. Takes effect at the next connection.
    pub fn will_clear(&self) {
        self.shared().lock().session.settings.will = None;
    }

    /// Returns the topic of the will, if one is set.
    pub fn will_topic(&self) -> Option<String> {
        let core = self.shared().lock();
        let will = core.session.settings.will.as_ref()?;
        Some(will.topic.to_string())
    }

    /// Returns the payload of the will, if one is set.
    pub fn will_payload(&self) -> Option<Bytes> {
        let core = self.shared().lock();
        let will = core.session.settings.will.as_ref()?;
        Some(will.payload.clone())
    }
}
