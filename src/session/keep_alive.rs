//! The deadlines of a connection: CONNACK, PINGREQ, PINGRESP.
//!
//! ```text
//!   open ──► ConnAck ──accepted──► Silence ──PINGREQ──► PingResp ──┐
//!                                     ▲                    │  ▲    PINGREQ, if the answer takes longer
//!                                     └─────PINGRESP───────┘  └────┘ than the Keep Alive
//! ```

use std::time::{Duration, Instant};

use super::{Session, TimedOut, Track};

/// When the connection was last heard of, and what is due next. Without a connection, and while one is being closed,
/// there are no timers.
#[derive(Debug, Default)]
pub(super) struct KeepAlive {
    timers: Option<Timers>,
}

#[derive(Debug)]
struct Timers {
    waits_for: Waiting,
    last_sent: Instant,
    last_received: Instant,
    /// `None`: no pings.
    interval: Option<Duration>,
    /// How long a PINGRESP may take; `None`: the interval.
    ping_timeout: Option<Duration>,
}

#[derive(Debug)]
enum Waiting {
    ConnAck {
        deadline: Instant,
    },
    Silence,
    /// `asked`: since when; `pinged`: the last PINGREQ.
    PingResp {
        asked: Instant,
        pinged: Instant,
    },
}

/// What the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    PingReq,
    Failed(TimedOut),
}

impl KeepAlive {
    /// CONNECT is on its way.
    pub(super) fn open(&mut self, now: Instant, connack_timeout: Duration) {
        self.timers = now.checked_add(connack_timeout).map(|deadline| Timers {
            waits_for: Waiting::ConnAck { deadline },
            last_sent: now,
            last_received: now,
            interval: None,
            ping_timeout: None,
        });
    }

    /// The connection is accepted; `seconds` is the Keep Alive in force, 0 turns pings off.
    pub(super) fn accepted(&mut self, now: Instant, seconds: u16, ping_timeout: Option<Duration>) {
        let timers = self.timers.get_or_insert(Timers {
            waits_for: Waiting::Silence,
            last_sent: now,
            last_received: now,
            interval: None,
            ping_timeout: None,
        });
        timers.waits_for = Waiting::Silence;
        timers.interval = (seconds != 0).then(|| Duration::from_secs(seconds.into()));
        timers.ping_timeout = ping_timeout;
    }

    pub(super) fn stop(&mut self) {
        self.timers = None;
    }

    pub(super) fn received(&mut self, now: Instant) {
        if let Some(timers) = &mut self.timers {
            timers.last_received = now;
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if let Some(timers) = &mut self.timers {
            timers.last_sent = now;
        }
    }

    pub(super) fn ping_answered(&mut self) {
        if let Some(timers) = &mut self.timers {
            if matches!(timers.waits_for, Waiting::PingResp { .. }) {
                timers.waits_for = Waiting::Silence;
            }
        }
    }

    /// When [`due`](Self::due) has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timers = self.timers.as_ref()?;
        match timers.waits_for {
            Waiting::ConnAck { deadline } => Some(deadline),
            // PINGREQ when nothing else was sent for the Keep Alive time [MQTT-3.1.2-23] (5.0: [MQTT-3.1.2-20]). A
            // server that has gone silent is asked too: that finds a connection that died.
            Waiting::Silence => timers
                .last_sent
                .min(timers.last_received)
                .checked_add(timers.interval?),
            Waiting::PingResp { .. } => {
                let answer = timers.answer_due();
                let next = timers.next_ping_due();
                answer.into_iter().chain(next).min()
            }
        }
    }

    /// What is due at `now`. After `PingReq` the answer is waited for.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let passed = self.deadline().is_some_and(|deadline| deadline <= now);
        let Some(timers) = self.timers.as_mut().filter(|_| passed) else {
            return Due::Nothing;
        };
        match timers.waits_for {
            Waiting::ConnAck { .. } => Due::Failed(TimedOut::ConnAck),
            Waiting::PingResp { asked, .. } => {
                if timers.answer_due().is_some_and(|deadline| deadline <= now) {
                    return Due::Failed(TimedOut::PingResp);
                }
                timers.waits_for = Waiting::PingResp { asked, pinged: now };
                Due::PingReq
            }
            Waiting::Silence => {
                timers.waits_for = Waiting::PingResp {
                    asked: now,
                    pinged: now,
                };
                Due::PingReq
            }
        }
    }
}

impl Timers {
    /// When the PINGRESP is overdue. While other bytes arrive, it may be behind them.
    fn answer_due(&self) -> Option<Instant> {
        let Waiting::PingResp { asked, .. } = self.waits_for else {
            return None;
        };
        let allowed = self.ping_timeout.or(self.interval)?;
        asked.max(self.last_received).checked_add(allowed)
    }

    /// When the server has to hear of us although a PINGRESP is still to come. A PINGREQ that the socket has not taken
    /// yet counts as sent.
    fn next_ping_due(&self) -> Option<Instant> {
        let Waiting::PingResp { pinged, .. } = self.waits_for else {
            return None;
        };
        self.last_sent.max(pinged).checked_add(self.interval?)
    }
}

/// While a callback holds the client's loop nothing is read, so only the sending side counts.
impl KeepAlive {
    fn ping_due(&self) -> Option<Instant> {
        let timers = self.timers.as_ref()?;
        match timers.waits_for {
            Waiting::ConnAck { .. } => None,
            Waiting::Silence => timers.last_sent.checked_add(timers.interval?),
            Waiting::PingResp { .. } => timers.next_ping_due(),
        }
    }
}

impl<T: Track> Session<T> {
    /// When the server has to hear of us again, whatever we have heard of it.
    pub(crate) fn ping_due(&self) -> Option<Instant> {
        self.keep_alive.ping_due()
    }

    /// Sends a PINGREQ if one is due by that measure, also while an answer is waited for: it may be there, unread.
    pub(crate) fn ping_while_busy(&mut self, now: Instant) {
        if self.keep_alive.ping_due().is_some_and(|due| due <= now) {
            // The socket takes it at once, or the next `wrote` says when it did.
            self.keep_alive.sent(now);
            self.put_ping();
        }
    }
}
