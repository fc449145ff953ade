//! What can be subscribed to, and unsubscribed from.

use std::borrow::Cow;

use super::{IntoQos, sealed};
use crate::codec::{QoS, SubscribeOptions, Subscription, TopicName};
use crate::error::{Error, Result};
use crate::topic::check_filter;

/// What converts into a list of subscriptions: a filter, a filter with its QoS, or a list of either.
///
/// ```
/// use callmq::client::{IntoSubscriptions, QoS};
///
/// assert_eq!("a/#".into_subscriptions()?[0].filter, "a/#");
/// assert_eq!(("a/#", 1).into_subscriptions()?[0].options.qos, QoS::AtLeastOnce);
/// assert_eq!([("a", 0), ("b", 2)].into_subscriptions()?.len(), 2);
/// assert!("a/#/b".into_subscriptions().is_err());
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what to subscribe to",
    label = "not a subscription",
    note = "write \"a/b\", (\"a/b\", 1), (\"a/b\", SubscribeOptions {{ .. }}), or a list: [\"a\", \"b\"], [(\"a\", 0), (\"b\", 2)]"
)]
pub trait IntoSubscriptions: sealed::Sealed {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad filter, a bad QoS, or an empty list.
    fn into_subscriptions(self) -> Result<Vec<Subscription>>;
}

/// One item of [`IntoSubscriptions`]: a filter (QoS 0), or a filter with its QoS or its [`SubscribeOptions`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what to subscribe to",
    label = "not a subscription",
    note = "write \"a/b\", (\"a/b\", 1) or (\"a/b\", SubscribeOptions {{ .. }})"
)]
pub trait IntoSubscription: sealed::Sealed {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad filter or a bad QoS.
    fn into_subscription(self) -> Result<Subscription>;
}

/// What stands beside a filter: a QoS or [`SubscribeOptions`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a QoS nor `SubscribeOptions`",
    label = "not a QoS",
    note = "write (\"a/b\", 1), (\"a/b\", QoS::AtLeastOnce) or (\"a/b\", SubscribeOptions {{ .. }}); for two filters write a list, [\"a\", \"b\"]"
)]
pub trait IntoSubscribeOptions: sealed::Sealed {
    /// Converts it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad QoS.
    fn into_subscribe_options(self) -> Result<SubscribeOptions>;
}

/// What converts into a list of filters to unsubscribe from: one filter or a list.
///
/// ```
/// use callmq::client::IntoTopics;
///
/// assert_eq!("a/#".into_topics()?, ["a/#"]);
/// assert_eq!(["a", "b"].into_topics()?, ["a", "b"]);
/// # Ok::<(), callmq::error::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Topic Filter or a list of them",
    label = "not a filter",
    note = "write \"a/b\" or a list, [\"a\", \"b\"]"
)]
pub trait IntoTopics: sealed::Sealed {
    /// Converts and checks it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a bad filter or an empty list.
    fn into_topics(self) -> Result<Vec<String>>;
}

impl IntoSubscribeOptions for SubscribeOptions {
    fn into_subscribe_options(self) -> Result<SubscribeOptions> {
        Ok(self)
    }
}

macro_rules! options_from_qos {
    ($($qos:ty),*) => {$(
        impl IntoSubscribeOptions for $qos {
            fn into_subscribe_options(self) -> Result<SubscribeOptions> {
                self.into_qos().map(SubscribeOptions::from)
            }
        }
    )*};
}

options_from_qos!(QoS, i32, u8);

impl<T: Into<String>, O: IntoSubscribeOptions> IntoSubscription for (T, O) {
    fn into_subscription(self) -> Result<Subscription> {
        let (filter, options) = self;
        let options = options.into_subscribe_options()?;
        Subscription {
            filter: filter.into(),
            options,
        }
        .into_subscription()
    }
}

impl<T: Into<String> + Clone, O: IntoSubscribeOptions + Clone> IntoSubscription for &(T, O) {
    fn into_subscription(self) -> Result<Subscription> {
        self.clone().into_subscription()
    }
}

impl IntoSubscription for Subscription {
    fn into_subscription(self) -> Result<Subscription> {
        check_filter(&self.filter)?;
        // [MQTT-3.8.3-4]
        if self.options.no_local && self.filter.starts_with("$share/") {
            return Err(Error::argument(
                "options",
                "a shared subscription cannot be no_local",
            ));
        }
        Ok(self)
    }
}

impl IntoSubscription for &Subscription {
    fn into_subscription(self) -> Result<Subscription> {
        self.clone().into_subscription()
    }
}

/// One item is a list of one.
macro_rules! one_subscription {
    ($([$($generics:tt)*] $item:ty),* $(,)?) => {$(
        impl<$($generics)*> IntoSubscriptions for $item {
            fn into_subscriptions(self) -> Result<Vec<Subscription>> {
                Ok(vec![self.into_subscription()?])
            }
        }
    )*};
}

one_subscription!(
    [T: Into<String>, O: IntoSubscribeOptions] (T, O),
    [T: Into<String> + Clone, O: IntoSubscribeOptions + Clone] &(T, O),
    [] Subscription,
    [] &Subscription,
);

/// Everything that reads as text is a filter.
macro_rules! filters {
    ($($text:ty => |$value:ident| $filter:expr;)*) => {$(
        impl IntoSubscription for $text {
            fn into_subscription(self) -> Result<Subscription> {
                let $value = self;
                let filter: String = $filter;
                (filter, QoS::AtMostOnce).into_subscription()
            }
        }

        one_subscription!([] $text);

        impl IntoTopics for $text {
            fn into_topics(self) -> Result<Vec<String>> {
                let $value = self;
                let filter: String = $filter;
                check_filter(&filter)?;
                Ok(vec![filter])
            }
        }
    )*};
}

filters! {
    &str => |text| text.to_owned();
    &&str => |text| (*text).to_owned();
    String => |text| text;
    &String => |text| text.clone();
    Cow<'_, str> => |text| text.into_owned();
    TopicName => |name| name.as_str().to_owned();
    &TopicName => |name| name.as_str().to_owned();
}

fn all_subscriptions(items: impl Iterator<Item = impl IntoSubscription>) -> Result<Vec<Subscription>> {
    not_empty(items.map(IntoSubscription::into_subscription).collect())
}

fn all_topics(items: impl Iterator<Item = impl IntoTopics>) -> Result<Vec<String>> {
    let lists: Vec<Vec<String>> = items.map(IntoTopics::into_topics).collect::<Result<_>>()?;
    not_empty(Ok(lists.into_iter().flatten().collect()))
}

/// [MQTT-3.8.3-2] and [MQTT-3.10.3-2]: a request has at least one filter.
fn not_empty<T>(list: Result<Vec<T>>) -> Result<Vec<T>> {
    match list {
        Ok(list) if list.is_empty() => Err(Error::argument("topics", "the list must not be empty")),
        list => list,
    }
}

macro_rules! lists {
    ($([$item:ident: $($bound:tt)+] [$($generics:tt)*] $list:ty => |$value:ident| $items:expr;)*) => {$(
        impl<$item: IntoSubscription $($bound)+, $($generics)*> IntoSubscriptions for $list {
            fn into_subscriptions(self) -> Result<Vec<Subscription>> {
                let $value = self;
                all_subscriptions($items)
            }
        }

        impl<$item: IntoTopics $($bound)+, $($generics)*> IntoTopics for $list {
            fn into_topics(self) -> Result<Vec<String>> {
                let $value = self;
                all_topics($items)
            }
        }
    )*};
}

lists! {
    [S: + Sized] [const N: usize] [S; N] => |list| list.into_iter();
    [S: + Sized] [] Vec<S> => |list| list.into_iter();
    [S: + Clone] [] &[S] => |list| list.iter().cloned();
    [S: + Clone] [] &Vec<S> => |list| list.iter().cloned();
    [S: + Clone] [const N: usize] &[S; N] => |list| list.iter().cloned();
}

#[cfg(test)]
#[allow(
    clippy::needless_borrows_for_generic_args,
    reason = "the borrowed forms are tested"
)]
mod tests {
    use super::*;
    use crate::codec::RetainHandling;

    fn subscriptions(items: impl IntoSubscriptions) -> Vec<(String, u8)> {
        let list = items.into_subscriptions().unwrap();
        list.into_iter()
            .map(|item| (item.filter, item.options.qos as u8))
            .collect()
    }

    fn expected(list: &[(&str, u8)]) -> Vec<(String, u8)> {
        list.iter()
            .map(|(filter, qos)| ((*filter).to_owned(), *qos))
            .collect()
    }

    #[test]
    fn one_filter() {
        let owned = String::from("a/+");
        for found in [
            subscriptions("a/+"),
            subscriptions(&"a/+"),
            subscriptions(&owned),
            subscriptions(owned.clone()),
            subscriptions(Cow::Borrowed("a/+")),
        ] {
            assert_eq!(found, expected(&[("a/+", 0)]));
        }
        let name = TopicName::new("a").unwrap();
        assert_eq!(subscriptions(&name), expected(&[("a", 0)]));
        assert_eq!(subscriptions(name), expected(&[("a", 0)]));
    }

    #[test]
    fn one_filter_with_its_qos_or_options() {
        let owned = String::from("a");
        for found in [
            subscriptions(("a", 1)),
            subscriptions(("a", 1u8)),
            subscriptions(("a", QoS::AtLeastOnce)),
            subscriptions((&owned, 1)),
            subscriptions((owned.clone(), 1)),
            subscriptions(&("a", 1)),
        ] {
            assert_eq!(found, expected(&[("a", 1)]));
        }
        let options = SubscribeOptions {
            no_local: true,
            retain_handling: RetainHandling::DoNotSend,
            ..SubscribeOptions::default()
        };
        let list = ("a", options).into_subscriptions().unwrap();
        assert_eq!(
            list,
            [Subscription {
                filter: owned,
                options
            }]
        );
        assert_eq!((&list[0]).into_subscriptions().unwrap(), list);
        assert_eq!(list.clone().into_subscriptions().unwrap(), list);
    }

    #[test]
    fn lists_keep_their_order() {
        let both = expected(&[("a", 0), ("b", 2)]);
        let pairs = vec![("a", 0), ("b", 2)];
        for found in [
            subscriptions([("a", 0), ("b", 2)]),
            subscriptions(&[("a", 0), ("b", 2)]),
            subscriptions(&pairs),
            subscriptions(&pairs[..]),
            subscriptions(pairs.clone()),
        ] {
            assert_eq!(found, both);
        }
        assert_eq!(subscriptions(["b", "a"]), expected(&[("b", 0), ("a", 0)]));
        assert_eq!(
            subscriptions(vec![String::from("b"), String::from("a")]),
            expected(&[("b", 0), ("a", 0)])
        );
    }

    #[test]
    fn every_item_is_checked() {
        let argument = |result: Result<Vec<Subscription>>| match result {
            Err(Error::InvalidArgument { argument, .. }) => argument,
            other => panic!("{other:?}"),
        };
        assert_eq!(argument("".into_subscriptions()), "filter");
        assert_eq!(argument(["a", "b/#/c"].into_subscriptions()), "filter");
        assert_eq!(argument(("a", 3).into_subscriptions()), "qos");
        assert_eq!(argument([("a", 0), ("b", -1)].into_subscriptions()), "qos");
        assert_eq!(argument(Vec::<String>::new().into_subscriptions()), "topics");
        assert_eq!(argument(("$share/g/", 0).into_subscriptions()), "filter");
        let no_local = SubscribeOptions {
            no_local: true,
            ..SubscribeOptions::default()
        };
        assert_eq!(argument(("$share/g/a", no_local).into_subscriptions()), "options");
    }

    #[test]
    fn filters_to_unsubscribe_from() {
        let owned = vec![String::from("a"), String::from("b")];
        for found in [
            ["a", "b"].into_topics().unwrap(),
            (&["a", "b"]).into_topics().unwrap(),
            (&owned).into_topics().unwrap(),
            owned[..].into_topics().unwrap(),
            owned.clone().into_topics().unwrap(),
        ] {
            assert_eq!(found, owned);
        }
        assert_eq!("a".into_topics().unwrap(), ["a"]);
        assert!("a+".into_topics().is_err());
        assert!(["a", ""].into_topics().is_err());
        assert!(matches!(
            Vec::<&str>::new().into_topics(),
            Err(Error::InvalidArgument {
                argument: "topics",
                ..
            })
        ));
    }
}
