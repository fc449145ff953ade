//! A table indexed by Packet Identifier.

use crate::codec::PacketId;
use crate::on_demand::{OnDemand, array_on_heap};

/// Values by Packet Identifier, in pages that exist only where there are values: looking one up is two array accesses,
/// and identifiers that count up reuse the same two pages.
#[derive(Debug)]
pub(super) struct IdMap<V> {
    pages: Vec<Page<V>>,
    /// The places of pages that were emptied, kept for the next ones that are needed.
    #[allow(clippy::vec_box, reason = "they keep their places")]
    spare: OnDemand<Vec<Box<Places<V>>>>,
    len: usize,
}

#[derive(Debug)]
struct Page<V> {
    places: Option<Box<Places<V>>>,
    /// How many of them have a value.
    len: usize,
}

type Places<V> = [Option<V>; PAGE];

/// Values per page.
const PAGE: usize = 64;

/// So many emptied pages are kept: a window of messages that moves on empties as many as it needs.
const SPARES: usize = 8;

impl<V: 'static> IdMap<V> {
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            spare: OnDemand::default(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: PacketId) -> Option<&mut V> {
        let (page, place) = split(id);
        self.pages.get_mut(page)?.places.as_mut()?[place].as_mut()
    }

    /// Puts `value` at `id` and returns what was there.
    #[inline]
    pub(super) fn insert(&mut self, id: PacketId, value: V) -> Option<V> {
        let (page, place) = split(id);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || Page { places: None, len: 0 });
        }
        let page = &mut self.pages[page];
        let places = match &mut page.places {
            Some(places) => places,
            none => {
                let spare = self.spare.present().and_then(Vec::pop);
                none.insert(spare.unwrap_or_else(|| array_on_heap(|| None)))
            }
        };
        let place = &mut places[place];
        if place.is_some() {
            return place.replace(value);
        }
        *place = Some(value);
        page.len += 1;
        self.len += 1;
        None
    }

    #[inline]
    pub(super) fn remove(&mut self, id: PacketId) -> Option<V> {
        let (number, place) = split(id);
        let page = self.pages.get_mut(number)?;
        let value = page.places.as_mut()?[place].take()?;
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            self.put_aside(number);
        }
        Some(value)
    }

    /// Removes a value if `last`, which sees it where it is, returns something: moving a large one costs.
    #[inline]
    pub(super) fn remove_if<R>(&mut self, id: PacketId, last: impl FnOnce(&mut V) -> Option<R>) -> Option<R> {
        let (number, place) = split(id);
        let page = self.pages.get_mut(number)?;
        let place = &mut page.places.as_mut()?[place];
        let seen = last(place.as_mut()?)?;
        *place = None;
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            self.put_aside(number);
        }
        Some(seen)
    }

    #[cold]
    fn put_aside(&mut self, number: usize) {
        let emptied = self.pages.get_mut(number).and_then(|page| page.places.take());
        if self.spare.len() < SPARES {
            self.spare.extend(emptied);
        }
    }

    /// All values, in the order of their identifiers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut V)> {
        self.pages
            .iter_mut()
            .enumerate()
            .filter_map(|(number, page)| Some((number, page.places.as_mut()?)))
            .flat_map(|(number, places)| {
                places
                    .iter_mut()
                    .enumerate()
                    .filter_map(move |(place, value)| Some((joined(number, place)?, value.as_mut()?)))
            })
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Vec<(PacketId, V)> {
        let mut pages = std::mem::take(&mut self.pages);
        let mut drained = Vec::with_capacity(self.len);
        self.len = 0;
        for (number, page) in pages.iter_mut().enumerate() {
            // One by one: a page is large for the stack.
            let values = page.places.iter_mut().flat_map(|places| places.iter_mut());
            let taken = values
                .enumerate()
                .filter_map(|(place, value)| Some((joined(number, place)?, value.take()?)));
            drained.extend(taken);
        }
        drained
    }
}

fn split(id: PacketId) -> (usize, usize) {
    (usize::from(id.get()) / PAGE, usize::from(id.get()) % PAGE)
}

fn joined(page: usize, place: usize) -> Option<PacketId> {
    u16::try_from(page * PAGE + place).ok().and_then(PacketId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u16) -> PacketId {
        PacketId::new(id).unwrap()
    }

    #[test]
    fn values_are_found_by_their_id_and_leave_no_page_behind() {
        let mut map = IdMap::new();
        for n in [1, 63, 64, 65_535] {
            assert_eq!(map.insert(id(n), n), None);
        }
        assert_eq!(map.len(), 4);
        assert_eq!(map.get_mut(id(64)), Some(&mut 64));
        assert_eq!(map.get_mut(id(2)), None);
        assert_eq!(
            map.iter_mut().map(|(id, _)| id.get()).collect::<Vec<_>>(),
            [1, 63, 64, 65_535]
        );
        for n in [1, 64] {
            assert_eq!(map.remove(id(n)), Some(n));
            assert_eq!(map.remove(id(n)), None);
        }
        for n in [63, 65_535] {
            assert_eq!(map.remove_if(id(n), |_| None::<()>), None);
            assert_eq!(map.remove_if(id(n), |&mut value| Some(value)), Some(n));
            assert_eq!(map.remove_if(id(n), |&mut value| Some(value)), None);
        }
        assert_eq!(map.len(), 0);
        assert!(map.pages.iter().all(|page| page.places.is_none()));
    }

    #[test]
    fn inserting_twice_gives_the_first_value_back() {
        let mut map = IdMap::new();
        assert_eq!(map.insert(id(5), "a"), None);
        assert_eq!(map.insert(id(5), "b"), Some("a"));
        assert_eq!(map.len(), 1);
        assert_eq!(map.drain(), [(id(5), "b")]);
        assert_eq!(map.len(), 0);
    }
}
