//! The broker of `callmq::testing`, byte by byte: packets are written by hand, so that a fault of the codec cannot hide
//! behind itself. Where it makes no difference a test runs both over a socket and in process.

mod access;
mod clients;
mod exchange;
mod handle;
mod limits;
mod malformed;
mod peer;
mod retained;
mod sessions;
mod subscriptions;
mod v5;
mod wills;
