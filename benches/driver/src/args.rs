//! The command line: a job, and `--key value` in any order.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

/// What is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Publish,
    Subscribe,
    RoundTrip,
    Connect,
    Idle,
}

/// The arguments, with the defaults of the benchmark.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) job: Job,
    /// The name in the report.
    pub(crate) peer: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Messages, trips or connections.
    pub(crate) n: u64,
    /// Payload bytes.
    pub(crate) size: usize,
    pub(crate) qos: u8,
    pub(crate) threads: u64,
    /// Messages of QoS 1 and 2 in flight; 0: the client's default.
    pub(crate) inflight: u16,
    /// How long `idle` looks.
    pub(crate) seconds: Duration,
    pub(crate) clients: usize,
    pub(crate) timeout: Duration,
    /// In `conn` and `rtt` the calls drive; no loop is started.
    pub(crate) calls_drive: bool,
}

impl Job {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "pub",
            Self::Subscribe => "sub",
            Self::RoundTrip => "rtt",
            Self::Connect => "conn",
            Self::Idle => "idle",
        }
    }
}

impl FromStr for Job {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let jobs = [
            Self::Publish,
            Self::Subscribe,
            Self::RoundTrip,
            Self::Connect,
            Self::Idle,
        ];
        let job = jobs.into_iter().find(|job| job.name() == name);
        job.ok_or_else(|| format!("no such job: {name}"))
    }
}

impl Args {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        Self::read(Parser::from_env())
    }

    fn read(mut parser: Parser) -> Result<Self, lexopt::Error> {
        let mut args = Self {
            job: Job::Idle,
            peer: "callmq".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 1883,
            n: 100_000,
            size: 64,
            qos: 0,
            threads: 1,
            inflight: 0,
            seconds: Duration::from_secs(10),
            clients: 200,
            timeout: Duration::from_secs(60),
            calls_drive: false,
        };
        let mut job = None;
        while let Some(arg) = parser.next()? {
            let Arg::Long(key) = arg else {
                match arg {
                    Arg::Value(name) if job.is_none() => job = Some(name.parse()?),
                    other => return Err(other.unexpected()),
                }
                continue;
            };
            let key = key.to_owned();
            let value = parser.value()?;
            match key.as_str() {
                "peer" => args.peer = value.string()?,
                "host" => args.host = value.string()?,
                "port" => args.port = value.parse()?,
                "n" => args.n = value.parse()?,
                "size" => args.size = value.parse()?,
                "qos" => args.qos = value.parse()?,
                "threads" => args.threads = value.parse()?,
                "inflight" => args.inflight = value.parse()?,
                "secs" => args.seconds = seconds(value)?,
                "clients" => args.clients = value.parse()?,
                "timeout" => args.timeout = seconds(value)?,
                "loop" => args.calls_drive = value == "caller",
                // Meant for drivers of other clients.
                _ => {}
            }
        }
        args.job = job.ok_or("the job is missing: pub, sub, rtt, conn or idle")?;
        Ok(args)
    }
}

fn seconds(value: OsString) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = value.parse()?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, lexopt::Error> {
        Args::read(Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn keys_come_in_any_order_and_unknown_ones_are_ignored() {
        let args = read("pub --qos 2 --secs 0.5 --unknown 7 --n 12 --port 23001").unwrap();
        assert_eq!(
            (args.job, args.qos, args.n, args.port),
            (Job::Publish, 2, 12, 23001)
        );
        assert_eq!(args.seconds, Duration::from_millis(500));
        assert_eq!((args.threads, args.inflight, args.clients), (1, 0, 200));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "",
            "nothing",
            "pub --n",
            "pub --n many",
            "pub sub",
            "idle --secs -1",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
