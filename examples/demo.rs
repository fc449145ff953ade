//! The whole thing in one terminal: `cargo run --example demo`.
//!
//! A broker in this process, the receiver and the sender of tutorial 0 connected to it over TCP, and somebody who types
//! 1, 2, 3 at the sender's menu. Each line says who printed it. It ends by itself; NO_COLOR takes the colours away.

use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::Duration;

use callmq::client as mqtt;
use callmq::testing::Broker;
use crossbeam_channel::{Sender, bounded, unbounded};

const PUB_TOPIC: &str = "/api/minipc";
const SUB_TOPIC: &str = "/api/blaze";
const PATIENCE: Duration = Duration::from_secs(5);

/// Who prints: a name of eight characters and a colour of the terminal.
#[derive(Clone, Copy)]
struct Voice(&'static str, u8);

const BROKER: Voice = Voice("broker  ", 90);
const RECEIVER: Voice = Voice("receiver", 32);
const SENDER: Voice = Voice("sender  ", 33);

impl Voice {
    fn say(self, text: &str) {
        let Voice(name, colour) = self;
        for line in text.lines() {
            // An error means that nobody reads any more.
            let _ = match is_coloured() {
                true => writeln!(stdout(), "\x1b[{colour}m{name} |\x1b[0m {line}"),
                false => writeln!(stdout(), "{name} | {line}"),
            };
        }
    }
}

fn is_coloured() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// So that a person can follow; nobody waits where the output goes to a file.
fn pause() {
    if stdout().is_terminal() {
        thread::sleep(Duration::from_millis(700));
    }
}

fn main() -> mqtt::Result<()> {
    env_logger::init();
    let broker = Broker::builder()
        .on_log(|line| BROKER.say(line))
        .listen("127.0.0.1:0")?;
    BROKER.say(&format!("serving {}", broker.address()));

    let (done, handled) = bounded(1);
    let receiver = receive(&broker, done)?;
    broker.wait_for_log(PATIENCE, "Sending SUBACK to received_data123")?;
    pause();

    let sender = mqtt::Client::builder("send_data123").clean_session(true).build();
    sender.on_connect(|client, _, _, _| client.subscribe(SUB_TOPIC));
    sender.on_message(|_, message| SENDER.say(&format!("[ message ] {}", message.payload)));
    sender.connect(&broker)?;
    sender.loop_start()?;
    broker.wait_for_log(PATIENCE, "Sending SUBACK to send_data123")?;
    for typed in ["1", "2", "3"] {
        pause();
        SENDER.say("\n1) Turn ON Light\n2)Turn OFF Light\n3)Exit");
        SENDER.say(&format!("Enter your option :{typed}"));
        match typed {
            "1" => sender.publish(PUB_TOPIC, "light_on")?,
            "2" => sender.publish(PUB_TOPIC, "light_off")?,
            _ => break,
        };
        handled
            .recv_timeout(PATIENCE)
            .map_err(|_| "the message did not arrive")?;
    }
    sender.disconnect()?;
    sender.loop_stop()?;
    receiver.disconnect()?;
    receiver.loop_stop()?;
    broker.wait_for(PATIENCE, |broker| broker.connected_clients().is_empty())
}

/// The receiver of tutorial 0; `done` hears of each command that it has carried out.
fn receive(broker: &Broker, done: Sender<()>) -> mqtt::Result<mqtt::Client> {
    let (commands, queue) = unbounded();
    let mqtt_client = mqtt::Client::builder("received_data123")
        .clean_session(true)
        .build();
    mqtt_client.on_connect(|_, _, _, _| RECEIVER.say("[ info ] connected"));
    mqtt_client.on_message(move |_, message| {
        let cmd = message.payload.decode()?;
        RECEIVER.say(&format!("[ message ]  {cmd}"));
        commands.send(cmd.to_owned()).map_err(mqtt::Error::other)
    });
    mqtt_client.connect(broker)?;
    mqtt_client.subscribe(PUB_TOPIC)?;
    mqtt_client.loop_start()?;
    thread::spawn(move || {
        for cmd in queue {
            RECEIVER.say(&format!("CMD : {cmd}"));
            if cmd == "light_on" {
                RECEIVER.say("light is on");
            }
            if done.send(()).is_err() {
                return;
            }
        }
    });
    Ok(mqtt_client)
}
