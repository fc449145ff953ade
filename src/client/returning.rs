//! Going back to the first server of the list: looking for it beside the connection, then moving.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::shared::{Closing, Core, Phase, Shared};
use super::{DisconnectReason, Server};
use crate::codec::{Properties, ReasonCode};
use crate::transport::{self, Cancel, DialOptions};

/// What was accepted may take so long to leave before the connection is closed: nobody is in a hurry.
const FAREWELL: Duration = Duration::from_secs(1);

/// A look whether the first server can be reached.
#[derive(Debug)]
pub(super) struct Probe {
    server: Server,
    way: DialOptions,
    cancel: Cancel,
    /// The connection that is left if it can.
    epoch: u64,
}

impl Core {
    /// The server has accepted the connection: the client may want to go back from it.
    pub(super) fn watch_for_first(&mut self, now: Instant) {
        let after = self.options.as_ref().and_then(|options| options.return_after());
        self.servers.accepted(now, after);
    }

    /// When the loop looks for the first server.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let returns = self.running.is_some() && self.reconnect_on_failure;
        self.servers.look_at().filter(|_| returns)
    }

    /// The look that is due. The one before ends.
    pub(super) fn next_probe(&mut self, now: Instant) -> Option<Probe> {
        self.probe_at().filter(|&at| at <= now)?;
        let server = self.servers.look_for_first(now)?;
        let options = self.options.clone()?;
        // A bad proxy in the environment is reported where it is in the way.
        let way = self.way_to(&server, &options).ok()?;
        self.stop_probe();
        Some(Probe {
            server,
            // What is set in `on_pre_connect` is for the present server.
            way: way.without_layers(),
            cancel: self.probe.insert(Cancel::default()).clone(),
            epoch: self.epoch,
        })
    }
}

impl Shared {
    /// Looks for the first server on a thread of its own: the loop has a connection to see to.
    pub(super) fn start_probe(self: &Arc<Self>, probe: Probe) {
        let weak = Arc::downgrade(self);
        let look = move || match transport::dial(&probe.server.parts().target, &probe.way, &probe.cancel) {
            Ok(_) => {
                if let Some(shared) = weak.upgrade() {
                    shared.return_to_first(&probe);
                }
            }
            Err(error) => {
                log::debug!(target: "callmq", "not back to {} yet: {error}", probe.server);
            }
        };
        let thread = thread::Builder::new().name("callmq-probe".to_owned());
        if let Err(error) = thread.spawn(look) {
            log::warn!(target: "callmq", "cannot look for the first server: {error}");
        }
    }

    /// Leaves the present server for the first, which can be reached.
    fn return_to_first(self: &Arc<Self>, probe: &Probe) {
        let mut core = self.lock();
        let stays = core.stop || core.abandoned || core.closing.is_some() || core.probe_at().is_none();
        if core.epoch != probe.epoch || core.phase != Phase::Up || stays {
            return;
        }
        let now = self.now();
        let told = core
            .session
            .disconnect(now, ReasonCode::NORMAL_DISCONNECTION, Properties::default());
        if told.is_err() {
            return;
        }
        core.servers.found_first();
        core.closing = Some(Box::new(Closing::ByUs {
            until: now + FAREWELL,
            reason: DisconnectReason::ReturnToFirst,
            then: Phase::Lost,
        }));
        self.interrupt();
        // Only without a loop it has something to report.
        let _ = self.after_command(core);
        log::info!(target: "callmq", "going back to {}", probe.server);
    }
}
