//! Log lines: to the `log` crate and to `on_log`.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::{LogLevel, log_lines};
use crate::error::{DropReason, ServerLimit};
use crate::session::Trace;

thread_local! {
    /// The thread is inside `on_log`: lines that it causes there are left out.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Hands out the line of a packet.
pub(super) fn emit_trace(shared: &Arc<Shared>, trace: &Trace) {
    let version = shared.lock().session.settings.version;
    let (level, text) = log_lines::text(trace, version);
    emit(shared, level, &text);
}

/// Hands out a line as `log_lines` made it.
pub(super) fn emit_line(shared: &Arc<Shared>, (level, text): &(LogLevel, String)) {
    emit(shared, *level, text);
}

/// Hands out one line. The caller holds no lock.
pub(super) fn emit(shared: &Arc<Shared>, level: LogLevel, text: &str) {
    if shared.logger.load(Ordering::Relaxed) {
        log::log!(target: "callmq", log::Level::from(level), "{text}");
    }
    let Some(on_log) = shared.callbacks.log.get() else {
        return;
    };
    if INSIDE.replace(true) {
        return;
    }
    let client = shared.lent();
    let _inside = shared.enter_callbacks();
    // Its failure has nobody to be reported to, as in paho.
    let _ = super::callbacks::guarded("on_log", || {
        on_log(&client, level, text);
        Ok(())
    });
    INSIDE.set(false);
}

/// Whether the `log` crate would take the lines of packets. Asks the program's logger: the caller holds no lock.
pub(super) fn logged(shared: &Shared) -> bool {
    shared.logger.load(Ordering::Relaxed) && log::log_enabled!(target: "callmq", log::Level::Debug)
}

/// Messages that were accepted were not sent. That they expire is what the application wanted; the rest it should change.
pub(super) fn messages_dropped(count: u64, why: DropReason) {
    let messages = if count == 1 {
        "message was"
    } else {
        "messages were"
    };
    let level = match why {
        DropReason::Expired => log::Level::Info,
        _ => log::Level::Warn,
    };
    log::log!(target: "callmq", level, "{count} {messages} dropped: {why}");
}

/// A subscription that was accepted, or is to be renewed, is not sent.
pub(super) fn not_subscribed(filter: &str, limit: ServerLimit) {
    log::warn!(target: "callmq", "not subscribed to '{}': {limit}", filter.escape_debug());
}
