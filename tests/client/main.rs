//! The client as its users see it: against the broker of `callmq::testing`, and against a scripted peer where the
//! other side has to misbehave or where bytes matter.

#[path = "../support/mod.rs"]
mod peer_support;

#[cfg(unix)]
mod external_loop;
mod one_shot;
mod reinitialise;
mod support;
