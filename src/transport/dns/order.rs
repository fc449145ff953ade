//! In which order SRV records are used.

use super::Place;
use super::message::Record;

/// More are not looked at.
const MAX_RECORDS: usize = 32;

/// The places of a service: by priority, among equals by chance and weight. `None` where there is none.
///
/// See RFC 2782.
pub(super) fn ordered(records: Vec<Record>) -> Option<Vec<Place>> {
    ordered_by(records, |end| fastrand::u32(..=end))
}

/// As [`ordered`], with a number from 0 up to and including its argument from `chance`.
fn ordered_by(mut records: Vec<Record>, mut chance: impl FnMut(u32) -> u32) -> Option<Vec<Place>> {
    records.retain(|record| !record.target.is_empty() && record.port != 0);
    // Those without weight first: they get their small chance only there.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut places = Vec::new();
    while let Some(first) = records.first().filter(|_| places.len() < MAX_RECORDS) {
        let priority = first.priority;
        let equals = || records.iter().take_while(|record| record.priority == priority);
        let sum = equals().map(|record| u32::from(record.weight)).sum();
        let chosen = chance(sum);
        let mut passed = 0;
        let place = equals().position(|record| {
            passed += u32::from(record.weight);
            passed >= chosen
        });
        let record = records.remove(place.unwrap_or(0));
        places.push((record.target, record.port));
    }
    (!places.is_empty()).then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        let target = target.to_owned();
        Record {
            priority,
            weight,
            port: 1883,
            target,
        }
    }

    fn hosts(places: Option<Vec<Place>>) -> String {
        let hosts = places.unwrap_or_default().into_iter().map(|(host, _)| host);
        hosts.collect()
    }

    #[test]
    fn the_lowest_priority_comes_first() {
        let records = vec![record(2, 9, "c"), record(0, 0, "a"), record(1, 0, "b")];
        assert_eq!(hosts(ordered(records)), "abc");
    }

    /// The draw of RFC 2782: 0 to the sum of the weights, and the first record at which the sum so far reaches it.
    #[test]
    fn among_equals_the_weight_decides() {
        let records = || vec![record(1, 3, "b"), record(1, 0, "a"), record(1, 1, "c")];
        for (draws, expected) in [
            ([0, 0, 0], "abc"),
            ([1, 0, 0], "bac"),
            ([3, 0, 0], "bac"),
            ([4, 3, 0], "cba"),
            ([4, 0, 0], "cab"),
        ] {
            let mut draws = draws.into_iter();
            let mut sums = Vec::new();
            let drawn = ordered_by(records(), |sum| {
                sums.push(sum);
                draws.next().unwrap()
            });
            assert_eq!(hosts(drawn), expected);
            assert_eq!(sums[0], 4);
        }
    }

    #[test]
    fn weights_are_shares() {
        let mut first = 0;
        for _ in 0..1000 {
            let order = hosts(ordered(vec![record(0, 1, "a"), record(0, 9, "b")]));
            first += u32::from(order == "ba");
        }
        // 9 of 11 draws are beyond the weight of "a": 818, and five standard deviations on either side.
        assert!((758..=878).contains(&first), "{first}");
    }

    #[test]
    fn heavy_records_do_not_overflow_and_many_are_not_all_used() {
        let records = vec![record(0, u16::MAX, "h"); 5_000];
        assert_eq!(ordered(records).unwrap().len(), MAX_RECORDS);
    }

    #[test]
    fn a_service_that_is_not_there() {
        assert_eq!(ordered(vec![record(0, 0, "")]), None);
        assert_eq!(ordered(Vec::new()), None);
        let no_port = Record {
            port: 0,
            ..record(0, 0, "a")
        };
        assert_eq!(ordered(vec![no_port]), None);
        assert_eq!(hosts(ordered(vec![record(0, 0, ""), record(0, 0, "a")])), "a");
    }
}
