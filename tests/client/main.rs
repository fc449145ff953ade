//! The client as its users see it: against the broker of `callmq::testing`, and against a scripted peer where the
//! other side has to misbehave or where bytes matter.

#[path = "../support/mod.rs"]
mod peer_support;

mod ack;
mod ack_with;
mod authentication;
mod authenticators;
mod callbacks;
mod clearing;
mod connect;
#[cfg(unix)]
mod custom_streams;
mod disconnect;
mod expiry_v5;
mod external_loop;
mod failing;
mod fallback;
mod farewell;
mod in_flight;
mod incoming_limit;
mod keep_alive;
mod large_payloads;
mod limits_v5;
mod log;
mod loops;
mod messages;
mod one_shot;
mod outcomes;
mod own_limits_v5;
mod proxies;
mod publish;
mod queue;
mod reconnect;
mod redirect;
mod reinitialise;
mod replacing;
mod requests;
mod requests_raw;
mod return_to_first;
mod servers;
mod settings;
mod sharing;
mod sockets;
mod srv;
mod statements;
mod stepping;
mod subscribe;
mod subscriptions_v5;
mod support;
mod topic_aliases;
mod turns;
#[cfg(unix)]
mod unix_sockets;
mod v5_sessions;
mod wills;
mod wire_v5;
