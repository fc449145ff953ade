use super::*;

fn rule(result: Result<()>) -> Option<(&'static str, &'static str)> {
    match result {
        Ok(()) => None,
        Err(Error::InvalidArgument { argument, rule }) => Some((argument, rule)),
        Err(other) => panic!("unexpected error {other:?}"),
    }
}

#[test]
fn names_that_may_be_published() {
    for topic in [
        "a",
        "/",
        "//",
        "a/b c/d",
        "$SYS/x",
        "café/ü",
        "$share/g/x",
        &"x".repeat(65_535),
    ] {
        assert_eq!(rule(check_topic(topic)), None, "{topic:.20}");
    }
}

/// [3.1.1/MQTT-3.3.2-2] [3.1.1/MQTT-4.7.1-1] [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-2] [3.1.1/MQTT-4.7.3-3]
/// [5.0/MQTT-3.3.2-2] [5.0/MQTT-4.7.0-1] [5.0/MQTT-4.7.3-1] [5.0/MQTT-4.7.3-2] [5.0/MQTT-4.7.3-3]
#[test]
fn names_that_may_not_be_published() {
    let long = "é".repeat(32_768);
    for (topic, expected) in [
        ("", "must not be empty"),
        ("+", "must not contain wildcards (+ or #)"),
        ("a/#", "must not contain wildcards (+ or #)"),
        ("a+b", "must not contain wildcards (+ or #)"),
        ("a\0b", "must not contain U+0000"),
        (&long, "must not be longer than 65,535 bytes"),
    ] {
        assert_eq!(rule(check_topic(topic)), Some(("topic", expected)), "{topic:.20}");
    }
}

#[test]
fn a_forbidden_character_is_found_wherever_it_stands() {
    for len in 1..40 {
        for position in 0..len {
            for byte in 0..0x80 {
                let mut name = vec![b'a'; len];
                name[position] = byte;
                let name = String::from_utf8(name).unwrap();
                let allowed = !matches!(byte, b'+' | b'#' | 0);
                assert_eq!(check_topic(&name).is_ok(), allowed, "{name:?}");
            }
        }
    }
}

#[test]
fn filters_that_may_be_subscribed() {
    for filter in [
        "a",
        "#",
        "+",
        "/",
        "+/+",
        "a/+/b",
        "a/#",
        "/#",
        "+/#",
        "$SYS/#",
        "$share",
        "$shared/+",
        "$share/g/a",
        "$share/g/#",
        "$share/g/+/x",
        "$share/g//",
        "$share/ü/x",
        &"x".repeat(65_535),
    ] {
        assert_eq!(rule(check_filter(filter)), None, "{filter:.20}");
    }
}

/// [3.1.1/MQTT-4.7.1-2] [3.1.1/MQTT-4.7.1-3] [3.1.1/MQTT-4.7.3-1] [3.1.1/MQTT-4.7.3-2] [3.1.1/MQTT-4.7.3-3]
/// [5.0/MQTT-4.7.1-1] [5.0/MQTT-4.7.1-2] [5.0/MQTT-4.7.3-1] [5.0/MQTT-4.7.3-2] [5.0/MQTT-4.7.3-3] [5.0/MQTT-4.8.2-1]
/// [5.0/MQTT-4.8.2-2]
#[test]
fn filters_that_may_not_be_subscribed() {
    let long = "x".repeat(65_536);
    for (filter, expected) in [
        ("", "must not be empty"),
        ("a\0", "must not contain U+0000"),
        (&long[..], "must not be longer than 65,535 bytes"),
        ("#/a", "# must be the last level"),
        ("a/#/b", "# must be the last level"),
        ("a#", "+ or # must stand alone in its level"),
        ("a/b#", "+ or # must stand alone in its level"),
        ("##", "+ or # must stand alone in its level"),
        ("a+", "+ or # must stand alone in its level"),
        ("+a/b", "+ or # must stand alone in its level"),
        ("$share/", "$share/GROUP must be followed by a filter"),
        ("$share/g", "$share/GROUP must be followed by a filter"),
        ("$share/g/", "$share/GROUP must be followed by a filter"),
        (
            "$share//a",
            "the group of $share/GROUP/FILTER must not be empty or contain + or #",
        ),
        (
            "$share/+/a",
            "the group of $share/GROUP/FILTER must not be empty or contain + or #",
        ),
        (
            "$share/g#/a",
            "the group of $share/GROUP/FILTER must not be empty or contain + or #",
        ),
        ("$share/g/a/#/b", "# must be the last level"),
    ] {
        assert_eq!(
            rule(check_filter(filter)),
            Some(("filter", expected)),
            "{filter:.20}"
        );
    }
}

/// The examples of the standard (MQTT 5.0, section 4.7) and of the Python client.
///
/// [3.1.1/MQTT-4.7.2-1] [5.0/MQTT-4.7.2-1]
#[test]
fn filters_match_as_the_standard_says() {
    for (filter, topic, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/broker", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/+", "a/$x", true),
        ("foo/bar", "foo/bar", true),
        ("foo/bar", "foo/Bar", false),
        ("foo/bar", "foo", false),
        ("foo", "foo/bar", false),
        ("foo/+/baz", "foo/bar/baz", true),
        ("foo/+/#", "foo/bar", true),
        ("foo/+/#", "foo", false),
        ("/foo", "foo", false),
        ("foo/", "foo", false),
        ("$share/g/foo/+", "foo/bar", true),
        ("$share/g/#", "$SYS/x", false),
        ("$share/g/foo", "$share/g/foo", false),
        ("$shared/g/foo", "$shared/g/foo", true),
        ("a/#/b", "a/x/b", false),
        ("", "a", false),
        ("a", "", false),
        ("#", "", false),
        ("", "", false),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} against {topic}");
    }
}

#[test]
fn a_topic_name_reads_as_text() {
    let topic = TopicName::new("b/ü").unwrap();
    assert_eq!(topic, "b/ü");
    assert_eq!(topic, *"b/ü");
    assert_eq!(topic, "b/ü".to_owned());
    assert_eq!("b/ü", topic);
    assert_eq!("b/ü".to_owned(), topic);
    assert_eq!(format!("{topic} {topic:?} {topic:>5}"), "b/ü \"b/ü\"   b/ü");
    assert_eq!(topic.split('/').count(), 2);
    assert!(TopicName::new("a").unwrap() < topic);
    assert_eq!(String::from(topic.clone()), "b/ü");
    let set = std::collections::HashSet::from([topic]);
    assert!(set.contains("b/ü"));
}

#[test]
fn conversions_into_a_topic_name_check_it() {
    assert_eq!(TopicName::try_from("a/b").unwrap(), "a/b");
    assert_eq!(TopicName::try_from(String::from("a/b")).unwrap(), "a/b");
    assert_eq!("a/b".parse::<TopicName>().unwrap(), "a/b");
    assert!(TopicName::try_from("a/#").is_err());
    assert!(TopicName::new("").is_err());
    assert_eq!(TopicName::empty(), "");
}
