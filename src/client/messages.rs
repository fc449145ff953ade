//! Messages as a channel: an iterator, and a receiver for `select!`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, at, bounded, never, select};

use super::driver::Driver;
use super::shared::Shared;
use super::{Client, IntoTimeout, Message};
use crate::error::{Error, Result};

/// Received messages, one after the other: an iterator, which ends when the client is dropped.
///
/// Made by [`Client::messages`].
#[derive(Debug)]
pub struct Messages {
    receiver: Receiver<Message>,
}

impl Client {
    /// Opens a channel of received messages that holds up to `bound` of them (at least 1).
    ///
    /// Each channel gets every message, beside the callbacks. When it is full the loop reads no further until it has
    /// room, and the server waits: nothing is dropped. Pings go on meanwhile. A message of QoS 1 or 2 is acknowledged
    /// when it is in the channel. Drop the [`Messages`] to end it.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// let client = mqtt::Client::new("reader");
    /// let messages = client.messages(100);
    /// client.connect("localhost")?;
    /// client.subscribe("house/#")?;
    /// client.loop_start()?;
    /// for message in &messages {
    ///     println!("{} {}", message.topic, message.payload);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self, bound: usize) -> Messages {
        let (sender, receiver) = bounded(bound.max(1));
        self.shared().callbacks.receivers.add(sender);
        Messages { receiver }
    }
}

impl Messages {
    /// Returns the channel, for `crossbeam_channel::select!`.
    ///
    /// ```no_run
    /// use callmq::client as mqtt;
    /// use crossbeam_channel::{select, tick};
    /// use std::time::Duration;
    ///
    /// # fn main() -> mqtt::Result<()> {
    /// # let client = mqtt::Client::new("reader");
    /// let messages = client.messages(100);
    /// let every_second = tick(Duration::from_secs(1));
    /// select! {
    ///     recv(messages.receiver()) -> message => println!("{}", message?.payload),
    ///     recv(every_second) -> _ => println!("nothing yet"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn receiver(&self) -> &Receiver<Message> {
        &self.receiver
    }

    /// Waits for the next message. Needs a running loop.
    ///
    /// `timeout` is in seconds or a [`Duration`](std::time::Duration); `None` waits without limit.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::NotConnected`] when the client is gone and every message was taken;
    /// [`Error::InvalidArgument`] for a negative time-out.
    pub fn recv(&self, timeout: impl IntoTimeout) -> Result<Message> {
        match timeout.into_timeout()? {
            None => self.receiver.recv().map_err(|_| Error::NotConnected),
            Some(timeout) => self.receiver.recv_timeout(timeout).map_err(|error| match error {
                RecvTimeoutError::Timeout => Error::Timeout,
                RecvTimeoutError::Disconnected => Error::NotConnected,
            }),
        }
    }

    /// Returns the next message, if one is there. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] when the client is gone and every message was taken.
    pub fn try_recv(&self) -> Result<Option<Message>> {
        match self.receiver.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::NotConnected),
        }
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.receiver.recv().ok()
    }
}

impl<'a> IntoIterator for &'a Messages {
    type Item = Message;
    type IntoIter = crossbeam_channel::Iter<'a, Message>;

    fn into_iter(self) -> Self::IntoIter {
        self.receiver.iter()
    }
}

impl Shared {
    /// The loop has a message for a channel that is full: waits until it has room, the loop is to stop, or the time is
    /// over.
    pub(super) fn wait_while_congested(self: &Arc<Self>, driver: &mut Driver, until: Option<Instant>) {
        let over = until.map_or_else(never, at);
        while driver.waiting.is_some() {
            if until.is_some_and(|until| self.time.is_manual() || until <= self.now()) {
                return;
            }
            let (stop, stopped) = bounded::<()>(0);
            {
                let core = self.lock();
                if core.stop || core.abandoned {
                    return;
                }
                if core.gives_up(driver) {
                    drop(core);
                    self.dispatch(driver);
                    return;
                }
                *self.stop_signal.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
            }
            // To whoever publishes meanwhile the loop is as busy as in a callback.
            self.in_user_code.store(true, Ordering::Release);
            if let Some(waiting) = &mut driver.waiting {
                if let Some(sender) = waiting.senders.last() {
                    select! {
                        send(sender, waiting.message.clone()) -> sent => {
                            if sent.is_err() {
                                self.callbacks.receivers.remove(sender);
                            }
                            waiting.senders.pop();
                        }
                        recv(stopped) -> _ => {}
                        recv(over) -> _ => {}
                    }
                }
            }
            self.in_user_code.store(false, Ordering::Release);
            self.dispatch(driver);
        }
    }
}
