//! The client as its users see it: against the broker of `callmq::testing`, and against a scripted peer where the
//! other side has to misbehave or where bytes matter.

#[path = "../support/mod.rs"]
mod peer_support;

mod callbacks;
mod connect;
#[cfg(unix)]
mod external_loop;
mod failing;
mod keep_alive;
mod loops;
mod one_shot;
mod publish;
mod queue;
mod reconnect;
mod reinitialise;
mod subscribe;
mod support;
