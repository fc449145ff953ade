//! Handing out received messages: to callbacks and channels; and acknowledging what was handed out.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::callbacks::{Held, OnMessage};
use super::driver::Driver;
use super::shared::{Core, Phase, Shared};
use super::slow_callbacks::Watch;
use super::{Client, Message, log_lines, logging};
use crate::error::{Error, Result};
use crate::session::{AckTicket, Event};

/// Acknowledgements of one batch leave together, unless the callbacks take longer than this.
const ACK_DELAY: Duration = Duration::from_millis(1);

/// Where callbacks are fast the clock is not read before there are so many acknowledgements.
const ACKS_UNSEEN: usize = 16;

/// A message that one or more channels have no room for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) senders: Vec<Sender<Message>>,
    ticket: Option<AckTicket>,
}

impl Shared {
    /// Hands out the messages that come next. Returns how many there were.
    ///
    /// Not part of the caller's stack frame: a client that waits for messages needs no room for one.
    #[inline(never)]
    pub(super) fn deliver_messages(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
    ) -> u32 {
        let mut count = 0;
        let mut message = Message::empty(driver.acknowledged);
        while self.next_message(driver, &mut message) {
            count += 1;
            if self.has_other_takers() {
                self.deliver_message(client, driver, watch, &message);
            } else if let Some(on_message) = self.callbacks.message.hold() {
                let run = self.run_on_message(on_message, client, driver, watch, &mut message, &mut count);
                if run.is_err() {
                    self.keep_failure(run);
                    if !self.withhold(&message) {
                        self.handed_out(driver, message.ticket);
                    }
                }
            } else {
                self.handed_out(driver, message.ticket);
            }
            if driver.waiting.is_some() || self.must_leave() {
                break;
            }
        }
        count
    }

    /// Whether messages may go to somebody else than `on_message`.
    #[inline]
    fn has_other_takers(&self) -> bool {
        let callbacks = &self.callbacks;
        !callbacks.filters.is_empty() || !callbacks.receivers.is_empty() || self.requests.is_active()
    }

    /// Gives `message` to `on_message`, and those that come next as long as they go to it alone, as most do: so the closure
    /// is at hand, and guarded once for all of them. Counts those after the first. If it fails, `message` is the one that it
    /// failed on.
    #[inline]
    fn run_on_message(
        &self,
        mut on_message: Held<'_, OnMessage>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        message: &mut Message,
        count: &mut u32,
    ) -> Result<()> {
        let origin = on_message.origin();
        watch.enter(self, "on_message");
        on_message.run("on_message", |f| {
            loop {
                f(client, message)?;
                self.handed_out(driver, message.ticket);
                // The closure goes back before another one may run, which may set or clear it.
                if self.must_leave() || self.has_other_takers() || !origin.is_current() {
                    return Ok(());
                }
                if !self.next_message(driver, message) {
                    return Ok(());
                }
                *count += 1;
                watch.go_on(self);
            }
        })
    }

    /// Puts what comes next into `message`, if it is a message.
    #[inline(always)]
    fn next_message(&self, driver: &mut Driver, message: &mut Message) -> bool {
        match driver.batch.front_mut() {
            None => self.next_plain(driver, message),
            Some(Event::Messages(run)) => {
                let Some((packet, buffer, start, ticket)) = run.next() else {
                    driver.batch.pop_front();
                    return false;
                };
                if message.topic.as_bytes() != packet.topic {
                    message.topic = driver.decoder.topic(packet.topic);
                }
                message.set_plain(&packet, buffer, start);
                message.timestamp = driver.acknowledged;
                message.ticket = ticket;
                if run.is_empty() {
                    driver.batch.pop_front();
                }
                true
            }
            Some(Event::Message(_)) => match driver.batch.pop_front() {
                Some(Event::Message(received)) => {
                    *message = Message::received(received, driver.acknowledged);
                    true
                }
                _ => false,
            },
            Some(_) => false,
        }
    }

    pub(super) fn deliver_message(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        message: &Message,
    ) {
        let ticket = message.ticket;
        if self.requests.is_response(message) {
            watch.enter(self, "request callback");
            self.take_response(client, message.clone());
            // The application does not acknowledge what it never sees.
            return ticket.map_or((), |ticket| self.done_with(driver, ticket));
        }
        let failed = self.run_for_message(client, driver, watch, message);
        let senders = self.send_to_receivers(message);
        let withheld = failed && self.withhold(message);
        let ticket = ticket.filter(|_| !withheld);
        if senders.is_empty() {
            self.handed_out(driver, ticket);
        } else {
            driver.waiting = Some(Box::new(Waiting {
                message: message.clone(),
                senders,
                ticket,
            }));
        }
    }

    /// Runs the callbacks of the filters that the message matches, or else `on_message`. Returns whether any failed.
    fn run_for_message(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        message: &Message,
    ) -> bool {
        loop {
            driver.matching.clear();
            self.callbacks.filters.matching(message, &mut driver.matching);
            if driver.matching.is_empty() {
                watch.enter(self, "on_message");
                let run = self.callbacks.message.run("on_message", |f| f(client, message));
                let failed = run.is_err();
                self.keep_failure(run);
                return failed;
            }
            watch.enter(self, "message callback");
            let (mut taken, mut failed) = (false, false);
            for index in 0..driver.matching.len() {
                let entry = Arc::clone(&driver.matching[index]);
                match entry.slot.run_for("message callback", |f| f(client, message)) {
                    Some(Ok(())) => taken = true,
                    Some(Err(error)) => {
                        if let Error::Callback { message, .. } = &error {
                            let line = log_lines::filter_callback_failed(&entry.filter, message);
                            logging::emit_line(self, &line);
                        }
                        self.keep_error(error);
                        (taken, failed) = (true, true);
                    }
                    // Another thread has just taken it away, or put another one in its place.
                    None => {}
                }
            }
            if taken {
                driver.matching.clear();
                return failed;
            }
        }
    }

    /// A callback failed on the message: it is not acknowledged, unless failures are to be passed over.
    fn withhold(&self, message: &Message) -> bool {
        let Some(ticket) = message.ticket else {
            return false;
        };
        let mut core = self.lock();
        let withheld = !core.suppress_exceptions;
        if withheld {
            core.session.withhold(ticket, message.to_publish());
        }
        withheld
    }

    /// The message is with everybody who gets it: it is acknowledged, unless the application does that.
    #[inline(always)]
    fn handed_out(&self, driver: &mut Driver, ticket: Option<AckTicket>) {
        if let Some(ticket) = ticket.filter(|_| !driver.manual_ack) {
            self.done_with(driver, ticket);
        }
    }

    /// Acknowledges the message, with others or by itself.
    #[inline(always)]
    fn done_with(&self, driver: &mut Driver, ticket: AckTicket) {
        if self.acks.is_full() {
            self.acknowledge(driver);
        }
        let count = self.acks.push(ticket);
        if count >= driver.acks_unseen && self.acknowledge_if_late(driver, count) {
            return;
        }
        if !driver.batch.is_empty() || driver.plain > 0 {
            self.watch_acks();
        }
    }

    /// The sender is not kept waiting behind slow callbacks, nor where each packet is logged in its order: then the `count`
    /// messages are acknowledged now. Returns whether they are.
    #[inline(never)]
    fn acknowledge_if_late(&self, driver: &mut Driver, count: usize) -> bool {
        let late =
            driver.prompt_acks || self.now().saturating_duration_since(driver.acknowledged) > ACK_DELAY;
        if late {
            driver.acks_unseen = 1;
            self.acknowledge(driver);
            drop(self.flush(self.lock()));
        } else {
            // If callbacks go on to take as long as they did, the delay is at most twice as long then.
            driver.acks_unseen = 2 * count;
        }
        late
    }

    /// Puts the message into each channel of `messages`; gives back those that had no room.
    fn send_to_receivers(&self, message: &Message) -> Vec<Sender<Message>> {
        if self.callbacks.receivers.is_empty() {
            return Vec::new();
        }
        let mut senders = self.callbacks.receivers.snapshot();
        senders.retain(|sender| !self.send_to(sender, message));
        senders
    }

    /// Whether the message needs no further try: it is in the channel, or the channel is gone.
    fn send_to(&self, sender: &Sender<Message>, message: &Message) -> bool {
        match sender.try_send(message.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.callbacks.receivers.remove(sender);
                true
            }
        }
    }

    /// Tries again to hand out the message that a channel had no room for. Whether that is done.
    pub(super) fn retry_waiting(&self, driver: &mut Driver) -> bool {
        let Some(mut waiting) = driver.waiting.take() else {
            return true;
        };
        {
            let mut core = self.lock();
            if core.gives_up(driver) {
                // The end is told, whether or not the channel is read again.
                if let Some(ticket) = waiting.ticket {
                    core.session.withhold(ticket, waiting.message.to_publish());
                }
                drop(core);
                let topic = &waiting.message.topic;
                let fate = match waiting.ticket {
                    None => "was dropped",
                    Some(_) => "is left to the next connection of the session",
                };
                log::warn!(target: "callmq", "a message on {topic} {fate}: its channel is full, its connection over");
                return true;
            }
        }
        waiting
            .senders
            .retain(|sender| !self.send_to(sender, &waiting.message));
        if waiting.senders.is_empty() {
            self.handed_out(driver, waiting.ticket);
            true
        } else {
            driver.waiting = Some(waiting);
            false
        }
    }

    /// Acknowledges the messages that were handed out, in one go.
    #[inline(never)]
    pub(super) fn acknowledge(&self, driver: &mut Driver) {
        if self.acks.len() == 0 {
            return;
        }
        let now = self.now();
        driver.acknowledged = now;
        driver.acks_unseen = driver.acks_unseen.min(ACKS_UNSEEN);
        let mut core = self.lock();
        self.put_acks(&mut core);
        self.acks.clear();
    }
}

impl Core {
    /// Whether the connection of a message that waits for room is over by the user's wish.
    pub(super) fn gives_up(&self, driver: &Driver) -> bool {
        self.closing.is_some() || self.phase == Phase::Down || !driver.follows(self)
    }
}
