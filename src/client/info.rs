//! What became of a message or of a subscription request.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::IntoTimeout;
use super::shared::Shared;
use super::tracker::Tracker;
use crate::codec::ReasonCode;
use crate::error::{DropReason, Error, Result};
use crate::on_demand::OnDemand;

/// Where an accepted message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Accepted; it waits for a connection or for room in the in-flight window.
    Queued,
    /// On its way. A message of QoS 1 or 2 is kept, and sent again if need be, until it is acknowledged.
    Sent,
    /// Finished: a message of QoS 0 is written to the socket, one of QoS 1 or 2 is acknowledged. The code says whether
    /// the server took it; before MQTT 5.0 it is always a success.
    Acknowledged(ReasonCode),
    /// It will not be delivered (any more).
    Dropped(DropReason),
}

impl Delivery {
    /// Returns whether this state is final.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Acknowledged(_) | Self::Dropped(_))
    }

    pub(super) fn outcome(self) -> Option<Result<()>> {
        match self {
            Self::Queued | Self::Sent => None,
            Self::Acknowledged(reason) if reason.is_failure() => Some(Err(Error::Rejected(reason.into()))),
            Self::Acknowledged(_) => Some(Ok(())),
            Self::Dropped(why) => Some(Err(Error::Dropped(why))),
        }
    }
}

/// How far the bytes of one connection got. A message of QoS 0 that went straight into the output is followed by its
/// position there, without an allocation of its own.
///
/// Sequentially consistent: of a thread that stores `written` and then reads `asked`, and one that stores `asked` and
/// then reads `written`, at least one sees what the other stored.
#[derive(Debug)]
pub(crate) struct WrittenBytes {
    shared: Weak<Shared>,
    written: AtomicU64,
    ended: AtomicBool,
    /// Whether there may be somebody in `channels`.
    asked: AtomicBool,
    /// No other lock is taken under this one.
    channels: Mutex<OnDemand<Vec<Asked>>>,
}

/// Who asked for the outcome of the message that ends at this position.
type Asked = (u64, Sender<Result<()>>);

impl WrittenBytes {
    pub(crate) fn new(shared: Weak<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            written: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            channels: Mutex::default(),
        })
    }

    pub(crate) fn set_written(&self, position: u64) {
        self.written.store(position, Ordering::SeqCst);
        self.tell();
    }

    /// The connection is over: what is not written by now never will be.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.tell();
    }

    fn delivery(&self, end: u64) -> Delivery {
        // The order matters: `written` no longer moves once `ended` is seen.
        let ended = self.ended.load(Ordering::SeqCst);
        if self.written.load(Ordering::SeqCst) >= end {
            Delivery::Acknowledged(ReasonCode::SUCCESS)
        } else if ended {
            Delivery::Dropped(DropReason::ConnectionLost)
        } else {
            Delivery::Sent
        }
    }

    fn finished(&self, end: u64) -> Receiver<Result<()>> {
        let (sender, receiver) = bounded(1);
        let mut channels = self.channels();
        self.asked.store(true, Ordering::SeqCst);
        match self.delivery(end).outcome() {
            Some(outcome) => tell(&sender, outcome),
            None => channels.push((end, sender)),
        }
        receiver
    }

    /// Tells those whose messages have ended.
    fn tell(&self) {
        if !self.asked.load(Ordering::SeqCst) {
            return;
        }
        let mut channels = self.channels();
        channels.retain(|(end, sender)| match self.delivery(*end).outcome() {
            Some(outcome) => {
                tell(sender, outcome);
                false
            }
            None => true,
        });
        self.asked.store(!channels.is_empty(), Ordering::SeqCst);
    }

    fn channels(&self) -> MutexGuard<'_, OnDemand<Vec<Asked>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place, one message: the channel cannot be full, and a receiver that is gone does not mind.
pub(super) fn tell(channel: &Sender<Result<()>>, outcome: Result<()>) {
    let _ = channel.try_send(outcome);
}

/// A message that was accepted for publishing.
///
/// It can be cloned, sent to other threads, and outlive the client. Every message ends: acknowledged, or dropped with a
/// reason.
///
/// ```no_run
/// use callmq::client as mqtt;
///
/// # fn main() -> mqtt::Result<()> {
/// let client = mqtt::Client::new("sensor");
/// client.connect("localhost")?;
/// client.loop_start()?;
/// let info = client.publish_with("house/sensor1", 21.5, 1, false)?;
/// info.wait_for_publish(2)?;
/// assert!(info.is_published());
/// # Ok(())
/// # }
/// ```
#[doc(alias = "MQTTMessageInfo")]
#[derive(Clone)]
pub struct MessageInfo {
    /// The message id: also the Packet Identifier on the wire for QoS 1 and 2 (unless more than 65,471 of them
    /// are unfinished). Messages of QoS 0 have one for the application only.
    pub mid: u16,
    followed: Followed,
}

#[derive(Clone)]
enum Followed {
    Position { line: Arc<WrittenBytes>, end: u64 },
    Tracker(Tracker),
}

impl MessageInfo {
    pub(crate) fn at_position(mid: u16, line: Arc<WrittenBytes>, end: u64) -> Self {
        Self {
            mid,
            followed: Followed::Position { line, end },
        }
    }

    pub(crate) fn tracked(mid: u16, tracker: Tracker) -> Self {
        Self {
            mid,
            followed: Followed::Tracker(tracker),
        }
    }

    /// Returns where the message stands now. Does not block.
    pub fn delivery(&self) -> Delivery {
        match &self.followed {
            Followed::Position { line, end } => line.delivery(*end),
            Followed::Tracker(tracker) => tracker.delivery(),
        }
    }

    /// Returns whether the message is finished and the server took it. Does not block.
    ///
    /// A message of QoS 0 has been written to the socket, one of QoS 1 or 2 has been acknowledged.
    pub fn is_published(&self) -> bool {
        matches!(self.delivery(), Delivery::Acknowledged(reason) if !reason.is_failure())
    }

    /// Waits until the message is published.
    ///
    /// `timeout` is in seconds (integer or float) or a [`Duration`](std::time::Duration); `None` waits without limit.
    /// When nobody runs the network loop, this call does until the message is finished.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], [`Error::Dropped`] with the reason, [`Error::Rejected`] if the server refused the message
    /// (MQTT 5.0), [`Error::WouldDeadlock`] inside a callback, [`Error::NotConnected`] if there is no connection and
    /// no loop that would make one (the message is kept, if it is of QoS 1 or 2).
    pub fn wait_for_publish(&self, timeout: impl IntoTimeout) -> Result<()> {
        wait(self.shared(), "wait_for_publish", timeout.into_timeout()?, || {
            self.outcome()
        })
    }

    /// A channel that receives the outcome once, for `crossbeam_channel::select!`: that of
    /// [`wait_for_publish`](Self::wait_for_publish), when it is known.
    ///
    /// Does not block and does not run the network loop; each call makes a channel of its own.
    pub fn finished(&self) -> Receiver<Result<()>> {
        match &self.followed {
            Followed::Tracker(tracker) => tracker.finished(),
            Followed::Position { line, end } => line.finished(*end),
        }
    }

    /// The outcome, if it is known.
    pub(super) fn outcome(&self) -> Option<Result<()>> {
        match &self.followed {
            Followed::Position { line, end } => line.delivery(*end).outcome(),
            Followed::Tracker(tracker) => tracker.outcome(),
        }
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        match &self.followed {
            Followed::Position { line, .. } => line.shared.upgrade(),
            Followed::Tracker(tracker) => tracker.shared(),
        }
    }
}

impl fmt::Debug for MessageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInfo")
            .field("mid", &self.mid)
            .field("delivery", &self.delivery())
            .finish()
    }
}

/// A subscribe or unsubscribe request that was accepted.
#[derive(Clone)]
pub struct SubscribeInfo {
    /// The message id of the request, as `on_subscribe` and `on_unsubscribe` get it.
    pub mid: u16,
    tracker: Tracker,
}

impl SubscribeInfo {
    pub(crate) fn new(mid: u16, tracker: Tracker) -> Self {
        Self { mid, tracker }
    }

    /// Returns whether the request has ended: the server has answered, or it was dropped. Does not block.
    pub fn is_answered(&self) -> bool {
        self.tracker.delivery().is_final()
    }

    /// Waits for the server's answer: one code per filter (none for an unsubscribe request before MQTT 5.0). A code
    /// that [is a failure](ReasonCode::is_failure) refuses its filter.
    ///
    /// `timeout` is in seconds or a [`Duration`](std::time::Duration); `None` waits without limit. When nobody runs
    /// the network loop, this call does until the answer is here.
    ///
    /// # Errors
    ///
    /// As [`MessageInfo::wait_for_publish`].
    pub fn wait(&self, timeout: impl IntoTimeout) -> Result<Vec<ReasonCode>> {
        wait(
            self.tracker.shared(),
            "SubscribeInfo::wait",
            timeout.into_timeout()?,
            || self.tracker.outcome(),
        )?;
        Ok(self.tracker.codes())
    }

    /// A channel that receives the outcome once, for `crossbeam_channel::select!`; [`wait`](Self::wait) then returns the
    /// codes at once.
    ///
    /// Does not block and does not run the network loop; each call makes a channel of its own.
    pub fn finished(&self) -> Receiver<Result<()>> {
        self.tracker.finished()
    }
}

impl fmt::Debug for SubscribeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeInfo")
            .field("mid", &self.mid)
            .field("tracker", &self.tracker)
            .finish()
    }
}

fn wait(
    shared: Option<Arc<Shared>>,
    call: &'static str,
    timeout: Option<std::time::Duration>,
    mut outcome: impl FnMut() -> Option<Result<()>>,
) -> Result<()> {
    if let Some(outcome) = outcome() {
        return outcome;
    }
    match shared {
        Some(shared) => shared.wait_until(call, timeout, |_| outcome()),
        // The client is gone, and it ended everything that it had accepted.
        None => outcome().unwrap_or(Err(Error::Dropped(DropReason::ClientDropped))),
    }
}
