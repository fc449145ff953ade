//! The peer as a process of its own: its memory and its processor time are not the client's.

use std::env;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

/// The first argument of a program that is to be the peer: it calls [`Peer::run`] then.
pub const PROCESS_ARGUMENT: &str = "peer";

/// A running peer; it ends when this is dropped.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    port: u16,
}

impl Peer {
    /// Starts this same program once more, as the peer; `arguments` follow [`PROCESS_ARGUMENT`].
    pub fn start(arguments: &[&str]) -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg(PROCESS_ARGUMENT)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line.trim().parse().map_err(|_| ErrorKind::NotConnected)?;
        Ok(Self { process, port })
    }

    /// On 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the peer's process does: says its port, and serves until nobody holds its standard input any more. Each
    /// connection goes over what `open` makes of it.
    pub fn run<S: Read + Write>(
        open: impl Fn(TcpStream) -> io::Result<S> + Clone + Send + 'static,
    ) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        println!("{}", listener.local_addr()?.port());
        thread::spawn(move || super::serve(&listener, open));
        io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It has ended, or will without us.
        let _ = self.process.wait();
    }
}
