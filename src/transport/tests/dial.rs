use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::super::lookup::interleave;
use super::*;

fn fail_to_resolve(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::other("no such name"))
}

fn peer(socket: &Socket) -> SocketAddr {
    socket.peer_addr().unwrap()
}

// ---- one address ----

#[test]
fn an_ipv4_address_is_connected_to_without_a_look_up() {
    let (listener, address) = listen();
    let socket = dial_with(fail_to_resolve, &tcp(address), &patient(), &Cancel::default()).unwrap();
    let (_accepted, from) = listener.accept().unwrap();
    assert_eq!(peer(&socket), address);
    assert_eq!(socket.local_addr().unwrap(), from);
}

#[test]
fn an_ipv6_address_is_connected_to_without_a_look_up_with_and_without_brackets() {
    let listener = TcpListener::bind("[::1]:0");
    let port = listener
        .as_ref()
        .map_or(1, |listener| listener.local_addr().unwrap().port());
    for host in ["::1", "[::1]"] {
        let target = Target::Tcp {
            host: host.to_owned(),
            port,
        };
        let result = dial_with(fail_to_resolve, &target, &patient(), &Cancel::default());
        match &listener {
            Ok(listener) => {
                assert_eq!(peer(&result.unwrap()), listener.local_addr().unwrap());
            }
            // A machine without IPv6: the system says so, nobody was asked for a name.
            Err(_) => assert!(result.unwrap_err().raw_os_error().is_some()),
        }
    }
}

#[test]
fn a_name_is_looked_up_by_the_system() {
    let (_listener, address) = listen();
    let target = Target::Tcp {
        host: "localhost".to_owned(),
        port: address.port(),
    };
    assert_eq!(peer(&dial(&target, &patient()).unwrap()).port(), address.port());
}

#[test]
fn a_name_is_looked_up_with_its_port_at_each_attempt() {
    let (_first, first) = listen();
    let (_second, second) = listen();
    for address in [first, second] {
        let resolver = move |host: &str, port: u16| {
            assert_eq!((host, port), ("broker.test", 1));
            Ok(vec![address])
        };
        let socket = dial_with(resolver, &named(), &patient(), &Cancel::default()).unwrap();
        assert_eq!(peer(&socket), address);
    }
}

// ---- several addresses ----

#[test]
fn a_refusal_starts_the_next_address_at_once() {
    let refusing = Refusing::new();
    let (_listener, address) = listen();
    let options = DialOptions {
        stagger: Duration::MAX,
        ..patient()
    };
    let started = Instant::now();
    let socket = dial_addresses(vec![refusing.address(), refusing.address(), address], &options).unwrap();
    assert_eq!(peer(&socket), address);
    assert!(started.elapsed() < LONG / 2);
}

#[test]
fn silence_starts_the_next_address_after_the_stagger() {
    let hole = BlackHole::new();
    let (_listener, address) = listen();
    let options = DialOptions {
        stagger: Duration::from_millis(40),
        ..patient()
    };
    let started = Instant::now();
    let socket = dial_addresses(vec![hole.address(), address], &options).unwrap();
    assert_eq!(peer(&socket), address);
    assert!(started.elapsed() >= options.stagger);
    assert!(started.elapsed() < LONG / 2);
}

#[test]
fn the_first_address_wins_if_it_answers() {
    let (_first, first) = listen();
    let (second_listener, second) = listen();
    let socket = dial_addresses(vec![first, second], &patient()).unwrap();
    assert_eq!(peer(&socket), first);
    second_listener.set_nonblocking(true).unwrap();
    assert_eq!(
        second_listener.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn no_stagger_starts_all_addresses_together() {
    let holes = [BlackHole::new(), BlackHole::new()];
    let (_listener, address) = listen();
    let options = DialOptions {
        stagger: Duration::ZERO,
        ..patient()
    };
    let addresses = vec![holes[0].address(), holes[1].address(), address];
    assert_eq!(peer(&dial_addresses(addresses, &options).unwrap()), address);
}

#[test]
fn families_take_turns_beginning_with_the_first() {
    let six = |n: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1));
    let four = |n: u8| SocketAddr::from(([127, 0, 0, n], 1));
    assert_eq!(
        interleave(vec![six(1), six(2), six(1), six(3), four(1), four(2)]),
        [six(1), four(1), six(2), four(2), six(3)]
    );
    assert_eq!(
        interleave(vec![four(1), six(1), six(2)]),
        [four(1), six(1), six(2)]
    );
    assert_eq!(interleave(vec![four(1), four(2)]), [four(1), four(2)]);
    assert_eq!(interleave(vec![]), []);
}

// ---- failures ----

#[test]
fn a_closed_port_is_refused_as_the_system_says_it() {
    let refusing = Refusing::new();
    for error in [
        dial(&tcp(refusing.address()), &patient()).unwrap_err(),
        dial_addresses(vec![refusing.address(), refusing.address()], &patient()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(
            error.raw_os_error(),
            std::net::TcpStream::connect(refusing.address())
                .unwrap_err()
                .raw_os_error()
        );
        #[cfg(target_os = "linux")]
        assert_eq!(error.to_string(), "Connection refused (os error 111)");
    }
}

#[test]
fn silence_of_all_addresses_times_out_once() {
    let holes = [BlackHole::new(), BlackHole::new()];
    let options = DialOptions {
        connect_timeout: Duration::from_millis(80),
        stagger: Duration::from_millis(10),
        ..DialOptions::default()
    };
    let started = Instant::now();
    let error = dial_addresses(vec![holes[0].address(), holes[1].address()], &options).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::TimedOut, "timed out")
    );
    assert!(started.elapsed() >= options.connect_timeout);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_refusal_says_more_than_the_silence_of_another_address() {
    let hole = BlackHole::new();
    let refusing = Refusing::new();
    let options = DialOptions {
        connect_timeout: Duration::from_millis(500),
        stagger: Duration::ZERO,
        ..DialOptions::default()
    };
    let error = dial_addresses(vec![hole.address(), refusing.address()], &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_deadline_covers_the_look_up() {
    let (release, blocked) = mpsc::channel::<()>();
    let resolver = move |_: &str, _: u16| {
        let _ = blocked.recv();
        Ok(vec![])
    };
    let options = DialOptions {
        connect_timeout: Duration::from_millis(30),
        ..DialOptions::default()
    };
    let error = dial_with(resolver, &named(), &options, &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(release);
}

#[test]
fn a_failed_look_up_says_which_name() {
    let error = dial_with(fail_to_resolve, &named(), &patient(), &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "could not resolve \"broker.test\": no such name"
    );

    let error = dial_addresses(vec![], &patient()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not resolve \"broker.test\": it has no address"
    );
}

#[test]
fn a_name_that_cannot_be_one_is_invalid() {
    let target = Target::Tcp {
        host: "a\0b".to_owned(),
        port: 1,
    };
    let error = dial(&target, &patient()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_resolver_that_panics_is_an_error() {
    let resolver = |_: &str, _: u16| -> io::Result<Vec<SocketAddr>> { panic!("on purpose") };
    let started = Instant::now();
    let error = dial_with(resolver, &named(), &patient(), &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(started.elapsed() < LONG / 2);
}

// ---- the local side ----

#[test]
fn the_bind_address_and_port_are_used() {
    let (listener, address) = listen();
    let reserved = Refusing::new();
    let port = reserved.address().port();
    // All of 127.0.0.0/8 is local on Linux only.
    let ip = Ipv4Addr::new(127, 0, 0, if cfg!(target_os = "linux") { 2 } else { 1 });
    let options = DialOptions {
        bind_address: Some(ip.to_string()),
        bind_port: port,
        ..patient()
    };
    let socket = dial(&tcp(address), &options).unwrap();
    let (_accepted, from) = listener.accept().unwrap();
    assert_eq!(from, SocketAddr::from((ip, port)));
    assert_eq!(socket.local_addr().unwrap(), from);
}

#[test]
fn the_bind_port_works_without_an_address_and_again_after_a_connection() {
    let reserved = Refusing::new();
    let port = reserved.address().port();
    for bind_address in [None, Some(String::new())] {
        let (listener, address) = listen();
        let options = DialOptions {
            bind_address,
            bind_port: port,
            ..patient()
        };
        let socket = dial(&tcp(address), &options).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        assert_eq!(from.port(), port);
        // This side closes first, and so keeps the port in TIME_WAIT.
        drop(socket);
        drop(accepted);
    }
}

#[test]
fn a_bind_address_that_is_none_is_named() {
    let (_listener, address) = listen();
    for text in ["nonsense", "127.0.0.1:1", "[127.0.0.1]", "300.1.1.1"] {
        let options = DialOptions {
            bind_address: Some(text.to_owned()),
            ..patient()
        };
        let error = dial(&tcp(address), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            format!("bind address {text:?} is not an IP address")
        );
    }
}

#[test]
fn a_bind_address_of_another_machine_is_named() {
    let (_listener, address) = listen();
    let options = DialOptions {
        bind_address: Some("203.0.113.7".to_owned()),
        ..patient()
    };
    let error = dial(&tcp(address), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(
        error.to_string().starts_with("cannot bind to 203.0.113.7:0: "),
        "{error}"
    );
}

#[test]
fn addresses_of_another_family_than_the_bind_address_are_skipped() {
    let (_listener, address) = listen();
    let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1));
    let options = DialOptions {
        bind_address: Some("127.0.0.1".to_owned()),
        ..patient()
    };
    assert_eq!(
        peer(&dial_addresses(vec![six, address], &options).unwrap()),
        address
    );

    let error = dial_addresses(vec![six], &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bind address 127.0.0.1 is of another family than \"broker.test\""
    );
}

#[test]
fn a_socket_that_meets_itself_is_refused() {
    let reserved = Refusing::new();
    let options = DialOptions {
        bind_address: Some(IpAddr::from(Ipv4Addr::LOCALHOST).to_string()),
        bind_port: reserved.address().port(),
        ..patient()
    };
    let error = dial(&tcp(reserved.address()), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

// ---- options ----

#[test]
fn the_options_reach_the_socket() {
    let (_listener, address) = listen();
    for tcp_nodelay in [true, false] {
        for tcp_keep_alive in [None, Some(Duration::from_secs(33))] {
            let options = DialOptions {
                tcp_nodelay,
                tcp_keep_alive,
                tcp_user_timeout: Some(Duration::from_millis(4321)),
                ..patient()
            };
            let Endpoint::Tcp(stream) = dial(&tcp(address), &options).unwrap().endpoint else {
                panic!()
            };
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_nodelay().unwrap(), tcp_nodelay);
            assert_eq!(socket.keepalive().unwrap(), tcp_keep_alive.is_some());
            #[cfg(target_os = "linux")]
            {
                if let Some(time) = tcp_keep_alive {
                    assert_eq!(socket.tcp_keepalive_time().unwrap(), time);
                    assert_eq!(socket.tcp_keepalive_interval().unwrap(), time);
                }
                assert_eq!(socket.tcp_user_timeout().unwrap(), options.tcp_user_timeout);
            }
        }
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let options = DialOptions::default();
    assert!(options.tcp_nodelay);
    assert_eq!(options.connect_timeout, Duration::from_secs(5));
    assert_eq!(options.stagger, Duration::from_millis(250));
}

#[test]
fn times_out_of_range_take_the_nearest_value() {
    let (_listener, address) = listen();
    for (asked, _used) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(300), 1),
        (Duration::MAX, 32_767),
    ] {
        let options = DialOptions {
            tcp_keep_alive: Some(asked),
            tcp_user_timeout: Some(Duration::MAX),
            ..patient()
        };
        let Endpoint::Tcp(stream) = dial(&tcp(address), &options).unwrap().endpoint else {
            panic!()
        };
        assert!(SockRef::from(&stream).keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(
            SockRef::from(&stream).tcp_keepalive_time().unwrap(),
            Duration::from_secs(_used)
        );
    }
}
