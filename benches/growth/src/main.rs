//! Measures how time and memory grow with what the client is asked to do, and draws it.
//!
//! `cargo run --release --package callmq-growth` measures all curves against a peer that it starts itself, writes
//! `docs/growth/growth.csv` and draws the plots beside it.
//!
//! | option | meaning |
//! |---|---|
//! | `--only CURVE` | this curve alone: size, window, threads, clients, filters, queued; the others stay as they are |
//! | `--rounds N` | how often each point is measured, all of them in turn; 5 |
//! | `--time SECONDS` | how long a time is measured at least; 0.3 |
//! | `--folder PATH` | where the files are, `docs/growth` |
//! | `--draw` | measures nothing, draws what is in the data file |
//!
//! Each point is measured in a process of its own, the peer is another one. A thousand clients take 3000 files: see
//! `ulimit -n`.

mod chart;
mod curves;
mod data;
mod measure;

use std::alloc::System;
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use bench_peer::{PROCESS_ARGUMENT, Peer};
use lexopt::{Arg, Parser, ValueExt};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use curves::{CURVES, Sample};
use measure::Bench;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The first argument of the process that measures a point. Behind it: the curve, x, the peer's port, seconds.
const POINT_ARGUMENT: &str = "point";

struct Options {
    only: Option<String>,
    rounds: u32,
    seconds: f64,
    folder: PathBuf,
    draw: bool,
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [PROCESS_ARGUMENT] => Peer::run(Ok).map_err(|error| error.to_string()),
        [POINT_ARGUMENT, curve, x, port, seconds] => measure_point(curve, x, port, seconds),
        _ => measure_all(),
    };
    if let Err(error) = done {
        eprintln!("callmq-growth: {error}");
        process::exit(1);
    }
}

fn measure_all() -> Result<(), String> {
    let options = Options::parse().map_err(|error| error.to_string())?;
    fs::create_dir_all(&options.folder).map_err(|error| error.to_string())?;
    let file = options.folder.join("growth.csv");
    if !options.draw {
        let peer = Peer::start(&[]).map_err(|error| format!("the peer does not start: {error}"))?;
        let mut samples = Vec::new();
        for round in 1..=options.rounds {
            for curve in CURVES {
                if options.only.as_ref().is_some_and(|only| only != curve.name) {
                    continue;
                }
                for &x in curve.points {
                    println!("round {round}, {} {x}", curve.name);
                    samples.extend(samples_at(curve.name, x, peer.port(), options.seconds)?);
                }
            }
        }
        data::write(&file, data::points(&samples))?;
    }
    let points = data::read(&file)?;
    for plot in data::plots() {
        let points: Vec<_> = points.iter().filter(|point| point.plot == plot.name).collect();
        if !points.is_empty() {
            let file = options.folder.join(format!("{}.svg", plot.name));
            fs::write(&file, chart::draw(plot, &points)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Lets another process measure.
fn samples_at(curve: &str, x: u64, port: u16, seconds: f64) -> Result<Vec<Sample>, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args([
            POINT_ARGUMENT,
            curve,
            &x.to_string(),
            &port.to_string(),
            &seconds.to_string(),
        ])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{curve} {x}: {}", error.trim()));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let samples = lines.lines().filter_map(|line| {
        let mut words = line.split(',');
        Some(Sample {
            plot: words.next()?.to_owned(),
            line: words.next()?.to_owned(),
            x,
            y: words.next()?.parse().ok()?,
        })
    });
    Ok(samples
        .inspect(|sample| println!("    {}: {:.1}", sample.line, sample.y))
        .collect())
}

fn measure_point(curve: &str, x: &str, port: &str, seconds: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("not a number: {text}"));
    let bench = Bench {
        port: number(port)? as u16,
        time: Duration::from_secs_f64(number(seconds)?),
    };
    let values = bench
        .measure(curve, number(x)? as u64)
        .map_err(|error| error.to_string())?;
    for (plot, line, y) in values {
        println!("{plot},{line},{y}");
    }
    Ok(())
}

impl Options {
    fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            only: None,
            rounds: 5,
            seconds: 0.3,
            folder: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/growth")),
            draw: false,
        };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("only") => options.only = Some(parser.value()?.string()?),
                Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
                Arg::Long("time") => options.seconds = parser.value()?.parse()?,
                Arg::Long("folder") => options.folder = parser.value()?.into(),
                Arg::Long("draw") => options.draw = true,
                other => return Err(other.unexpected()),
            }
        }
        let known = |only: &String| CURVES.iter().any(|curve| curve.name == only.as_str());
        if options.only.as_ref().is_some_and(|only| !known(only)) {
            return Err("no such curve".into());
        }
        Ok(options)
    }
}
