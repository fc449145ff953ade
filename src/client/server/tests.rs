//! Servers and their text.

use bytes::Bytes;

use super::*;

fn argument(text: &str) -> &'static str {
    match text.parse::<Server>() {
        Err(Error::InvalidArgument { argument, .. }) => argument,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn text_forms() {
    for (text, expected) in [
        ("h", "h:1883"),
        ("h.example:1", "h.example:1"),
        ("127.0.0.1:65535", "127.0.0.1:65535"),
        ("::1", "[::1]:1883"),
        ("[::1]", "[::1]:1883"),
        ("[::1]:1884", "[::1]:1884"),
        ("fe80::1%eth0", "[fe80::1%eth0]:1883"),
        ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
        ("mqtt://h", "h:1883"),
        ("MQTT://h/", "h:1883"),
        ("tcp://h:1884", "h:1884"),
        ("mqtt://[::1]:1884", "[::1]:1884"),
        ("mqtt://[fe80::1%25eth0]", "[fe80::1%eth0]:1883"),
        ("höst", "höst:1883"),
    ] {
        assert_eq!(text.parse::<Server>().unwrap().to_string(), expected);
    }
}

#[test]
fn a_url_may_carry_credentials() {
    for (text, username, password) in [
        ("mqtt://h", None, None),
        ("mqtt://me@h", Some("me"), None),
        ("mqtt://me:@h", Some("me"), Some("")),
        ("mqtt://me:secret@h", Some("me"), Some("secret")),
        ("mqtt://m%40e:s%3a%2F%25@h", Some("m@e"), Some("s:/%")),
        ("mqtt://me:a:b@c@h", Some("me"), Some("a:b@c")),
        ("mqtt://%C3%BC:%C3%BC@h", Some("ü"), Some("ü")),
    ] {
        let server: Server = text.parse().unwrap();
        assert_eq!(server.to_string(), "h:1883");
        let credentials = username.map(|username| {
            Box::new(Credentials {
                username: username.to_owned(),
                password: password.map(|password| Bytes::from_static(password.as_bytes())),
            })
        });
        assert_eq!(server.parts().credentials, credentials, "{text}");
    }
    let server: Server = "mqtt://me:%ff@h".parse().unwrap();
    let credentials = server.parts().credentials.clone().unwrap();
    assert_eq!(credentials.password.as_deref(), Some(&[0xff][..]));
}

#[test]
fn the_password_is_not_printed() {
    let server: Server = "mqtt://me:hush@h".parse().unwrap();
    for printed in [format!("{server}"), format!("{server:?}"), format!("{server:#?}")] {
        assert!(!printed.contains("hush"), "{printed}");
    }
    assert!(format!("{server:?}").contains("\"me\""));
}

#[test]
fn bad_text_is_refused_with_the_part_that_is_wrong() {
    let long = format!("mqtt://me:{}@h", "x".repeat(65_536));
    let cases: [(&str, &[&str]); 3] = [
        (
            "host",
            &[
                "",
                "fe80::1%",
                "fe80::1%a/b",
                ":1883",
                "mqtt://",
                "mqtt://:1883",
                "mqtt://me@",
                "a b",
                "h/x",
                "me@h",
                "1:2:3",
                "[h]:1",
                "[::1",
                "h\0",
            ],
        ),
        (
            "port",
            &[
                "h:",
                "h:0",
                "h:65536",
                "h:x",
                "h:+1",
                "h:-1",
                "[::1]:",
                "mqtt://h:99999",
            ],
        ),
        (
            "url",
            &[
                "http://h",
                "mqtt://h/path",
                "mqtt://h?x=1",
                "mqtt://h#x",
                "mqtt://%@h",
                "mqtt://me:%4@h",
                "mqtt://me:%+4@h",
                "mqtt://me:%4ü@h",
                "mqtt://%ff@h",
                "mqtt://%00@h",
                "mqtt://:secret@h",
                &long,
            ],
        ),
    ];
    for (part, texts) in cases {
        for text in texts {
            assert_eq!(argument(text), part, "{text:.40}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(mqtt://)?[a-z0-9:%@/\\[\\]ü.]{0,12}") {
        if let Ok(server) = text.parse::<Server>() {
            let again: Server = server.to_string().parse().unwrap();
            proptest::prop_assert_eq!(again.to_string(), server.to_string());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_path_is_a_unix_socket() {
    for (text, path, printed) in [
        ("/run/x", "/run/x", "unix:///run/x"),
        ("unix:///run/x", "/run/x", "unix:///run/x"),
        ("UNIX:///a%20b/c?d#e", "/a b/c?d#e", "unix:///a b/c?d#e"),
        ("/50%", "/50%", "unix:///50%25"),
        ("unix://me:secret@/run/x", "/run/x", "unix:///run/x"),
    ] {
        let server: Server = text.parse().unwrap();
        assert_eq!(server.path(), Some(Path::new(path)), "{text}");
        assert_eq!(server.to_string(), printed);
        assert_eq!(printed.parse::<Server>().unwrap().path(), server.path());
        assert_eq!((server.host(), server.port()), (None, None));
        assert_eq!(server.parts().credentials.is_some(), text.contains('@'));
    }
    for text in ["unix://", "unix://run/x", "unix://me:secret@", "unix://me@run/x"] {
        assert_eq!(argument(text), "url", "{text}");
    }
    for text in ["/a\0b", "unix:///a%00b"] {
        assert_eq!(argument(text), "path", "{text}");
    }
    assert!(Server::unix("").is_err());
}

#[cfg(feature = "tls")]
#[test]
fn mqtts_asks_for_tls_at_a_port_of_its_own() {
    for (text, expected) in [
        ("mqtts://h", "mqtts://h:8883"),
        ("MQTTS://me:secret@h:1884/", "mqtts://h:1884"),
        ("ssl://[::1]", "mqtts://[::1]:8883"),
        ("tls://[fe80::1%25eth0]", "mqtts://[fe80::1%25eth0]:8883"),
    ] {
        let server: Server = text.parse().unwrap();
        assert!(server.asks_for_tls());
        assert_eq!(server.to_string(), expected);
        assert_eq!(
            server.to_string().parse::<Server>().unwrap().host(),
            server.host()
        );
    }
    assert!(!Server::new("h", 8883).unwrap().asks_for_tls());
    assert_eq!(
        Server::from_reference("h", Scheme::parse("mqtts").unwrap())
            .unwrap()
            .to_string(),
        "mqtts://h:8883"
    );
}

#[cfg(all(feature = "tls", feature = "websocket"))]
#[test]
fn ws_and_wss_have_the_ports_of_http_and_a_path() {
    for (text, expected, path) in [
        ("ws://h", "ws://h:80", None),
        ("WS://h:8080/", "ws://h:8080/", Some("/")),
        ("wss://h/mqtt", "wss://h:443/mqtt", Some("/mqtt")),
        (
            "wss://me:secret@[::1]/a%20b/",
            "wss://[::1]:443/a%20b/",
            Some("/a%20b/"),
        ),
        (
            "ws://[fe80::1%25eth0]/x",
            "ws://[fe80::1%25eth0]:80/x",
            Some("/x"),
        ),
        // It may have a secret.
        ("ws://h?token=hush", "ws://h:80/", Some("/?token=hush")),
        (
            "ws://h/mqtt?token=hush",
            "ws://h:80/mqtt",
            Some("/mqtt?token=hush"),
        ),
    ] {
        let server: Server = text.parse().unwrap();
        assert!(server.asks_for_websocket());
        assert_eq!(server.asks_for_tls(), expected.starts_with("wss"));
        assert_eq!(server.parts().ws_path.as_deref(), path);
        assert_eq!(server.to_string(), expected);
        assert!(!format!("{server:?}").contains("hush"));
        let again: Server = expected.parse().unwrap();
        assert_eq!(again.to_string(), expected);
    }
    for text in [
        "ws://h/#x",
        "ws://h#x",
        "ws://h/a b",
        "ws://h/ä",
        "ws://h/\r\nX: y",
    ] {
        assert_eq!(argument(text), "url", "{text}");
    }
    assert!(!"h".parse::<Server>().unwrap().asks_for_websocket());
}

#[test]
fn schemes_of_missing_features_name_the_feature() {
    let missing: &[(&str, &str)] = &[
        #[cfg(not(feature = "tls"))]
        ("mqtts://h", "tls"),
        #[cfg(not(feature = "websocket"))]
        ("ws://h/mqtt", "websocket"),
        #[cfg(not(feature = "websocket"))]
        ("wss://h", "websocket"),
        #[cfg(not(feature = "tls"))]
        ("wss://h", "tls"),
    ];
    for (text, feature) in missing {
        match text.parse::<Server>() {
            Err(Error::NotSupported(what)) => assert!(what.contains(feature), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}
