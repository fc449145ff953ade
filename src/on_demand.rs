//! State that most clients never have: it takes no memory until it is there.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A value in memory of its own, which is only taken when the value is first borrowed to be changed. Whoever reads it
/// before sees the empty one.
pub(crate) struct OnDemand<T>(Option<Box<T>>);

/// What an [`OnDemand`] can hold.
pub(crate) trait Empty: Default + 'static {
    /// As [`Default`] makes it.
    const EMPTY: &'static Self;
}

impl<T: 'static> Empty for Vec<T> {
    const EMPTY: &'static Self = &Self::new();
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &Self::new();
}

impl<T: 'static> Empty for VecDeque<T> {
    const EMPTY: &'static Self = &Self::new();
}

impl<T> OnDemand<T> {
    /// The value, unless it is still empty: for what is to be changed only where there is something.
    #[inline]
    pub(crate) fn present(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T> Default for OnDemand<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for OnDemand<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for OnDemand<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            empty => make(empty),
        }
    }
}

#[cold]
#[inline(never)]
fn make<T: Default>(empty: &mut Option<Box<T>>) -> &mut T {
    empty.insert(Box::default())
}

/// An array of what `value` returns that is made where it is to be, not on the stack: memory that a thread's stack has
/// grown to stays with the thread.
#[cold]
#[inline(never)]
pub(crate) fn array_on_heap<T, const N: usize>(mut value: impl FnMut() -> T) -> Box<[T; N]> {
    let values: Vec<T> = std::iter::repeat_with(&mut value).take(N).collect();
    match values.try_into() {
        Ok(values) => values,
        // So many are an array.
        Err(_) => array_by_stack(value),
    }
}

/// By itself, so that its stack frame is its own.
#[cold]
#[inline(never)]
fn array_by_stack<T, const N: usize>(mut value: impl FnMut() -> T) -> Box<[T; N]> {
    Box::new(std::array::from_fn(|_| value()))
}

impl<T: fmt::Debug> fmt::Debug for OnDemand<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("(empty)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_when_it_is_first_changed() {
        let mut names = OnDemand::<VecDeque<&str>>::default();
        assert_eq!(size_of_val(&names), size_of::<usize>());
        assert!(names.is_empty() && format!("{names:?}") == "(empty)");
        assert!(names.present().is_none(), "reading makes nothing");
        names.push_back("a");
        assert_eq!(names.present().unwrap(), &["a"]);
        assert_eq!(*names, ["a"]);
    }

    #[test]
    fn an_array_has_its_values_in_order() {
        let mut next = 0;
        let count = || {
            next += 1;
            next
        };
        assert_eq!(*array_on_heap::<_, 5>(count), [1, 2, 3, 4, 5]);
    }
}
