//! What can be published in one piece.

use super::{IntoPayload, IntoQos, sealed};
use crate::client::message::Message;
use crate::error::Result;
use crate::topic::check_topic;

/// What converts into a [`Message`]: one of these, or a tuple of topic, payload and optionally QoS and retain flag.
///
/// ```
/// use callmq::client::IntoMessage;
///
/// let message = ("house/light", "on", 1, true).into_message()?;
/// assert_eq!(message.payload, "on");
/// assert!(("house/+", "on").into_message().is_err());
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "write (\"topic\", \"payload\"), (\"topic\", \"payload\", 1), (\"topic\", \"payload\", 1, true), or make a `Message`"
)]
pub trait IntoMessage<'a>: sealed::Sealed {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) for a bad topic or a bad QoS.
    fn into_message(self) -> Result<Message>;
}

impl IntoMessage<'_> for Message {
    fn into_message(self) -> Result<Message> {
        check_topic(&self.topic)?;
        Ok(self)
    }
}

impl IntoMessage<'_> for &Message {
    fn into_message(self) -> Result<Message> {
        self.clone().into_message()
    }
}

impl<'a, T: AsRef<str>, P: IntoPayload<'a>> IntoMessage<'a> for (T, P) {
    fn into_message(self) -> Result<Message> {
        let (topic, payload) = self;
        (topic, payload, 0, false).into_message()
    }
}

impl<'a, T: AsRef<str>, P: IntoPayload<'a>, Q: IntoQos> IntoMessage<'a> for (T, P, Q) {
    fn into_message(self) -> Result<Message> {
        let (topic, payload, qos) = self;
        (topic, payload, qos, false).into_message()
    }
}

impl<'a, T: AsRef<str>, P: IntoPayload<'a>, Q: IntoQos> IntoMessage<'a> for (T, P, Q, bool) {
    fn into_message(self) -> Result<Message> {
        let (topic, payload, qos, retain) = self;
        check_topic(topic.as_ref())?;
        let qos = qos.into_qos()?;
        Ok(Message::new(topic, payload).qos(qos).retain(retain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::QoS;

    #[test]
    fn tuples_become_messages() {
        let message = ("t", "x").into_message().unwrap();
        assert_eq!(
            (message.topic.as_str(), message.qos, message.retain),
            ("t", QoS::AtMostOnce, false)
        );
        let message = (String::from("t"), 1.5, 2).into_message().unwrap();
        assert_eq!(
            (message.payload.decode().unwrap(), message.qos),
            ("1.5", QoS::ExactlyOnce)
        );
        let message = ("t", (), QoS::AtLeastOnce, true).into_message().unwrap();
        assert_eq!(
            (message.payload.len(), message.qos, message.retain),
            (0, QoS::AtLeastOnce, true)
        );
        assert_eq!((&message).into_message().unwrap().topic, "t");
    }

    #[test]
    fn topic_and_qos_are_checked() {
        assert!(("", "x").into_message().is_err());
        assert!(("t", "x", 3).into_message().is_err());
        assert!(Message::new("a/#", "x").into_message().is_err());
    }
}
