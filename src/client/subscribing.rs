//! Subscribing.

use std::sync::{Arc, Mutex, PoisonError};

use super::callbacks::OnMessage;
use super::shared::Shared;
use super::{Client, IntoSubscriptions, IntoTopics, Message, Outcome, SubscribeInfo};
use crate::codec::{PacketType, Properties, Property, ProtocolVersion, RetainHandling, Subscription};
use crate::error::{Error, Result};
use crate::session::FIRST_OWN_IDENTIFIER;
use crate::topic::check_filter;

/// Subscriptions.
impl Client {
    /// Subscribes to one filter or several. Does not wait for the answer: see [`SubscribeInfo::wait`] and
    /// `on_subscribe`.
    ///
    /// Forms: `"a/b"` (QoS 0), `("a/b", 1)`, `[("a", 0), ("b", 2)]`, and with
    /// [`SubscribeOptions`](super::SubscribeOptions) in place of the QoS. A list is one SUBSCRIBE packet. The filters
    /// are remembered: the request is sent when there is a connection, and renewed when the server has lost the session
    /// (see [`resubscribe_set`](Self::resubscribe_set)). Filters that the server refuses are forgotten.
    ///
    /// `$share/GROUP/FILTER` is a shared subscription (MQTT 5.0, section 4.8.2): each message goes to one of the clients
    /// that subscribe to it with the same `GROUP`. Many servers know them in MQTT 3.1.1, too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a filter that is not valid, a QoS over 2, an empty list, a shared subscription
    /// that is `no_local`; [`Error::NotSupported`] for other options than the QoS before MQTT 5.0;
    /// [`Error::InvalidState`] if all packet identifiers are in use; [`Error::NotAllowed`] for what the server does not
    /// have (MQTT 5.0), as [`connection_info`](Self::connection_info) tells. A request that was accepted before that was
    /// known ends with [`DropReason::NotAllowed`](super::DropReason::NotAllowed) instead.
    ///
    /// ```no_run
    /// # fn main() -> callmq::Result<()> {
    /// # let client = callmq::Client::new("foo1");
    /// # client.connect("localhost")?;
    /// client.subscribe("house/light")?;
    /// let codes = client.subscribe([("house/+/temperature", 1), ("alarm/#", 2)])?.wait(5)?;
    /// assert!(codes.iter().all(|code| !code.is_failure()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See MQTT 5.0, section 3.8.
    pub fn subscribe(&self, topics: impl IntoSubscriptions) -> Result<SubscribeInfo> {
        self.subscribe_with_properties(topics, Properties::new())
    }

    /// [Subscribes](Self::subscribe) with properties: User Properties, and a Subscription Identifier (MQTT 5.0).
    ///
    /// Messages carry the Subscription Identifiers of the subscriptions that they were sent for
    /// ([`Properties::subscription_identifiers`]), if the server supports them. The application may use those from 1 to
    /// 134,217,727; the client keeps the others for [`subscribe_with`](Self::subscribe_with). Renewed subscriptions keep
    /// their properties.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe); [`Error::NotSupported`] for properties before MQTT 5.0;
    /// [`Error::InvalidArgument`] for a property that does not belong into a SUBSCRIBE and for an identifier that is not
    /// the application's.
    ///
    /// ```
    /// use callmq::client::{self as mqtt, Properties, Property};
    ///
    /// let client = mqtt::Client::builder("counts").protocol(mqtt::MQTTv5).build();
    /// client.on_message(|_client, msg| {
    ///     if msg.properties.subscription_identifiers().any(|identifier| identifier == 7) {
    ///         println!("an alarm: {}", msg.payload);
    ///     }
    /// });
    /// client.subscribe_with_properties("alarm/#", Properties::from(Property::SubscriptionIdentifier(7)))?;
    /// # Ok::<(), callmq::Error>(())
    /// ```
    ///
    /// See MQTT 5.0, section 3.8.2.1.
    pub fn subscribe_with_properties(
        &self,
        topics: impl IntoSubscriptions,
        properties: Properties,
    ) -> Result<SubscribeInfo> {
        let subscriptions = topics.into_subscriptions()?;
        let shared = self.shared();
        shared.check_properties(&properties, PacketType::Subscribe)?;
        let foreign = |identifier| identifier >= FIRST_OWN_IDENTIFIER;
        if properties.subscription_identifiers().any(foreign) {
            return Err(Error::argument(
                "properties",
                "subscription identifiers from 134,217,728 on are the client's own",
            ));
        }
        shared.subscribe(subscriptions, properties)
    }

    /// Subscribes, and calls `callback` for the messages that match: [`subscribe`](Self::subscribe) and
    /// [`message_callback_add`](Self::message_callback_add) in one.
    ///
    /// Several callbacks of one filter stand side by side. With a list of filters, a message that matches several of
    /// them calls `callback` once.
    ///
    /// Where subscriptions overlap, servers may send one copy of a message or one for each. In MQTT 5.0 the client gives
    /// each subscription of this kind a Subscription Identifier (those from 134,217,728 on are its own), by which the
    /// server says what a copy is for: each callback is called once for each copy that is for it. A server that does not
    /// support identifiers gets none. Messages without identifiers, or with unknown ones (the server kept them for an
    /// earlier process), call all callbacks whose filter matches, as those of
    /// [`message_callback_add`](Self::message_callback_add) are always called.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe); the callback is not added then.
    ///
    /// ```no_run
    /// # fn main() -> callmq::Result<()> {
    /// # let client = callmq::Client::new("foo1");
    /// # client.connect("localhost")?;
    /// client.subscribe_with(("house/+/light", 1), |_client, msg| println!("{} is {}", msg.topic, msg.payload))?;
    /// client.loop_forever()
    /// # }
    /// ```
    pub fn subscribe_with<F, R>(&self, topics: impl IntoSubscriptions, callback: F) -> Result<SubscribeInfo>
    where
        F: FnMut(&Client, &Message) -> R + Send + 'static,
        R: Outcome,
    {
        let subscriptions = topics.into_subscriptions()?;
        let shared = self.shared();
        let filters = &shared.callbacks.filters;
        let names = || {
            subscriptions
                .iter()
                .map(|subscription| subscription.filter.as_str())
        };
        let mut properties = Properties::new();
        if self.protocol() == ProtocolVersion::V5 {
            let identifier = filters.identifier_for(names());
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        let callback = Arc::new(Mutex::new(callback));
        let call = filters.next_call();
        // Before the request: the first retained message may come with the answer.
        let mut added = Vec::new();
        for filter in names() {
            let callback = Arc::clone(&callback);
            let closure: Box<OnMessage> = Box::new(move |client, message| {
                let mut callback = callback.lock().unwrap_or_else(PoisonError::into_inner);
                callback(client, message).into_result()
            });
            added.push(filters.add(filter, call, closure)?);
        }
        let result = shared.subscribe(subscriptions, properties);
        if result.is_err() {
            added.into_iter().for_each(|id| filters.take_back(id));
        }
        result
    }

    /// Ends subscriptions: one filter or a list. Does not wait for the answer.
    ///
    /// The filters are forgotten at once. Their callbacks stay.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a filter that is not valid, an empty list; [`Error::InvalidState`] if all packet
    /// identifiers are in use.
    ///
    /// See MQTT 5.0, section 3.10.
    pub fn unsubscribe(&self, topics: impl IntoTopics) -> Result<SubscribeInfo> {
        self.unsubscribe_with_properties(topics, Properties::new())
    }

    /// [Unsubscribes](Self::unsubscribe) with User Properties (MQTT 5.0).
    ///
    /// # Errors
    ///
    /// As [`unsubscribe`](Self::unsubscribe); [`Error::NotSupported`] for properties before MQTT 5.0;
    /// [`Error::InvalidArgument`] for a property that does not belong into an UNSUBSCRIBE.
    ///
    /// See MQTT 5.0, section 3.10.2.1.
    pub fn unsubscribe_with_properties(
        &self,
        topics: impl IntoTopics,
        properties: Properties,
    ) -> Result<SubscribeInfo> {
        let filters = topics.into_topics()?;
        for filter in &filters {
            check_filter(filter)?;
        }
        let shared = self.shared();
        shared.check_properties(&properties, PacketType::Unsubscribe)?;
        let mut core = shared.lock();
        let tracker = core.trackers.next();
        let now = shared.now();
        let names = filters.clone();
        let mid = core
            .session
            .unsubscribe(now, filters, properties, |_| tracker.clone())?;
        shared
            .callbacks
            .filters
            .unsubscribed(names.iter().map(String::as_str));
        shared.after_command(core)?;
        Ok(SubscribeInfo::new(mid, tracker))
    }
}

impl Shared {
    /// Checks the properties of a request.
    fn check_properties(&self, properties: &Properties, packet: PacketType) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        if self.lock().session.settings.version != ProtocolVersion::V5 {
            return Err(Error::NotSupported("properties need MQTT 5.0"));
        }
        properties.check_for(packet)
    }

    /// Subscribes with arguments that are checked, except for what depends on the version.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> Result<SubscribeInfo> {
        for subscription in &subscriptions {
            if subscription.filter.contains('\\') {
                log::warn!(target: "callmq", "a filter contains a backslash, levels are separated by '/'");
            }
        }
        let names: Vec<String> = subscriptions
            .iter()
            .map(|subscription| subscription.filter.clone())
            .collect();
        let identifier = properties.subscription_identifiers().next();
        let mut core = self.lock();
        check_options(&subscriptions, core.session.settings.version)?;
        let tracker = core.trackers.next();
        let mid = core
            .session
            .subscribe(self.now(), subscriptions, properties, |_| tracker.clone())?;
        // Under the lock, so that the first message that the server sends for it finds it there.
        self.callbacks
            .filters
            .subscribed(names.iter().map(String::as_str), identifier);
        self.after_command(core)?;
        Ok(SubscribeInfo::new(mid, tracker))
    }
}

/// Subscription Options other than the QoS exist in MQTT 5.0 only.
fn check_options(subscriptions: &[Subscription], version: ProtocolVersion) -> Result<()> {
    if version == ProtocolVersion::V5 {
        return Ok(());
    }
    for Subscription { options, .. } in subscriptions {
        if options.no_local {
            return Err(Error::NotSupported("no_local needs MQTT 5.0"));
        }
        if options.retain_as_published {
            return Err(Error::NotSupported("retain_as_published needs MQTT 5.0"));
        }
        if options.retain_handling != RetainHandling::SendOnSubscribe {
            return Err(Error::NotSupported("retain_handling needs MQTT 5.0"));
        }
    }
    Ok(())
}
