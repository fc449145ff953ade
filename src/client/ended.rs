//! Telling that a connection has ended, and letting go of its socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::shared::Shared;
use super::slow_callbacks::Watch;
use super::{Client, DisconnectFlags, DisconnectReason, SocketHandle, log_lines, logging};
use crate::codec::{Properties, ReasonCode};
use crate::error::Error;
use crate::transport::Socket;

/// How long to wait for the peer's end of stream after DISCONNECT.
const DRAIN: Duration = Duration::from_millis(20);

/// A connection that has ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) socket: Arc<Socket>,
    /// Everything was written, up to the DISCONNECT if there was one.
    pub(super) written: bool,
    pub(super) reason: DisconnectReason,
    pub(super) properties: Properties,
}

impl Shared {
    /// Tells those who watch the socket that it is gone.
    pub(super) fn tell_socket_closed(self: &Arc<Self>, client: &Client, handle: &SocketHandle) {
        self.tell_unregister_write(client, handle);
        let slot = &self.callbacks.socket_close;
        let run = slot.run_in_turn("on_socket_close", |f| f(client, handle));
        self.keep_failure(run);
    }

    fn tell_unregister_write(self: &Arc<Self>, client: &Client, handle: &SocketHandle) {
        if std::mem::take(&mut self.lock().write_registered) {
            let slot = &self.callbacks.socket_unregister_write;
            let run = slot.run_in_turn("on_socket_unregister_write", |f| f(client, handle));
            self.keep_failure(run);
        }
    }

    /// Tells that a connection ended, and lets go of its socket.
    pub(super) fn tell_closed(
        self: &Arc<Self>,
        client: &Client,
        driver: &mut Driver,
        watch: &mut Watch,
        ending: Ending,
    ) {
        let Ending {
            socket,
            written,
            reason,
            properties,
        } = ending;
        let handle = SocketHandle::new(Arc::clone(&socket));
        let code = reason.reason_code();
        let flags = DisconnectFlags::new(reason.clone());
        let requested = matches!(reason, DisconnectReason::Requested);
        let said_goodbye = requested || matches!(reason, DisconnectReason::ReturnToFirst);
        if let DisconnectReason::Lost(Error::Io(error)) = &reason {
            logging::emit_line(self, &log_lines::socket_failed(error));
        } else if let DisconnectReason::Lost(Error::Tls(error)) = &reason {
            logging::emit_line(self, &log_lines::tls_failed(error));
        }
        self.tell_unregister_write(client, &handle);
        if requested {
            self.run_on_disconnect(client, watch, &flags, code, &properties);
        }
        self.tell_socket_closed(client, &handle);
        drop(handle);
        if said_goodbye && written {
            self.drain(driver, &socket);
        }
        if !requested {
            log::info!(target: "callmq", "connection ended: {reason}");
        }
        drop(socket);
        if !requested {
            self.run_on_disconnect(client, watch, &flags, code, &properties);
        }
    }

    fn run_on_disconnect(
        self: &Arc<Self>,
        client: &Client,
        watch: &mut Watch,
        flags: &DisconnectFlags,
        code: ReasonCode,
        properties: &Properties,
    ) {
        watch.enter(self, "on_disconnect");
        let slot = &self.callbacks.disconnect;
        let run = slot.run("on_disconnect", |f| f(client, flags.clone(), code, properties));
        self.keep_failure(run);
        watch.look(self);
    }

    /// After DISCONNECT: no more is sent, and what the peer still sends is read and thrown away, so that the close does
    /// not become a reset that takes the last packets with it.
    // Not part of the caller's stack frame, which every callback has below it.
    #[inline(never)]
    fn drain(&self, driver: &mut Driver, socket: &Arc<Socket>) {
        if socket.shutdown_write().is_err() {
            return;
        }
        let deadline = Instant::now() + DRAIN;
        let mut scratch = [0; 1024];
        loop {
            match socket.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if socket.is_pollable() {
                        // It is still registered with the driver's poll. What else that reports is not lost: the loop
                        // looks for itself before it sleeps.
                        let polled = driver.sleep(Some(left));
                        drop(self.polled(self.lock(), polled));
                    } else if !matches!(socket.wait_readable(left), Ok(true)) {
                        return;
                    }
                }
                Err(_) => return,
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }
}
