//! The closures of `message_callback_add` and `subscribe_with`, and which of them a message is for.
//!
//! A message without Subscription Identifier is for all closures whose filter matches its topic. One that carries
//! identifiers of ours (MQTT 5.0, section 3.3.2.3.8) names the subscriptions that it was sent for: of the closures whose
//! filter was subscribed to with an identifier only those get it that are named. So subscriptions that overlap call each
//! closure once for each copy that the server sends for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Message;
use super::callbacks::{OnMessage, Slot};
use crate::error::Result;
use crate::session::{FIRST_OWN_IDENTIFIER, LAST_IDENTIFIER};
use crate::topic::{FilterId, FilterMap, matches};

/// The closures, by filter.
#[derive(Default)]
pub(crate) struct Filters {
    /// Made when something is first put into it.
    table: OnceLock<Box<Mutex<Table>>>,
    any: AtomicBool,
}

struct Table {
    map: FilterMap<Arc<FilterSlot>>,
    /// The filters that are subscribed to with an identifier, whoever gave it; and the same the other way round.
    identifier_of: HashMap<Box<str>, u32>,
    filters_of: HashMap<u32, Vec<Box<str>>>,
    /// The next identifier to give. The first one is random: messages that the server has kept for a client of an
    /// earlier process carry that one's identifiers.
    next_identifier: u32,
    next_call: u64,
}

#[derive(Debug)]
pub(crate) struct FilterSlot {
    pub(crate) filter: Box<str>,
    pub(crate) slot: Slot<OnMessage>,
    /// The call of `subscribe_with` that made it: it may stand beside others of the same filter.
    call: Option<u64>,
}

impl FilterSlot {
    fn new(filter: &str, closure: Box<OnMessage>, call: Option<u64>) -> Arc<Self> {
        let slot = Slot::default();
        slot.set(closure);
        Arc::new(Self {
            filter: filter.into(),
            slot,
            call,
        })
    }
}

impl Filters {
    fn table(&self) -> MutexGuard<'_, Table> {
        let table = self.table.get_or_init(Box::default);
        table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the one closure of `message_callback_add` for this filter, which is valid.
    pub(crate) fn set(&self, filter: &str, closure: Box<OnMessage>) -> Result<()> {
        let entry = FilterSlot::new(filter, closure, None);
        let mut replaced = Vec::new();
        {
            let mut table = self.table();
            for kept in table.map.remove(filter) {
                if kept.call.is_some() {
                    table.map.insert(filter, kept)?;
                } else {
                    replaced.push(kept);
                }
            }
            table.map.insert(filter, entry)?;
            self.any.store(true, Ordering::Release);
        }
        replaced.iter().for_each(|entry| entry.slot.clear());
        Ok(())
    }

    /// A number for a call of `subscribe_with`.
    pub(crate) fn next_call(&self) -> u64 {
        let mut table = self.table();
        table.next_call += 1;
        table.next_call
    }

    /// Adds a closure of `subscribe_with` beside those that the filter has.
    pub(crate) fn add(&self, filter: &str, call: u64, closure: Box<OnMessage>) -> Result<FilterId> {
        let entry = FilterSlot::new(filter, closure, Some(call));
        let id = self.table().map.insert(filter, entry)?;
        self.any.store(true, Ordering::Release);
        Ok(id)
    }

    /// Removes what `add` added.
    pub(crate) fn take_back(&self, id: FilterId) {
        let entry = self.table().map.remove_id(id);
        if let Some(entry) = entry {
            entry.slot.clear();
        }
    }

    /// Removes the closures of a filter: those with just this spelling, or else those that differ in `$share/GROUP/`.
    pub(crate) fn remove(&self, filter: &str) {
        let removed = {
            let mut table = self.table();
            let exact = table.map.remove(filter);
            if !exact.is_empty() {
                exact
            } else if let Some((_, inner)) = filter
                .strip_prefix("$share/")
                .and_then(|shared| shared.split_once('/'))
            {
                table.map.remove(inner)
            } else {
                table.map.remove_of_all_groups(filter)
            }
        };
        for entry in removed {
            entry.slot.clear();
        }
    }

    /// Collects the closures that the message is for, those with the most specific filter first.
    pub(crate) fn matching(&self, message: &Message, into: &mut Vec<Arc<FilterSlot>>) {
        if self.is_empty() {
            return;
        }
        let table = self.table();
        if table.names_subscriptions(message) {
            table.named(message, into);
        } else {
            table.map.matching(&message.topic, |entry| add_once(entry, into));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    // ---- Subscription Identifiers ----

    /// An identifier for a subscription to these filters: the one that they have from us, or a new one.
    pub(crate) fn identifier_for<'a>(&self, filters: impl Iterator<Item = &'a str>) -> u32 {
        let mut table = self.table();
        let mut filters: Vec<_> = filters.collect();
        filters.sort_unstable();
        filters.dedup();
        let first = filters.first().and_then(|first| table.identifier_of.get(*first));
        let present = first.copied().filter(|identifier| {
            // Of just these: one of more than that would not tell them apart.
            let have = |filter| table.identifier_of.get(filter) == Some(identifier);
            let of = table.filters_of.get(identifier);
            *identifier >= FIRST_OWN_IDENTIFIER
                && of.is_some_and(|of| of.len() == filters.len())
                && filters.iter().copied().all(have)
        });
        present.unwrap_or_else(|| table.new_identifier())
    }

    /// These filters are subscribed to from now on, with this identifier or without.
    pub(crate) fn subscribed<'a>(&self, filters: impl Iterator<Item = &'a str>, identifier: Option<u32>) {
        if identifier.is_none() && self.table.get().is_none() {
            return;
        }
        let mut table = self.table();
        for filter in filters {
            // Also where a list names a filter twice.
            table.forget(filter);
            if let Some(identifier) = identifier {
                table.identifier_of.insert(filter.into(), identifier);
                table
                    .filters_of
                    .entry(identifier)
                    .or_default()
                    .push(filter.into());
            }
        }
    }

    /// These filters are no longer subscribed to.
    pub(crate) fn unsubscribed<'a>(&self, filters: impl Iterator<Item = &'a str>) {
        self.subscribed(filters, None);
    }

    /// No filter is subscribed to any more; the closures stay.
    pub(crate) fn forget_subscriptions(&self) {
        if self.table.get().is_none() {
            return;
        }
        let mut table = self.table();
        table.identifier_of.clear();
        table.filters_of.clear();
    }
}

impl Table {
    fn new_identifier(&mut self) -> u32 {
        loop {
            let identifier = self.next_identifier;
            self.next_identifier = if identifier == LAST_IDENTIFIER {
                FIRST_OWN_IDENTIFIER
            } else {
                identifier + 1
            };
            // There are far more than subscriptions.
            if !self.filters_of.contains_key(&identifier) {
                return identifier;
            }
        }
    }

    fn forget(&mut self, filter: &str) {
        let Some(identifier) = self.identifier_of.remove(filter) else {
            return;
        };
        if let Some(filters) = self.filters_of.get_mut(&identifier) {
            filters.retain(|other| **other != *filter);
            if filters.is_empty() {
                self.filters_of.remove(&identifier);
            }
        }
    }

    /// Whether the message was sent for a subscription that we know by its identifier.
    fn names_subscriptions(&self, message: &Message) -> bool {
        message
            .properties
            .subscription_identifiers()
            .filter_map(|identifier| self.filters_of.get(&identifier))
            .flatten()
            .any(|filter| is_special(filter) || matches(filter, &message.topic))
    }

    /// Collects the closures whose subscriptions the message names, and those that no identifier tells apart.
    fn named(&self, message: &Message, into: &mut Vec<Arc<FilterSlot>>) {
        let identifiers = || message.properties.subscription_identifiers();
        self.map.matching(&message.topic, |entry| {
            let identifier = entry.call.and_then(|_| self.identifier_of.get(&entry.filter));
            if identifier.is_none_or(|own| identifiers().any(|identifier| identifier == *own)) {
                add_once(entry, into);
            }
        });
        let filters = identifiers()
            .filter_map(|identifier| self.filters_of.get(&identifier))
            .flatten();
        for filter in filters.filter(|filter| is_special(filter) && !matches(filter, &message.topic)) {
            for entry in self.map.values(filter).filter(|entry| entry.call.is_some()) {
                add_once(entry, into);
            }
        }
    }
}

/// Whether the topics of the filter's messages may look otherwise: servers have prefixes of their own, as
/// `$exclusive/`, beside that of shared subscriptions.
fn is_special(filter: &str) -> bool {
    filter.starts_with('$') && !filter.starts_with("$share/")
}

/// A closure that was subscribed to several filters gets a message once.
fn add_once(entry: &Arc<FilterSlot>, into: &mut Vec<Arc<FilterSlot>>) {
    let there = entry.call.is_some() && into.iter().any(|other| other.call == entry.call);
    if !there {
        into.push(Arc::clone(entry));
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            map: FilterMap::new(),
            identifier_of: HashMap::new(),
            filters_of: HashMap::new(),
            next_identifier: fastrand::u32(FIRST_OWN_IDENTIFIER..=LAST_IDENTIFIER),
            next_call: 0,
        }
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filters")
            .field("any", &!self.is_empty())
            .finish_non_exhaustive()
    }
}
