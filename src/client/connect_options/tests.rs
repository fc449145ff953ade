//! What is set, what is left, and mistakes.

use super::*;
use crate::transport::Target;

fn argument(options: ConnectOptions) -> &'static str {
    match options.checked() {
        Err(Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_set_is_left_to_the_client() {
    let options = ConnectOptions::new("h").checked().unwrap();
    assert_eq!(options.keep_alive_seconds(), None);
    assert_eq!(options.clean_start_setting(), None);
    assert_eq!(options.connect_properties(), &Properties::default());
    let defaults = DialOptions {
        connect_timeout: Duration::from_secs(9),
        ..DialOptions::default()
    };
    let dial = options.dial_options(defaults);
    assert_eq!(dial.connect_timeout, Duration::from_secs(9));
    assert_eq!(
        (dial.bind_address, dial.bind_port, dial.tcp_nodelay),
        (None, 0, true)
    );
}

#[test]
fn what_is_set_reaches_the_transport() {
    let options = ConnectOptions::new("h")
        .bind_address("127.0.0.1")
        .bind_port(77)
        .connect_timeout(0.5)
        .stagger(0.1)
        .tcp_nodelay(false)
        .tcp_keep_alive(20)
        .tcp_user_timeout(30);
    let dial = options.checked().unwrap().dial_options(DialOptions::default());
    assert_eq!(dial.bind_address.as_deref(), Some("127.0.0.1"));
    assert_eq!((dial.bind_port, dial.tcp_nodelay), (77, false));
    assert_eq!(dial.connect_timeout, Duration::from_millis(500));
    assert_eq!(dial.stagger, Duration::from_millis(100));
    assert_eq!(dial.tcp_keep_alive, Some(Duration::from_secs(20)));
    assert_eq!(dial.tcp_user_timeout, Some(Duration::from_secs(30)));
    let unlimited = ConnectOptions::new("h")
        .connect_timeout(None)
        .dial_options(DialOptions::default());
    assert_eq!(unlimited.connect_timeout, Duration::MAX);
}

#[test]
fn the_keep_alive_is_whole_seconds_rounded_up() {
    let seconds = |options: ConnectOptions| options.checked().unwrap().keep_alive_seconds();
    assert_eq!(seconds(ConnectOptions::new("h").keep_alive(0)), Some(0));
    assert_eq!(seconds(ConnectOptions::new("h").keep_alive(0.2)), Some(1));
    assert_eq!(
        seconds(ConnectOptions::new("h").keep_alive(Duration::from_millis(1_001))),
        Some(2)
    );
    assert_eq!(seconds(ConnectOptions::new("h").keep_alive(65_535)), Some(65_535));
}

#[test]
fn mistakes_are_named() {
    let options = || ConnectOptions::new("h");
    for (wrong, name) in [
        (ConnectOptions::new(""), "host"),
        (options().port(0), "port"),
        (options().keep_alive(65_536), "keep_alive"),
        (options().keep_alive(65_535.5), "keep_alive"),
        (options().keep_alive(-1), "keep_alive"),
        (options().keep_alive(None), "keep_alive"),
        (options().bind_address("localhost"), "bind_address"),
        (options().connect_timeout(0), "connect_timeout"),
        (options().connect_timeout(-1), "connect_timeout"),
        (options().tcp_keep_alive(0), "tcp_keep_alive"),
        (options().tcp_keep_alive(40_000), "tcp_keep_alive"),
        (options().return_to_first(0), "return_to_first"),
        (options().stagger(-1), "stagger"),
    ] {
        assert_eq!(argument(wrong), name);
    }
    // The first one counts.
    assert_eq!(argument(ConnectOptions::new("").port(0)), "host");
    assert!("h:x".parse::<ConnectOptions>().is_err());
}

#[test]
fn servers_are_added_and_the_port_belongs_to_the_last() {
    let options = ConnectOptions::new(("a", 1)).server("b").port(2).server("c");
    let servers: Vec<_> = options.servers().iter().map(Server::to_string).collect();
    assert_eq!(servers, ["a:1", "b:2", "c:1883"]);
}

#[test]
fn a_stream_takes_the_place_of_a_host() {
    let options = ConnectOptions::connector(|| Err(io::ErrorKind::NotConnected.into())).port(5);
    let options = options.checked().unwrap();
    match &options.servers()[0].parts().target {
        Target::Custom(connector) => assert!(connector().is_err()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_5_options_are_refused_before_it() {
    let plain = ConnectOptions::new("h");
    let clean = plain.clone().clean_start(false);
    assert_eq!(clean.clean_start_setting(), Some(CleanStart::Never));
    assert!(plain.check_version(ProtocolVersion::V31).is_ok());
    assert!(clean.check_version(ProtocolVersion::V5).is_ok());
    let error = clean.check_version(ProtocolVersion::V311).unwrap_err();
    assert_eq!(error.to_string(), "invalid clean_start: only applies to MQTT 5.0");
}

#[test]
fn secrets_are_not_printed() {
    let options = ConnectOptions::new("mqtt://me:hush@h");
    assert!(!format!("{options:?}").contains("hush"));
}
