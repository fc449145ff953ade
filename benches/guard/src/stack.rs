//! How deep the stack of an idle client's loop thread has become. What it has once used stays resident, by whole pages,
//! for as long as the client lives: one frame too large on the loop's way costs each client 4 KiB. A client that subscribes
//! goes deeper than one that only connects.
//!
//! Eight clients connect to a broker, over sockets. When all of their loops sleep, `/proc` tells where their stacks are,
//! and the lowest byte that is not zero how deep each has been. Bytes, not resident pages: the count of those stays the
//! same until the last one is full, and with optimisation across crates that is not the same page. The least of the eight
//! counts: what comes by chance, as a signal does, only adds to it.
//!
//! What any thread has there is taken off: some 5 KiB of glibc and the standard library, other ones on other machines. Each
//! kind of client has a process of its own: a thread may get the stack of one that has ended, with what that has written.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use callmq::client::Client;
use callmq::error::Error;
use callmq::testing::Broker;

use crate::count::number_behind;

/// What the clients have done before they are idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    Connected,
    /// In `on_connect`, as most programs do.
    Subscribed,
}

/// All of them.
pub(crate) const IDLE: [Idle; 2] = [Idle::Connected, Idle::Subscribed];

impl Idle {
    /// As it stands in the table of bounds.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connected => "stack-connected",
            Self::Subscribed => "stack-subscribed",
        }
    }
}

const CLIENTS: usize = 8;

/// How the names of the loop threads begin, which are made from the client ids.
const LOOPS: &str = "callmq-idle-";

/// The name of a thread that does nothing.
const BARE: &str = "bare";

/// For a busy machine. It is shorter than the keep alive, so that no ping becomes due.
const DEADLINE: Duration = Duration::from_secs(30);

/// The system calls that a loop and a parked thread sleep in, by their numbers on x86_64.
const EPOLL_WAIT: &str = "232";
const FUTEX: &str = "202";

pub(crate) enum Stack {
    /// So many bytes more than any thread has.
    Depth(u64),
    /// For this reason.
    NotMeasured(String),
}

/// Measures in a process of its own.
pub(crate) fn measure(idle: Idle) -> Result<Stack, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new(program).args(["stack", idle.name()]).output();
    let run = run.map_err(|error| format!("{} does not start: {error}", idle.name()))?;
    let output = String::from_utf8_lossy(&run.stdout);
    if let Some((_, reason)) = output.split_once("not measured: ") {
        return Ok(Stack::NotMeasured(reason.trim().to_owned()));
    }
    number_behind(&output, "depth:").map(Stack::Depth).ok_or_else(|| {
        let report = String::from_utf8_lossy(&run.stderr);
        format!("{} does not run: {}\n{output}{report}", idle.name(), run.status)
    })
}

/// That process.
pub(crate) fn run(name: &str) -> Result<(), String> {
    let idle = IDLE.into_iter().find(|idle| idle.name() == name);
    let idle = idle.ok_or_else(|| format!("no such kind of client: {name}"))?;
    if !cfg!(all(
        target_arch = "x86_64",
        target_os = "linux",
        target_env = "gnu"
    )) {
        println!("not measured: this is not x86_64 Linux with glibc");
        return Ok(());
    }
    let parked = thread::Builder::new().name(BARE.to_owned());
    let parked = parked.spawn(|| {
        loop {
            thread::park();
        }
    });
    parked.map_err(|error| error.to_string())?;
    let failed = |error| format!("an idle client: {error}");
    let broker = Broker::listen("127.0.0.1:0").map_err(failed)?;
    let clients = (1..=CLIENTS).map(|number| client(&broker, number, idle));
    // They stay connected until everything is read.
    let _clients: Vec<Client> = clients.collect::<Result<_, _>>().map_err(failed)?;
    let depths = depths(LOOPS, EPOLL_WAIT, CLIENTS).and_then(|loops| Ok((loops, depths(BARE, FUTEX, 1)?)));
    match depths {
        Ok((Some(loops), Some(bare))) => println!("depth: {}", loops.saturating_sub(bare)),
        Ok(_) => return Err("idle threads do not come to sleep".to_owned()),
        Err(error) => println!("not measured: /proc/self is not to be read: {error}"),
    }
    Ok(())
}

/// The least depth of so many threads of a name, once all of them sleep in a system call. `None` if they do not.
fn depths(name: &str, call: &str, count: usize) -> io::Result<Option<u64>> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        let depths = sleeping(name, call)?;
        if depths.len() == count {
            return Ok(depths.into_iter().min());
        }
        thread::yield_now();
    }
    Ok(None)
}

/// A client whose loop is idle when it sleeps next.
fn client(broker: &Broker, number: usize, idle: Idle) -> callmq::Result<Client> {
    let client = Client::new(format!("idle-{number}"));
    let (sender, subscribed) = mpsc::channel();
    match idle {
        Idle::Connected => client.on_connect(|_, _, _, _| ()),
        Idle::Subscribed => client
            .on_connect(|client, _, _, _| client.subscribe("a/b").map(drop))
            .on_subscribe(move |_, _, _, _| sender.send(()).map_err(Error::other)),
    };
    client.connect(("127.0.0.1", broker.port()))?;
    client.loop_start()?;
    client.wait_for_connect(DEADLINE)?;
    if idle == Idle::Subscribed {
        subscribed.recv_timeout(DEADLINE).map_err(|_| Error::Timeout)?;
    }
    Ok(client)
}

/// For each thread of a name that sleeps in a system call, how deep its stack has been.
fn sleeping(name: &str, call: &str) -> io::Result<Vec<u64>> {
    let mut depths = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let Ok(its_name) = fs::read_to_string(task.join("comm")) else {
            // It has ended.
            continue;
        };
        if !its_name.starts_with(name) {
            continue;
        }
        if let Some(pointer) = stack_pointer(&fs::read_to_string(task.join("syscall"))?, call) {
            let stack = mapping_with(pointer, &fs::read_to_string("/proc/self/maps")?);
            depths.push(depth(stack.ok_or(ErrorKind::InvalidData)?)?);
        }
    }
    Ok(depths)
}

/// From the line of a thread that sleeps in a call: that, its six arguments, stack pointer and program counter.
fn stack_pointer(syscall: &str, call: &str) -> Option<u64> {
    let words: Vec<_> = syscall.split_whitespace().collect();
    match words[..] {
        [its_call, .., pointer, _] if its_call == call => address(pointer.strip_prefix("0x")?),
        _ => None,
    }
}

fn mapping_with(pointer: u64, maps: &str) -> Option<Range<u64>> {
    let mut ranges = maps.lines().filter_map(|line| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        Some(address(start)?..address(end)?)
    });
    ranges.find(|range| range.contains(&pointer))
}

/// How far below its end a stack has been written to.
fn depth(stack: Range<u64>) -> io::Result<u64> {
    let mut memory = File::open("/proc/self/mem")?;
    memory.seek(SeekFrom::Start(stack.start))?;
    let mut bytes = Vec::new();
    memory.take(stack.end - stack.start).read_to_end(&mut bytes)?;
    let unused = bytes.iter().take_while(|&&byte| byte == 0).count();
    Ok((bytes.len() - unused) as u64)
}

fn address(hexadecimal: &str) -> Option<u64> {
    u64::from_str_radix(hexadecimal, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_of_a_thread_that_sleeps_is_found() {
        let asleep = "232 0x5 0x7f20 0x400 0xffffffff 0x0 0x7f21 0x7f21feb2f2a8 0x7f21fea46b60\n";
        let pointer = stack_pointer(asleep, EPOLL_WAIT).unwrap();
        assert_eq!(pointer, 0x7f21_feb2_f2a8);
        let maps = "7f21fe92f000-7f21fe930000 ---p 00000000 00:00 0\n7f21fe930000-7f21feb30000 rw-p 00000000 00:00 0\n";
        assert_eq!(
            mapping_with(pointer, maps),
            Some(0x7f21_fe93_0000..0x7f21_feb3_0000)
        );
        for awake in ["running\n", &asleep.replacen("232", "202", 1)] {
            assert_eq!(stack_pointer(awake, EPOLL_WAIT), None, "{awake}");
        }
    }
}
