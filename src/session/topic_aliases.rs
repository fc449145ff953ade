//! Topic Aliases: numbers that stand for Topic Names on one connection (MQTT 5.0, section 3.3.2.3.4).
//!
//! Each direction has its own. What is received is resolved at once, so nothing behind this file sees an alias. For
//! what is sent the decision falls when a PUBLISH is encoded: only then is it certain what the server has been told. The
//! output is written in its order and thrown away with its connection, so a mapping that stands in it can be relied on
//! by everything behind it; whatever waits elsewhere keeps its whole Topic Name.

use std::collections::HashMap;

use super::wire::PublishPacket;
use crate::codec::{Properties, Property, Publish, ReasonCode};
use crate::error::{DecodeError, Error, Result, ServerLimit};
use crate::on_demand::OnDemand;
use crate::topic::TopicName;

/// The identifier of the property.
const TOPIC_ALIAS: u8 = 0x23;
/// How many bytes the property takes: a topic that is not longer is not worth one.
const COST: usize = 3;

// ---- from the server ----

/// The aliases that the server has set.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// What we announced; 0 allows none.
    maximum: u16,
    /// The topic of alias `n` is at `n - 1`.
    topics: OnDemand<Vec<Option<TopicName>>>,
}

impl Received {
    /// A connection starts: aliases of the one before mean nothing [MQTT-3.3.2-7].
    pub(super) fn open(&mut self, maximum: u16) {
        *self = Self {
            maximum,
            topics: OnDemand::default(),
        };
    }

    /// Puts the Topic Name in the place of the alias, or learns what the alias stands for. The property is taken away: it
    /// has done its work, and must not go on with a message that the application passes on.
    pub(super) fn resolve(&mut self, publish: &mut Publish) -> Result<(), DecodeError> {
        let Some(alias) = publish.properties.topic_alias() else {
            return Ok(());
        };
        if self.maximum == 0 {
            return Err(invalid("a Topic Alias although we allow none", "MQTT-3.1.2-27"));
        }
        if alias > self.maximum {
            return Err(invalid("a Topic Alias over our maximum", "MQTT-3.1.2-26"));
        }
        let Some(index) = usize::from(alias).checked_sub(1) else {
            return Err(invalid("the Topic Alias 0", "MQTT-3.3.2-8"));
        };
        if publish.topic.is_empty() {
            let known = self.topics.get(index).and_then(Option::as_ref);
            publish.topic = known
                .ok_or(invalid("a Topic Alias that stands for nothing", ""))?
                .clone();
        } else {
            if self.topics.len() <= index {
                self.topics.resize(index + 1, None);
            }
            if let Some(place) = self.topics.get_mut(index) {
                *place = Some(publish.topic.clone());
            }
        }
        publish.properties.remove(TOPIC_ALIAS);
        Ok(())
    }
}

fn invalid(detail: &'static str, statement: &'static str) -> DecodeError {
    DecodeError {
        reason: ReasonCode::TOPIC_ALIAS_INVALID,
        detail,
        statement,
    }
}

// ---- to the server ----

/// The aliases that we have set: by ourselves, and as the application asks.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The server's Topic Alias Maximum.
    maximum: u16,
    /// The numbers from 1 to here are given out without being asked.
    automatic: u16,
    /// Aliases of the application are sent as they are.
    unchecked: bool,
    /// Alias `n` is at `n - 1`.
    places: Vec<Place>,
    /// The aliases of the topics that have one.
    numbers: HashMap<TopicName, u16>,
    /// The ends of the chain of the automatic numbers, by use; 0 for none.
    newest: u16,
    oldest: u16,
    /// What the application has set last, be it on the wire yet or in the queue.
    by_hand: HashMap<u16, TopicName>,
    /// Where the properties of a packet are put together.
    scratch: Properties,
}

/// An alias, as it stands in the output.
#[derive(Debug, Default)]
struct Place {
    topic: Option<TopicName>,
    /// The neighbours in the chain; 0 for none.
    newer: u16,
    older: u16,
}

/// A packet as it goes out.
#[derive(Debug)]
pub(super) struct Changed {
    /// The Topic Name stays away.
    pub(super) alias_only: bool,
    pub(super) properties: Properties,
}

/// How a PUBLISH goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// Without the alias that it has.
    Stripped,
    /// The topic, and an alias for it.
    Define(u16),
    /// The alias alone.
    Alias(u16),
}

impl Sent {
    /// The server accepts aliases up to `maximum`; of those `limit` are given out without being asked.
    pub(super) fn accepted(&mut self, maximum: u16, limit: u16, unchecked: bool) {
        self.maximum = maximum;
        // [MQTT-3.2.2-17, MQTT-3.2.2-18]
        self.automatic = limit.min(maximum);
        self.unchecked = unchecked;
    }

    /// The application publishes to `topic`, which may be empty, with an alias of its own: which topic that is.
    ///
    /// # Errors
    ///
    /// `NotAllowed` if the server does not accept the alias [MQTT-3.3.2-9]; `InvalidArgument` for an empty topic if
    /// the application has not set the alias on this connection.
    pub(super) fn check_by_hand(&self, topic: &str, alias: u16) -> Result<Option<TopicName>> {
        if alias > self.maximum {
            return Err(Error::NotAllowed(ServerLimit::TopicAliasMaximum));
        }
        if !topic.is_empty() {
            return Ok(None);
        }
        let known = self.by_hand.get(&alias).cloned();
        known.map(Some).ok_or(Error::argument(
            "topic",
            "must not be empty: its alias was not set on this connection",
        ))
    }

    /// The application has set an alias.
    pub(super) fn set_by_hand(&mut self, topic: &str, alias: u16) {
        if self.by_hand.get(&alias).is_none_or(|known| known != topic) {
            self.by_hand.insert(alias, TopicName::from_checked(topic));
        }
    }

    /// Whether messages get aliases by themselves.
    #[inline]
    pub(super) fn are_automatic(&self) -> bool {
        self.automatic != 0
    }

    /// What has to be changed about a packet before it is written. `grows` tells whether it may take more bytes.
    pub(super) fn apply(
        &mut self,
        publish: &PublishPacket<'_>,
        grows: impl FnOnce(usize) -> bool,
    ) -> Option<Changed> {
        let form = self.form(publish, grows);
        if form == Form::Plain {
            return None;
        }
        let mut properties = std::mem::take(&mut self.scratch);
        properties.clear();
        for property in publish.properties.iter() {
            properties.push(property.clone());
        }
        match form {
            Form::Plain | Form::Stripped => {
                properties.remove(TOPIC_ALIAS);
            }
            Form::Define(alias) | Form::Alias(alias) => properties.set(Property::TopicAlias(alias)),
        }
        Some(Changed {
            alias_only: matches!(form, Form::Alias(_)),
            properties,
        })
    }

    /// The changed packet is written: its properties lend their room to the next one.
    pub(super) fn written(&mut self, changed: Changed) {
        self.scratch = changed.properties;
    }

    fn form(&mut self, publish: &PublishPacket<'_>, grows: impl FnOnce(usize) -> bool) -> Form {
        let topic = publish.topic_name();
        if let Some(alias) = publish.properties.topic_alias() {
            if self.unchecked {
                if !topic.is_empty() && alias <= self.maximum {
                    self.assign(alias, topic);
                }
                return Form::Plain;
            }
            return match alias {
                // It was accepted on another connection.
                alias if alias > self.maximum => Form::Stripped,
                alias if self.stands_for(alias, topic) => Form::Alias(alias),
                alias => {
                    self.assign(alias, topic);
                    Form::Define(alias)
                }
            };
        }
        if self.automatic == 0 || topic.len() <= COST {
            return Form::Plain;
        }
        if let Some(alias) = self.number(topic) {
            self.touch(alias);
            return Form::Alias(alias);
        }
        // One more for the Property Length, which may become longer.
        if !grows(COST + 1) {
            return Form::Plain;
        }
        let alias = self.next_number();
        self.assign(alias, topic);
        Form::Define(alias)
    }

    fn stands_for(&self, alias: u16, topic: &str) -> bool {
        let topic_of = |place: &Place| place.topic.as_ref().is_some_and(|known| known == topic);
        self.place(alias).is_some_and(topic_of)
    }

    fn number(&self, topic: &str) -> Option<u16> {
        // Mostly it is the last one again.
        if self.newest != 0 && self.stands_for(self.newest, topic) {
            return Some(self.newest);
        }
        self.numbers.get(topic).copied()
    }

    /// An automatic number that is free, or whose topic was not used for longest.
    fn next_number(&self) -> u16 {
        match u16::try_from(self.places.len()) {
            Ok(used) if used < self.automatic => used + 1,
            _ => self.oldest,
        }
    }

    fn assign(&mut self, alias: u16, topic: &str) {
        while self.places.len() < usize::from(alias) {
            self.places.push(Place::default());
            // Numbers that were left out are as good as old ones.
            if let Ok(added) = u16::try_from(self.places.len()) {
                self.append_oldest(added);
            }
        }
        let topic = TopicName::from_checked(topic);
        let Some(place) = self.place_mut(alias) else {
            return;
        };
        if let Some(before) = place.topic.replace(topic.clone()) {
            if self.numbers.get(&before) == Some(&alias) {
                self.numbers.remove(&before);
            }
        }
        self.numbers.insert(topic, alias);
        self.touch(alias);
    }

    // ---- the chain ----

    /// Makes an automatic number the one that was used last.
    fn touch(&mut self, alias: u16) {
        if alias > self.automatic || alias == self.newest {
            return;
        }
        let Some(place) = self.place(alias) else { return };
        let (newer, older) = (place.newer, place.older);
        // Not the newest, so there is a newer one.
        if let Some(place) = self.place_mut(newer) {
            place.older = older;
        }
        match self.place_mut(older) {
            Some(place) => place.newer = newer,
            None => self.oldest = newer,
        }
        let newest = self.newest;
        if let Some(place) = self.place_mut(newest) {
            place.newer = alias;
        }
        if let Some(place) = self.place_mut(alias) {
            place.newer = 0;
            place.older = newest;
        }
        self.newest = alias;
    }

    fn append_oldest(&mut self, alias: u16) {
        if alias > self.automatic {
            return;
        }
        let oldest = self.oldest;
        match self.place_mut(oldest) {
            Some(place) => place.older = alias,
            None => self.newest = alias,
        }
        if let Some(place) = self.place_mut(alias) {
            place.newer = oldest;
        }
        self.oldest = alias;
    }

    fn place(&self, alias: u16) -> Option<&Place> {
        self.places.get(usize::from(alias).checked_sub(1)?)
    }

    fn place_mut(&mut self, alias: u16) -> Option<&mut Place> {
        self.places.get_mut(usize::from(alias).checked_sub(1)?)
    }
}
