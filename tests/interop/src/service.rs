//! A broker that runs as a group of processes: started, watched until it serves, and ended with all that it has started.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::log::Log;

/// How long a broker may take until it serves; the slowest need a quarter of that.
const START: Duration = Duration::from_secs(60);

/// What a broker is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What its log says as soon as it serves.
    pub(crate) ready: &'static str,
    /// How many servers it is, each of which says so.
    pub(crate) servers: usize,
}

/// Why there is no broker.
#[derive(Debug)]
pub(crate) enum Failure {
    NotInstalled(String),
    NotStarted(String),
}

/// A running broker with a folder of its own. When the value is dropped, both are gone.
#[derive(Debug)]
pub(crate) struct Service {
    folder: PathBuf,
    start: Start,
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
    log: Arc<Log>,
}

impl Service {
    /// Makes a folder, lets `prepare` put the configuration there and say what to run, and waits until it serves.
    pub(crate) fn start(
        name: &str,
        prepare: impl FnOnce(&Path) -> Result<Start, String>,
    ) -> Result<Self, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("callmq-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let start = match prepare(&folder) {
            Ok(start) => start,
            Err(what) => {
                let _ = fs::remove_dir_all(&folder);
                return Err(Failure::NotInstalled(what));
            }
        };
        let mut service = Self {
            folder,
            start,
            child: None,
            reader: None,
            log: Arc::default(),
        };
        service.launch().map_err(Failure::NotStarted)?;
        Ok(service)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Runs the program in a process group of its own, under a shell that kills the group when the program ends, and
    /// when the shell's input does: however this process ends, nothing that the broker has started stays behind.
    fn launch(&mut self) -> Result<(), String> {
        const WATCH: &str = r#"{ "$@" </dev/null 2>&1; kill -KILL 0; } & cat >/dev/null; kill -KILL 0"#;
        let start = &self.start;
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCH, "sh"])
            .arg(&start.program)
            .args(&start.arguments)
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        in_own_group(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start a shell: {error}"))?;
        let output = child.stdout.take().expect("stdout is a pipe");
        self.child = Some(child);
        let log = Arc::clone(&self.log);
        let from = log.open();
        self.reader = Some(thread::spawn(move || log.read(output)));
        let is_ready = |lines: &[String]| {
            let ready = lines[from..].iter().filter(|line| line.contains(start.ready));
            ready.count() >= start.servers
        };
        if self.log.wait(START, is_ready) {
            return Ok(());
        }
        Err(format!("{} said:\n{}", start.program.display(), self.log.text()))
    }

    /// Ends the broker with SIGKILL, as a power cut would. What it has stored stays.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
        // The output ends when the last process of the group has.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// Starts the broker again, with what it had stored, and waits until it serves.
    ///
    /// # Panics
    ///
    /// When it does not start, with what it said.
    pub(crate) fn restart(&mut self) {
        // Somebody else may have one of its ports for a moment.
        let deadline = Instant::now() + START;
        loop {
            self.kill();
            match self.launch() {
                Ok(()) => return,
                Err(said) => assert!(Instant::now() < deadline, "{said}"),
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(unix)]
fn in_own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn in_own_group(_: &mut Command) {}

/// Finds a program on the PATH, or in one of these folders, where packages put what is not for every user.
pub(crate) fn program(name: &str, folders: &[&str]) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(folders.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("there is no {name} on the PATH"))
}

/// Writes a file into the broker's folder, and returns its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Service, Failure> {
        Service::start("shell", |_| {
            Ok(Start {
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), script.into()],
                environment: Vec::new(),
                ready: "serving",
                servers: 1,
            })
        })
    }

    #[test]
    fn a_broker_ends_with_all_that_it_has_started() {
        let service = shell("sleep 1000 & echo $!; echo serving; wait").unwrap();
        let text = service.log().text();
        let sleeper = text.lines().next().unwrap().to_owned();
        let lives = || {
            // The shell's own: not every system has a program for it.
            let asked = Command::new("sh")
                .args(["-c", "kill -0 \"$0\"", &sleeper])
                .stderr(Stdio::null())
                .status();
            asked.unwrap().success()
        };
        assert!(lives(), "{text}");
        let folder = service.folder.clone();
        assert!(folder.is_dir());
        drop(service);
        // What was killed is gone as soon as somebody has taken note of its end.
        let deadline = Instant::now() + Duration::from_secs(10);
        while lives() {
            assert!(Instant::now() < deadline, "{sleeper} is still there");
        }
        assert!(!folder.exists());
    }

    #[test]
    fn a_broker_that_is_killed_comes_back_to_its_folder() {
        let mut service = shell("cat kept; echo was here >>kept; echo serving; exec sleep 1000").unwrap();
        assert!(!service.log().text().contains("was here"));
        service.kill();
        service.restart();
        assert!(service.log().text().contains("was here"));
    }

    #[test]
    fn a_broker_that_ends_is_reported_with_what_it_said() {
        let Err(Failure::NotStarted(said)) = shell("echo no port >&2; exit 1") else {
            panic!("it serves");
        };
        assert!(said.contains("no port"), "{said}");
    }
}
