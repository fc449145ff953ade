//! A server that takes connections and never answers.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use callmq::client as mqtt;

use crate::PATIENCE;

pub struct Silent {
    pub address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Silent {
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted }
    }

    /// A handshake with this server, without a time-out: `disconnect` ends it, and `loop_stop`.
    pub fn hangs_until_told(&self, client: &mqtt::Client, options: mqtt::ConnectOptions) {
        let options = options.connect_timeout(None);
        let connecting = thread::spawn({
            let (client, options) = (client.clone(), options.clone());
            move || client.connect(options).unwrap_err()
        });
        let first = self.accepted.recv_timeout(PATIENCE).unwrap();
        client.disconnect().unwrap_err();
        assert!(matches!(connecting.join().unwrap(), mqtt::Error::NotConnected));

        client.connect_async(options).unwrap();
        client.loop_start().unwrap();
        let second = self.accepted.recv_timeout(PATIENCE).unwrap();
        let started = Instant::now();
        client.loop_stop().unwrap();
        assert!(started.elapsed() < Duration::from_secs(2));
        drop((first, second));
    }
}
