//! A map from Topic Filters to values that finds all filters matching a name in time that does not grow with their number.

use std::collections::HashMap;
use std::sync::Arc;

use super::{check_filter, split_share};
use crate::error::Result;

/// Values filed under Topic Filters; several values may share a filter.
///
/// A tree with one node per level of the filters. Looking a name up allocates nothing and visits only nodes that match
/// its beginning.
///
/// ```
/// use callmq::topic::FilterMap;
///
/// let mut map = FilterMap::new();
/// map.insert("house/#", "everything")?;
/// map.insert("house/+/light", "all lights")?;
/// map.insert("house/kitchen/light", "one light")?;
///
/// let found: Vec<_> = map.iter_match("house/kitchen/light").copied().collect();
/// assert_eq!(found, ["one light", "all lights", "everything"]);
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "MQTTMatcher")]
pub struct FilterMap<V> {
    /// The root is the first one. Links between nodes are always valid: only `prune` takes a node out, unlinked.
    nodes: Vec<Node<V>>,
    /// Nodes not in use.
    free: Vec<NodeId>,
    len: usize,
    next_serial: u64,
}

/// Names one value of a [`FilterMap`], for [`remove_id`](FilterMap::remove_id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterId {
    node: NodeId,
    serial: u64,
}

/// The values of a [`FilterMap`] whose filters match a Topic Name.
#[derive(Debug)]
pub struct Matches<'a, V> {
    map: &'a FilterMap<V>,
    topic: &'a str,
    node: NodeId,
    /// Where in `topic` the level is that the children of `node` match; past the end if there is none.
    start: usize,
    end: usize,
    step: Step,
    values: std::slice::Iter<'a, Entry<V>>,
}

type NodeId = usize;

const ROOT: NodeId = 0;

#[derive(Clone, Debug)]
struct Node<V> {
    parent: NodeId,
    level: Level,
    names: HashMap<Arc<str>, NodeId>,
    plus: Option<NodeId>,
    hash: Option<NodeId>,
    values: Vec<Entry<V>>,
}

/// Which child of its parent a node is.
#[derive(Clone, Debug)]
enum Level {
    Name(Arc<str>),
    Plus,
    Hash,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    serial: u64,
    group: Option<Box<str>>,
    value: V,
}

/// What to do next at a node: its children are visited from the most to the least specific.
#[derive(Clone, Copy, Debug)]
enum Step {
    Name,
    Plus,
    Hash,
    Up,
    Done,
}

impl<V> FilterMap<V> {
    /// Makes an empty map.
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::new(ROOT, Level::Hash)],
            free: Vec::new(),
            len: 0,
            next_serial: 0,
        }
    }

    /// Files a value under a filter, behind the values that are there already.
    ///
    /// A `$share/GROUP/` in front takes no part in matching: a message of a shared subscription carries its plain name.
    ///
    /// # Errors
    ///
    /// Those of [`check_filter`]; the map is not changed.
    pub fn insert(&mut self, filter: &str, value: V) -> Result<FilterId> {
        check_filter(filter)?;
        let (group, levels) = split_share(filter);
        let mut node = ROOT;
        for level in levels.split('/') {
            node = match self.nodes[node].child(level) {
                Some(child) => child,
                None => self.add_child(node, level),
            };
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        self.len += 1;
        self.nodes[node].values.push(Entry {
            serial,
            group: group.map(Box::from),
            value,
        });
        Ok(FilterId { node, serial })
    }

    /// Takes out all values of this filter, spelled as it was inserted; an unknown filter is no mistake.
    pub fn remove(&mut self, filter: &str) -> Vec<V> {
        let (group, _) = split_share(filter);
        let Some(node) = self.find(filter) else {
            return Vec::new();
        };
        let values = &mut self.nodes[node].values;
        let (taken, kept) = std::mem::take(values)
            .into_iter()
            .partition(|entry| entry.group.as_deref() == group);
        *values = kept;
        let taken: Vec<Entry<V>> = taken;
        self.len -= taken.len();
        self.prune(node);
        taken.into_iter().map(|entry| entry.value).collect()
    }

    /// Takes out all values of this filter, whatever `$share/GROUP/` they were inserted with; that of `filter` itself takes
    /// no part.
    pub(crate) fn remove_of_all_groups(&mut self, filter: &str) -> Vec<V> {
        let Some(node) = self.find(filter) else {
            return Vec::new();
        };
        let taken = std::mem::take(&mut self.nodes[node].values);
        self.len -= taken.len();
        self.prune(node);
        taken.into_iter().map(|entry| entry.value).collect()
    }

    /// Returns the values of this filter, spelled as it was inserted.
    pub(crate) fn values<'a>(&'a self, filter: &'a str) -> impl Iterator<Item = &'a V> {
        let (group, _) = split_share(filter);
        let node = self.find(filter).map(|node| &self.nodes[node]);
        node.into_iter()
            .flat_map(|node| &node.values)
            .filter(move |entry| entry.group.as_deref() == group)
            .map(|entry| &entry.value)
    }

    /// Takes out one value, if it is still there.
    pub fn remove_id(&mut self, id: FilterId) -> Option<V> {
        let values = &mut self.nodes.get_mut(id.node)?.values;
        let index = values.iter().position(|entry| entry.serial == id.serial)?;
        let entry = values.remove(index);
        self.len -= 1;
        self.prune(id.node);
        Some(entry.value)
    }

    /// Takes out everything.
    pub fn clear(&mut self) {
        // Serials go on, so that an old id finds nothing.
        *self = Self {
            next_serial: self.next_serial,
            ..Self::new()
        };
    }

    /// Returns whether a value is filed under this filter, spelled as it was inserted.
    pub fn contains(&self, filter: &str) -> bool {
        let (group, _) = split_share(filter);
        self.find(filter).is_some_and(|node| {
            self.nodes[node]
                .values
                .iter()
                .any(|entry| entry.group.as_deref() == group)
        })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Calls `visit` with each value whose filter matches the name, in the order of [`iter_match`](Self::iter_match).
    pub fn matching(&self, topic: &str, visit: impl FnMut(&V)) {
        self.iter_match(topic).for_each(visit);
    }

    /// Returns the values whose filters match the name: the most specific filter first (at each level the level itself,
    /// then `+`, then `#`), and values of one filter in the order in which they were inserted.
    pub fn iter_match<'a>(&'a self, topic: &'a str) -> Matches<'a, V> {
        Matches {
            map: self,
            topic,
            node: ROOT,
            start: 0,
            end: level_end(topic, 0),
            step: if topic.is_empty() { Step::Done } else { Step::Name },
            values: [].iter(),
        }
    }

    fn find(&self, filter: &str) -> Option<NodeId> {
        let (_, levels) = split_share(filter);
        levels
            .split('/')
            .try_fold(ROOT, |node, level| self.nodes[node].child(level))
    }

    fn add_child(&mut self, parent: NodeId, level: &str) -> NodeId {
        let level = match level {
            "+" => Level::Plus,
            "#" => Level::Hash,
            name => Level::Name(Arc::from(name)),
        };
        let node = Node::new(parent, level.clone());
        let child = match self.free.pop() {
            Some(child) => {
                self.nodes[child] = node;
                child
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        let parent = &mut self.nodes[parent];
        match level {
            Level::Plus => parent.plus = Some(child),
            Level::Hash => parent.hash = Some(child),
            Level::Name(name) => {
                parent.names.insert(name, child);
            }
        }
        child
    }

    /// Takes a node out of the tree if nothing hangs on it, and then its parents likewise.
    fn prune(&mut self, mut node: NodeId) {
        while node != ROOT && self.nodes[node].is_bare() {
            let Node {
                parent, ref level, ..
            } = self.nodes[node];
            let level = level.clone();
            let siblings = &mut self.nodes[parent];
            match level {
                Level::Plus => siblings.plus = None,
                Level::Hash => siblings.hash = None,
                Level::Name(name) => {
                    siblings.names.remove(&name);
                }
            }
            self.free.push(node);
            node = parent;
        }
    }
}

impl<V> Default for FilterMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Node<V> {
    fn new(parent: NodeId, level: Level) -> Self {
        Self {
            parent,
            level,
            names: HashMap::new(),
            plus: None,
            hash: None,
            values: Vec::new(),
        }
    }

    fn child(&self, level: &str) -> Option<NodeId> {
        match level {
            "+" => self.plus,
            "#" => self.hash,
            name => self.names.get(name).copied(),
        }
    }

    fn is_bare(&self) -> bool {
        self.values.is_empty() && self.names.is_empty() && self.plus.is_none() && self.hash.is_none()
    }
}

/// A walk through the tree. The way back needs no stack: nodes know their parents, and the name is read backwards. So
/// neither a deep filter nor a long name costs memory.
impl<'a, V> Matches<'a, V> {
    /// Does one step; afterwards `values` may have something.
    fn advance(&mut self) {
        let map = self.map;
        let node = &map.nodes[self.node];
        match self.step {
            Step::Name => {
                self.step = Step::Plus;
                match self.level() {
                    Some(level) => {
                        if let Some(&child) = node.names.get(level) {
                            self.descend(child);
                        }
                    }
                    // The name ends here.
                    None => {
                        self.values = node.values.iter();
                        self.step = Step::Hash;
                    }
                }
            }
            Step::Plus => {
                self.step = Step::Hash;
                if let (Some(child), true) = (node.plus, self.wildcards_allowed()) {
                    // There is a level: where the name ends this step is left out.
                    self.descend(child);
                }
            }
            Step::Hash => {
                self.step = Step::Up;
                if let (Some(child), true) = (node.hash, self.wildcards_allowed()) {
                    self.values = map.nodes[child].values.iter();
                }
            }
            Step::Up if self.node == ROOT => self.step = Step::Done,
            Step::Up => {
                self.step = match node.level {
                    Level::Name(_) => Step::Plus,
                    Level::Plus | Level::Hash => Step::Hash,
                };
                self.node = node.parent;
                // `start` is behind the slash (or the end) that ends the parent's level.
                self.end = self.start - 1;
                self.start = level_start(self.topic, self.end);
            }
            Step::Done => {}
        }
    }

    /// The level of the name that the children of the present node have to match.
    fn level(&self) -> Option<&'a str> {
        self.topic.get(self.start..self.end)
    }

    fn descend(&mut self, child: NodeId) {
        self.node = child;
        self.start = self.end + 1;
        self.end = level_end(self.topic, self.start);
        self.step = Step::Name;
    }

    /// A first level that begins with `$` is not matched by wildcards [MQTT-4.7.2-1].
    fn wildcards_allowed(&self) -> bool {
        self.node != ROOT || !self.topic.starts_with('$')
    }
}

/// Where the level ends that begins at `start`; 0 if that is past the end.
fn level_end(topic: &str, start: usize) -> usize {
    let Some(rest) = topic.as_bytes().get(start..) else {
        return 0;
    };
    let slash = rest.iter().position(|&byte| byte == b'/');
    start + slash.unwrap_or(rest.len())
}

/// Where the level begins that ends at `end`.
fn level_start(topic: &str, end: usize) -> usize {
    let before = topic.as_bytes().get(..end).unwrap_or_default();
    before
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1)
}

impl<'a, V> Iterator for Matches<'a, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        loop {
            if let Some(entry) = self.values.next() {
                return Some(&entry.value);
            }
            if matches!(self.step, Step::Done) {
                return None;
            }
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests;
