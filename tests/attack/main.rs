//! Attacks on the client: hostile peers, threads that race, callbacks that misbehave, calls in every state.
//!
//! Each test is deterministic or a bounded stress. What would hang without the client's care runs under
//! [`within`](tools::within), so that a hang is a failure with a name.

#[path = "../support/mod.rs"]
mod support;

mod callbacks;
mod chaos;
mod connecting;
mod hostile;
mod idle;
mod middle;
mod payloads;
mod runs;
mod tools;
mod waiting;
