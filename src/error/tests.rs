use std::error::Error as _;

use super::*;

#[test]
fn an_error_crosses_threads_and_is_small() {
    fn crosses_threads<T: Send + Sync + Clone + 'static>() {}
    crosses_threads::<Error>();
    assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
}

#[test]
fn an_error_that_is_printed_does_not_have_the_payload() {
    let payload = Bytes::from_static(b"password");
    let error = Error::QueueFull { payload };
    assert_eq!(format!("{error:?}"), "QueueFull { payload: 8 bytes }");
    for text in [format!("{error:#?}"), error.to_string()] {
        assert!(!text.contains("password"), "{text}");
    }
    // The others are printed as if that were derived.
    assert_eq!(format!("{:?}", Error::Timeout), "Timeout");
    assert_eq!(format!("{:?}", Error::InvalidState("s")), r#"InvalidState("s")"#);
    assert_eq!(
        format!("{:?}", Error::argument("a", "r")),
        r#"InvalidArgument { argument: "a", rule: "r" }"#
    );
}

#[test]
fn each_error_reads_as_one_line_that_does_not_repeat_its_source() {
    let reset = io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer");
    let broken = DecodeError::malformed("reserved flags are set", "MQTT-2.2.2-2");
    for (error, text, source) in [
        (
            Error::argument("topic", "must not be empty"),
            "invalid topic: must not be empty",
            None,
        ),
        (Error::InvalidState("connected"), "connected", None),
        (
            Error::WouldDeadlock("loop_once"),
            "loop_once waits for the network loop, which this thread runs",
            None,
        ),
        (Error::NotSupported("no TLS"), "no TLS", None),
        (
            Error::NotAllowed(ServerLimit::RetainAvailable),
            "not sent: the server keeps no retained messages",
            None,
        ),
        (Error::NotConnected, "the client is not connected", None),
        (
            Error::QueueFull {
                payload: Bytes::new(),
            },
            "the outgoing queue is full",
            None,
        ),
        (Error::Timeout, "timed out", None),
        (
            Error::Dropped(DropReason::Expired),
            "message dropped: it expired while it waited",
            None,
        ),
        (
            Error::Refused(ReasonCode::NOT_AUTHORIZED.into()),
            "connection refused by the server: Not authorized",
            None,
        ),
        (
            Error::ServerDisconnect(ReasonCode::SERVER_BUSY.into()),
            "disconnected by the server: Server busy",
            None,
        ),
        (Error::from(reset), "network error", Some("reset by peer")),
        (Error::ConnectionClosed, "connection closed by the peer", None),
        (
            Error::from(io::Error::other(WebSocketError::new(
                WebSocketReason::Closed(1001),
                "closed",
            ))),
            "WebSocket: closed",
            None,
        ),
        (
            Error::KeepAliveTimeout,
            "no answer from the server within the time allowed",
            None,
        ),
        (
            Error::from(broken),
            "the server broke the protocol",
            Some("reserved flags are set [MQTT-2.2.2-2]"),
        ),
        (
            Error::Callback {
                callback: "on_message",
                message: "boom".into(),
            },
            "on_message failed: boom",
            None,
        ),
        (Error::other("boom"), "boom", None),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.source().map(ToString::to_string).as_deref(), source);
        let with_cause = source.map_or(text.to_owned(), |source| format!("{text}: {source}"));
        assert_eq!(format!("{error:#}"), with_cause);
    }
}

#[test]
fn a_wrapped_error_keeps_its_text_and_its_source() {
    let inner = io::Error::other("inner");
    let error = Error::other(Error::from(inner));
    assert_eq!(error.to_string(), "network error");
    assert_eq!(format!("{error:#}"), "network error: inner");
    assert_eq!(error.source().unwrap().to_string(), "inner");
}

#[test]
fn what_callbacks_meet_converts_with_a_question_mark() {
    fn text(result: impl FnOnce() -> Result<()>) -> String {
        result().unwrap_err().to_string()
    }

    fn other<T>(text: &str) -> Result<T> {
        Err(text)?
    }
    let (sender, receiver) = mpsc::channel::<std::rc::Rc<u8>>();
    drop(receiver);
    let (crossbeam, _) = crossbeam_channel::bounded::<std::rc::Rc<u8>>(1);
    for (found, expected) in [
        (text(|| Ok(sender.send(1.into())?)), "sending on a closed channel"),
        (
            text(|| Ok(crossbeam.send(1.into())?)),
            "sending on a disconnected channel",
        ),
        (
            text(|| "x".parse::<i32>().map(drop).map_err(Into::into)),
            "invalid digit found in string",
        ),
        (
            text(|| "x".parse::<f64>().map(drop).map_err(Into::into)),
            "invalid float literal",
        ),
        (
            text(|| Ok(std::env::var("CALLMQ_NOBODY_SETS_THIS").map(drop)?)),
            "environment variable not found",
        ),
        (text(|| other("plain text")), "plain text"),
        (text(|| Err(String::from("owned text"))?), "owned text"),
        (
            text(|| Err(Box::<dyn std::error::Error + Send + Sync>::from("boxed"))?),
            "boxed",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let invalid = vec![0xff];
    assert!(text(|| Ok(std::str::from_utf8(&invalid).map(drop)?)).contains("utf-8"));
}

#[test]
fn each_reason_for_dropping_a_message_has_its_text() {
    use DropReason::*;
    let all = [
        QueueFull,
        Superseded,
        ConnectionLost,
        SessionLost,
        Discarded,
        ClientDropped,
        Expired,
        NotAllowed(ServerLimit::MaximumQoS),
        NotAllowed(ServerLimit::RetainAvailable),
        NotAllowed(ServerLimit::MaximumPacketSize),
        NotAllowed(ServerLimit::TopicAliasMaximum),
        NotAllowed(ServerLimit::WildcardSubscriptionAvailable),
        NotAllowed(ServerLimit::SharedSubscriptionAvailable),
        NotAllowed(ServerLimit::SubscriptionIdentifierAvailable),
    ];
    let texts: std::collections::HashSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
}
