use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::topic;

fn found(map: &FilterMap<u32>, topic: &str) -> Vec<u32> {
    map.iter_match(topic).copied().collect()
}

#[test]
fn the_most_specific_filter_comes_first() {
    let mut map = FilterMap::new();
    for (value, filter) in ["#", "a/#", "+/b", "a/+", "a/b/#", "a/b", "+/+", "+/#"]
        .into_iter()
        .enumerate()
    {
        map.insert(filter, filter).unwrap();
        assert_eq!(map.len(), value + 1);
    }
    let found: Vec<_> = map.iter_match("a/b").copied().collect();
    assert_eq!(found, ["a/b", "a/b/#", "a/+", "a/#", "+/b", "+/+", "+/#", "#"]);
}

#[test]
fn values_of_one_filter_keep_their_order() {
    let mut map = FilterMap::new();
    for value in 0..4 {
        map.insert("a/+", value).unwrap();
    }
    assert_eq!(found(&map, "a/x"), [0, 1, 2, 3]);
    let mut visited = Vec::new();
    map.matching("a/x", |value| visited.push(*value));
    assert_eq!(visited, [0, 1, 2, 3]);
}

#[test]
fn a_bad_filter_is_refused_and_changes_nothing() {
    let mut map = FilterMap::new();
    assert!(map.insert("a/#/b", 1).is_err());
    assert!(map.insert("", 1).is_err());
    assert!(map.is_empty());
    assert_eq!(map.nodes.len(), 1);
}

#[test]
fn a_shared_filter_matches_plain_names_and_is_removed_by_its_full_text() {
    let mut map = FilterMap::new();
    map.insert("a", 1).unwrap();
    map.insert("$share/g/a", 2).unwrap();
    map.insert("$share/h/a", 3).unwrap();
    assert_eq!(found(&map, "a"), [1, 2, 3]);
    assert!(map.contains("$share/g/a") && !map.contains("$share/x/a"));
    assert_eq!(map.remove("$share/x/a"), []);
    assert_eq!(map.remove("$share/g/a"), [2]);
    assert_eq!(map.remove("a"), [1]);
    assert_eq!(found(&map, "a"), [3]);
}

#[test]
fn an_id_removes_its_value_only_once() {
    let mut map = FilterMap::new();
    let first = map.insert("a/b", 1).unwrap();
    let second = map.insert("a/b", 2).unwrap();
    assert_eq!(map.remove_id(first), Some(1));
    assert_eq!(map.remove_id(first), None);
    assert_eq!(found(&map, "a/b"), [2]);
    assert_eq!(map.remove_id(second), Some(2));
    // The node is used again, the old ids are not.
    map.insert("c", 3).unwrap();
    map.insert("d", 4).unwrap();
    assert_eq!((map.remove_id(first), map.remove_id(second)), (None, None));
    map.clear();
    assert!(map.is_empty() && found(&map, "c").is_empty());
    map.insert("c", 5).unwrap();
    assert_eq!(map.remove_id(second), None);
    assert_eq!(map.len(), 1);
}

#[test]
fn removed_filters_leave_no_nodes_behind() {
    let mut map = FilterMap::new();
    for round in 0..100 {
        let filter = format!("a/{round}/+/#");
        map.insert(&filter, round).unwrap();
        assert_eq!(map.remove(&filter), [round]);
    }
    assert_eq!(map.nodes.len() - map.free.len(), 1);
    assert!(map.nodes.len() < 10);
}

#[test]
fn a_deep_filter_and_a_long_name_need_no_stack() {
    let deep = "+/".repeat(30_000) + "#";
    let mut map = FilterMap::new();
    map.insert(&deep, 1).unwrap();
    assert_eq!(found(&map, &"/".repeat(65_535)), [1]);
    assert_eq!(map.remove(&deep), [1]);
    assert_eq!(map.nodes.len() - map.free.len(), 1);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("a"), Just("b"), Just("$x")]
}

fn filter() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => level(), 2 => Just("+")];
    let share = prop_oneof![4 => Just(""), 1 => Just("$share/g/")];
    (share, vec(part, 0..4), any::<bool>())
        .prop_map(|(share, mut parts, hash)| {
            if hash {
                parts.push("#");
            }
            format!("{share}{}", parts.join("/"))
        })
        .prop_filter("a valid filter", |filter| topic::check_filter(filter).is_ok())
}

proptest! {
    /// [3.1.1/MQTT-4.7.2-1] [5.0/MQTT-4.7.2-1]
    #[test]
    fn the_map_finds_what_the_plain_comparison_finds(
        filters in vec(filter(), 0..12),
        removed in vec(any::<prop::sample::Index>(), 0..4),
        names in vec(vec(level(), 1..5).prop_map(|levels| levels.join("/")), 1..8),
    ) {
        let mut map = FilterMap::new();
        let mut plain: Vec<(FilterId, String, u32)> = Vec::new();
        for (value, filter) in (0..).zip(&filters) {
            plain.push((map.insert(filter, value).unwrap(), filter.clone(), value));
        }
        for (turn, index) in removed.iter().enumerate().filter(|_| !filters.is_empty()) {
            let filter = index.get(&filters);
            if turn % 2 == 0 {
                let expected: Vec<u32> = plain.iter().filter(|entry| &entry.1 == filter).map(|entry| entry.2).collect();
                prop_assert_eq!(map.remove(filter), expected);
                plain.retain(|entry| &entry.1 != filter);
            } else if let Some(position) = plain.iter().position(|entry| &entry.1 == filter) {
                let (id, _, value) = plain.remove(position);
                prop_assert_eq!(map.remove_id(id), Some(value));
            }
        }
        prop_assert_eq!(map.len(), plain.len());
        for name in &names {
            let mut expected: Vec<u32> =
                plain.iter().filter(|entry| topic::matches(&entry.1, name)).map(|entry| entry.2).collect();
            let mut found = found(&map, name);
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected, "{:?} against {:?}", plain, name);
        }
        for (_, filter, _) in plain {
            map.remove(&filter);
        }
        prop_assert_eq!(map.nodes.len() - map.free.len(), 1);
    }
}
