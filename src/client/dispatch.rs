//! Handing out what happened: log lines and callbacks. Received messages go on to `delivery`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::callbacks::{Held, OnPublish, guarded};
use super::driver::Driver;
use super::shared::{Happening, Shared};
use super::slow_callbacks::Watch;
use super::{Client, ConnectFlags, DisconnectReason, SocketHandle, guard, log_lines, logging};
use crate::codec::{Properties, ReasonCode};
use crate::error::{Error, Result};
use crate::reason_code::ServerReason;
use crate::session::{Event, Trace};

/// After this many events the loop looks at the socket again.
const MANY: u32 = 256;

/// For how long a loop that was asked to end goes on handing out what is due.
const LEAVE_AFTER: Duration = Duration::from_millis(20);

impl Shared {
    /// Hands out what happened, in order; where more comes up all the while, not all of it, so that the loop gets to
    /// read. Returns whether there was anything.
    pub(super) fn dispatch(self: &Arc<Self>, driver: &mut Driver) -> bool {
        if !self.retry_waiting(driver) {
            return false;
        }
        if !driver.has_events() && !self.next_batch(driver) {
            // A message that waited for room may have been the last.
            let waited = self.acks.len() > 0;
            self.acknowledge(driver);
            return waited;
        }
        let client = self.lent();
        let mut watch = Watch::new(self);
        let inside = self.enter_callbacks();
        self.in_user_code.store(true, Ordering::Release);
        let mut count = 0;
        loop {
            while self.deliver_next(&client, driver, &mut watch, &mut count) {
                if !self.retry_waiting(driver) || self.must_leave() {
                    break;
                }
            }
            watch.look(self);
            self.acknowledge(driver);
            if driver.waiting.is_some() || self.must_leave() {
                break;
            }
            if let Some(happening) = self.next_happening() {
                self.tell(&client, driver, &mut watch, happening);
            } else if count >= MANY || !self.next_batch(driver) {
                break;
            }
        }
        // What follows in the input is looked at anew.
        driver.plain = 0;
        self.in_user_code.store(false, Ordering::Release);
        drop(inside);
        true
    }

    /// Hands out the next event, or a run of messages. `false` if nothing is at hand.
    fn deliver_next(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        count: &mut u32,
    ) -> bool {
        let next = match driver.batch.front() {
            Some(Event::Message(_) | Event::Messages(_)) | None => None,
            Some(_) => driver.batch.pop_front(),
        };
        let handed_out = match next {
            Some(Event::Published {
                mid,
                reason,
                properties,
            }) => self.tell_published(client, driver, watch, (mid, reason, properties)),
            Some(event) => {
                self.deliver(client, driver, watch, event);
                1
            }
            // The stack of an idle client never holds a message.
            None if !driver.has_events() => 0,
            None => self.deliver_messages(client, driver, watch),
        };
        *count += handed_out;
        handed_out > 0
    }

    /// Whether a loop that was asked to end has handed out for long enough: `loop_stop` waits for one callback, not for
    /// all that are due.
    #[inline]
    pub(super) fn must_leave(&self) -> bool {
        self.hurry.load(Ordering::Acquire) && self.has_left_it_late()
    }

    #[cold]
    fn has_left_it_late(&self) -> bool {
        self.lock().stop_asked.elapsed() > LEAVE_AFTER
    }

    /// Fetches the next events of the session; `false` if there is nothing at all to hand out.
    fn next_batch(&self, driver: &mut Driver) -> bool {
        let mut core = self.lock();
        while let Some(Happening::Session(_)) = core.happenings.front() {
            if let Some(Happening::Session(event)) = core.happenings.pop_front() {
                driver.batch.push_back(event);
            }
        }
        if core.happenings.is_empty() {
            if driver.take_events(&mut core) {
                // Publishers wait for room among the reports, too.
                self.notify(&core);
            }
            !driver.batch.is_empty()
        } else {
            true
        }
    }

    /// What comes next, if that is no event of the session.
    fn next_happening(&self) -> Option<Happening> {
        let mut core = self.lock();
        match core.happenings.front() {
            None | Some(Happening::Session(_)) => None,
            Some(_) => core.happenings.pop_front(),
        }
    }

    /// Hands out one event.
    fn deliver(self: &Arc<Self>, client: &Client, driver: &mut Driver, watch: &mut Watch, event: Event) {
        match event {
            // It has its turn next, see `deliver_messages`.
            Event::Message(_) | Event::Messages(_) => driver.batch.push_front(event),
            Event::Trace(Trace::ReceivedConnAck { reason, .. })
                if self.another_way(&self.lock(), reason).is_some() =>
            {
                // `try_another_way` has a line of its own.
            }
            Event::Trace(trace) => logging::emit_trace(self, &trace),
            Event::Published {
                mid,
                reason,
                properties,
            } => {
                self.tell_published(client, driver, watch, (mid, reason, properties));
            }
            Event::Subscribed {
                mid,
                reasons,
                properties,
            } => {
                if self.response_topic_answered(mid, &reasons) {
                    return;
                }
                watch.enter(self, "on_subscribe");
                let run = self
                    .callbacks
                    .subscribe
                    .run("on_subscribe", |f| f(client, mid, &reasons, &properties));
                self.keep_failure(run);
            }
            Event::Unsubscribed {
                mid,
                reasons,
                properties,
            } => {
                watch.enter(self, "on_unsubscribe");
                let run = self
                    .callbacks
                    .unsubscribe
                    .run("on_unsubscribe", |f| f(client, mid, &reasons, &properties));
                self.keep_failure(run);
            }
            Event::ConnAck {
                session_present,
                reason,
                properties,
            } => {
                // What came before is acknowledged before anything else is sent.
                self.acknowledge(driver);
                self.tell_connack(client, driver, watch, session_present, reason, &properties);
            }
            Event::Auth { reason, data } => {
                self.acknowledge(driver);
                self.tell_auth(client, driver, watch, reason, data);
            }
            Event::Dropped { count, why } => {
                logging::messages_dropped(count, why);
                self.end_undelivered();
            }
            Event::NotSubscribed { filter, limit } => logging::not_subscribed(&filter, limit),
            Event::Disconnected { reason, properties } => {
                let mut core = self.hear_writer(self.lock());
                if driver.is_current(&core) {
                    core.redirects.offer(reason, &properties);
                    let why = ServerReason::new(reason, properties.reason_string());
                    self.lose_with(&mut core, DisconnectReason::Server(why), properties);
                }
            }
        }
    }

    /// Tells that a message is finished, and what follows of the same kind. Returns how many there were.
    fn tell_published(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        first: (u16, ReasonCode, Properties),
    ) -> u32 {
        let slot = &self.callbacks.publish;
        let mut on_publish = None;
        let mut count = 0;
        let (mut mid, mut reason, mut properties) = first;
        loop {
            count += 1;
            if on_publish
                .as_ref()
                .is_none_or(|held: &Held<'_, OnPublish>| !held.is_current())
            {
                // The closure goes back before another one is taken.
                drop(on_publish.take());
                on_publish = slot.hold();
            }
            if let Some(on_publish) = &mut on_publish {
                watch.enter(self, "on_publish");
                let run = on_publish.run("on_publish", |f| f(client, mid, reason, &properties));
                self.keep_failure(run);
            }
            if reason.is_failure() {
                self.end_undelivered();
            }
            if self.must_leave() || !matches!(driver.batch.front(), Some(Event::Published { .. })) {
                return count;
            }
            if let Some(Event::Published {
                mid: next,
                reason: its_reason,
                properties: its_properties,
            }) = driver.batch.pop_front()
            {
                (mid, reason, properties) = (next, its_reason, its_properties);
            }
        }
    }

    fn tell_connack(
        self: &Arc<Self>,
        client: &Client,
        driver: &Driver,
        watch: &mut Watch,
        session_present: bool,
        reason: ReasonCode,
        properties: &Properties,
    ) {
        let flags = ConnectFlags::new(session_present);
        if reason.is_failure() {
            if self.try_another_way(driver, reason) {
                return;
            }
        } else {
            let mut core = self.lock();
            if driver.is_current(&core) {
                let now = self.now();
                core.session_present = session_present;
                core.accepted_at = Some(now);
                core.watch_for_first(now);
                core.last_reason = None;
                core.first_connection = false;
            }
            let client_id = core.session.settings.client_id.clone();
            let lost = core.session.lost();
            let due = core.guard_due();
            self.unlock_and_notify(core);
            log::info!(target: "callmq", "{client_id}: connected");
            if lost.sent_again > 0 {
                let count = lost.sent_again;
                log::warn!(target: "callmq", "{client_id}: no session at the server, {count} messages are sent again and may arrive twice");
            }
            if lost.dropped > 0 {
                let count = lost.dropped;
                log::warn!(target: "callmq", "{client_id}: no session at the server, {count} messages under way are dropped");
            }
            self.requests_connected(driver, session_present, properties);
            // There is a keep alive to watch over from now on, also while the callback runs.
            guard::look_by(due);
        }
        watch.enter(self, "on_connect");
        let run = self
            .callbacks
            .connect
            .run("on_connect", |f| f(client, flags, reason, properties));
        self.keep_failure(run);
        let mut core = self.lock();
        if !driver.is_current(&core) {
            // Another one has taken its place, or it has ended.
        } else if reason.is_failure() {
            core.redirects.offer(reason, properties);
            let why = DisconnectReason::Refused(ServerReason::new(reason, properties.reason_string()));
            self.lose_with(&mut core, why, properties.clone());
        } else {
            core.session.release(self.now());
            // Some of what waited may have ended.
            self.notify(&core);
            drop(self.flush(core));
            self.advance_requests();
        }
    }

    /// Tells what happened beside the session.
    fn tell(self: &Arc<Self>, client: &Client, driver: &mut Driver, watch: &mut Watch, happening: Happening) {
        match happening {
            Happening::Session(event) => self.deliver(client, driver, watch, event),
            Happening::Response(finished) => {
                watch.enter(self, "request callback");
                self.run_finished(client, finished);
            }
            Happening::Note(text) => log::warn!(target: "callmq", "{text}"),
            Happening::SocketClosed { socket } => {
                driver.let_go(&socket);
                self.tell_socket_closed(client, &SocketHandle::new(socket));
            }
            Happening::Closed(ending) => {
                driver.let_go(&ending.socket);
                self.requests_closed(&ending.reason.clone().into_error());
                self.tell_closed(client, driver, watch, ending);
            }
        }
    }

    /// Logs what a callback failed with, and keeps the first failure for the caller of the loop.
    pub(super) fn keep_failure(self: &Arc<Self>, result: Result<()>) {
        self.log_failure(&result);
        if let Err(error) = result {
            self.keep_error(error);
        }
    }

    /// Logs what a callback failed with, where the error itself is returned to the caller.
    pub(super) fn log_failure(self: &Arc<Self>, result: &Result<()>) {
        if let Err(Error::Callback { callback, message }) = result {
            logging::emit_line(self, &log_lines::callback_failed(callback, message));
        }
    }

    pub(super) fn keep_error(&self, error: Error) {
        let mut core = self.lock();
        if !core.suppress_exceptions {
            core.callback_error.get_or_insert(Box::new(error));
        }
    }

    /// Runs a closure of the user's outside of the event queue (`on_pre_connect` and the like), as the dispatcher.
    pub(super) fn call<T>(
        self: &Arc<Self>,
        name: &'static str,
        call: impl FnOnce(&Client) -> Result<T>,
    ) -> Result<T> {
        let client = self.lent();
        let _inside = self.enter_callbacks();
        guarded(name, || call(&client))
    }
}
