//! What moves requests on: called by the dispatcher, by the loop's clock, and by who makes a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::NEEDS_V5;
use super::waiting::{Finished, Response};
use crate::client::callbacks::guarded;
use crate::client::driver::Driver;
use crate::client::shared::{Core, Happening, Phase, Shared};
use crate::client::{Client, Message, Properties, QoS, ReasonCode, Resubscribe};
use crate::codec::{ProtocolVersion, SubscribeOptions, Subscription};
use crate::error::Error;
use crate::session::Standing;
use crate::topic::TopicName;

impl Shared {
    /// Does what can be done for requests: subscribes to the response topic, sends those that wait for it.
    pub(crate) fn advance_requests(self: &Arc<Self>) {
        if self.requests.is_active() {
            self.advance_active_requests();
        }
    }

    /// Not part of the caller's stack frame: most clients have none.
    #[inline(never)]
    fn advance_active_requests(self: &Arc<Self>) {
        loop {
            let mut core = self.lock();
            if !core.is_connected() {
                return;
            }
            let mut table = self.requests.table();
            if !table.needs_topic() || self.requests.connection.load(Ordering::Relaxed) != core.epoch {
                return;
            }
            let topic = table.make_topic(&core.session.settings.client_id);
            let standing = match table.lost {
                true => Standing::Unknown,
                false => core.session.standing(&topic),
            };
            match standing {
                Standing::Asked => return,
                Standing::Granted => {
                    let Some((key, message)) = table.next_held() else {
                        return;
                    };
                    let epoch = core.epoch;
                    drop(table);
                    drop(core);
                    match self.publish(&message.outgoing()) {
                        Ok(info) => {
                            let undelivered = self.requests.table().sent(key, info, message.qos, epoch);
                            if undelivered {
                                self.end_undelivered();
                            }
                        }
                        Err(Error::NotConnected) => {
                            // It ended just now; what becomes of the request is decided where that is told.
                            self.requests.table().hold_again(key, message);
                            return;
                        }
                        Err(error) => {
                            let finished = self.requests.table().finish(key, Err(error));
                            self.tell_finished(finished.into_iter().collect());
                        }
                    }
                }
                Standing::Unknown => {
                    let subscription = Subscription {
                        filter: topic.as_str().to_owned(),
                        // As high as a request may be answered; a response that comes twice is late the second time.
                        options: SubscribeOptions::from(QoS::AtLeastOnce),
                    };
                    let tracker = core.trackers.next();
                    let asked =
                        core.session
                            .subscribe(self.now(), vec![subscription], Properties::new(), |_| tracker);
                    let result = match asked {
                        Ok(mid) => {
                            table.asked = Some(mid);
                            table.lost = false;
                            drop(table);
                            self.after_command(core)
                        }
                        Err(error) => {
                            drop(table);
                            drop(core);
                            Err(error)
                        }
                    };
                    if let Err(error) = result {
                        let finished = self.requests.table().finish_held(&error);
                        self.tell_finished(finished);
                    }
                    return;
                }
            }
        }
    }

    /// A server has accepted the connection.
    pub(crate) fn requests_connected(
        self: &Arc<Self>,
        driver: &Driver,
        session_present: bool,
        properties: &Properties,
    ) {
        let (previous, lost) = {
            let core = self.lock();
            if !driver.is_current(&core) {
                return;
            }
            if core.session.settings.version != ProtocolVersion::V5 {
                drop(core);
                // The client has fallen back to an older version.
                return self.end_requests(&NEEDS_V5, false);
            }
            let never = core.session.settings.resubscribe == Resubscribe::Never;
            self.requests.connection.store(core.epoch, Ordering::Relaxed);
            let information = properties.response_information();
            let table = match information {
                Some(_) => Some(self.requests.table()),
                None => self.requests.made(),
            };
            let Some(mut table) = table else {
                return;
            };
            table.closed = false;
            // Otherwise the session renews it.
            table.lost |= never && !session_present && table.topic().is_some();
            (table.offer(information), table.lost)
        };
        self.leave_response_topic(previous);
        if lost {
            // Before the requests that are sent again.
            self.advance_requests();
        }
        self.end_undelivered();
    }

    /// The server has answered a SUBSCRIBE. Returns whether it was that of the response topic.
    pub(crate) fn response_topic_answered(self: &Arc<Self>, mid: u16, reasons: &[ReasonCode]) -> bool {
        if !self.requests.is_active() {
            return false;
        }
        let finished = {
            let mut table = self.requests.table();
            if table.asked != Some(mid) {
                drop(table);
                // It may have been renewed.
                self.advance_requests();
                return false;
            }
            table.asked = None;
            match reasons.first().filter(|reason| reason.is_failure()) {
                Some(reason) => table.finish_held(&Error::Rejected((*reason).into())),
                None => Vec::new(),
            }
        };
        self.tell_finished(finished);
        self.advance_requests();
        true
    }

    /// Gives a message on the response topic to who waits for it.
    pub(crate) fn take_response(self: &Arc<Self>, client: &Client, mut message: Message) {
        // Acknowledged without the application.
        message.ticket = None;
        let response = self.requests.table().response(message);
        match response {
            Response::Taken => self.notify(&self.lock()),
            Response::For(finished) => self.run_finished(client, finished),
            Response::Late => {
                log::debug!(target: "callmq", "a response was ignored: nobody waits for it (any more)");
            }
        }
    }

    /// A connection has ended, or was refused.
    pub(crate) fn requests_closed(self: &Arc<Self>, error: &Error) {
        if !self.requests.is_active() {
            return;
        }
        let finished = {
            let core = self.lock();
            let mut table = self.requests.table();
            if core.has_future() {
                let open = core.socket.is_some().then_some(core.epoch);
                table.finish_unsafe(open, error)
            } else {
                table.finish_all(error)
            }
        };
        self.tell_finished(finished);
        self.end_undelivered();
    }

    /// Ends requests whose message was dropped or refused.
    pub(crate) fn end_undelivered(self: &Arc<Self>) {
        if self.requests.is_active() {
            let finished = self.requests.table().finish_undelivered();
            self.tell_finished(finished);
        }
    }

    /// Ends all requests: there will be no response. With `close` there are no new ones either.
    pub(crate) fn end_requests(self: &Arc<Self>, error: &Error, close: bool) {
        if !close && !self.requests.is_active() {
            return;
        }
        let finished = {
            let mut table = self.requests.table();
            table.closed |= close;
            table.finish_all(error)
        };
        self.tell_finished(finished);
    }

    /// Ends those whose time has passed. Returns whether there were any.
    pub(crate) fn expire_requests(self: &Arc<Self>, now: Instant) -> bool {
        if !self.requests.is_active() {
            return false;
        }
        let expired = self.requests.table().expire(now);
        let any = !expired.is_empty();
        if any {
            self.tell_finished(expired);
        }
        any
    }

    /// Lets the closures be called by whoever dispatches, and calls that wait look again.
    fn tell_finished(self: &Arc<Self>, finished: Vec<Finished>) {
        if !self.requests.is_active() {
            return;
        }
        let mut core = self.lock();
        core.happenings
            .extend(finished.into_iter().map(Happening::Response));
        self.notify(&core);
        if core.driver.is_some() && core.running.is_none() && !self.is_dispatcher() {
            self.dispatch_inline(core);
        } else if !core.happenings.is_empty() {
            drop(core);
            self.wake();
        }
    }

    /// Calls the closure of a request.
    pub(crate) fn run_finished(self: &Arc<Self>, client: &Client, finished: Finished) {
        let Finished { closure, outcome } = finished;
        let run = guarded("request callback", || {
            closure(client, outcome.as_ref().map_err(Clone::clone))
        });
        self.keep_failure(run);
    }

    /// Another topic takes the place of this one.
    pub(super) fn leave_response_topic(self: &Arc<Self>, previous: Option<TopicName>) {
        let Some(topic) = previous else { return };
        let mut core = self.lock();
        if core.session.standing(&topic) == Standing::Unknown {
            return;
        }
        let tracker = core.trackers.next();
        let filters = vec![topic.as_str().to_owned()];
        // Where it fails the server goes on sending what is ignored.
        let asked = core
            .session
            .unsubscribe(self.now(), filters, Properties::new(), |_| tracker);
        if asked.is_ok() {
            let written = self.after_command(core);
            self.keep_failure(written);
        }
    }
}

impl Core {
    /// Whether there is a connection, or a loop that would make the next one.
    fn has_future(&self) -> bool {
        match self.phase {
            Phase::New | Phase::Down => false,
            Phase::Dialing | Phase::Up => true,
            Phase::Async | Phase::Lost => self.running.is_some() && self.reconnect_on_failure,
        }
    }
}
