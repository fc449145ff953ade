//! A map from Topic Filters to values that finds all filters matching a name in time that does not grow with their number.

/// Values filed under Topic Filters.
#[derive(Clone, Debug)]
pub struct FilterMap<V> {
    _values: Vec<V>,
}
