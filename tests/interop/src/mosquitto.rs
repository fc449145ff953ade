//! A mosquitto of one's own: on a free port, with a fresh configuration, its log at hand, gone when the value is dropped.
//!
//! The program is the one named by `CALLMQ_MOSQUITTO`, else `mosquitto` on the PATH, else `/usr/sbin/mosquitto` (where
//! Debian puts it, outside of most users' PATH), else one built from source ([`vendored`](crate::vendored)).
//! `CALLMQ_MOSQUITTO=build` asks for the last one at once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::broker::Broker;
use crate::log::Log;
use crate::vendored;

/// How long the broker may take to start.
const START: Duration = Duration::from_secs(10);

/// What a broker is started with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    lines: Vec<String>,
    password: bool,
    program: Option<PathBuf>,
}

impl Config {
    /// Adds a line to the configuration file.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Lets nobody in but the user [`USER`] with the password [`PASSWORD`].
    pub fn password(mut self) -> Self {
        self.password = true;
        self
    }

    /// Uses this program instead of the one that [`program`] finds.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Starts a broker.
    ///
    /// # Panics
    ///
    /// When there is none or it does not start: a test never passes because its broker was missing.
    pub fn start(self) -> Mosquitto {
        let program = self.program.clone().unwrap_or_else(|| program().to_path_buf());
        let mut failures = Vec::new();
        // Somebody else may take the port between our release and the broker's bind.
        for _ in 0..5 {
            let mut broker = Mosquitto::prepare(&self, &program);
            match broker.launch() {
                Ok(()) if self.password => return broker.with_readable_password(),
                Ok(()) => return broker,
                Err(error) => failures.push(error),
            }
        }
        panic!("mosquitto does not start:\n{}", failures.join("\n"));
    }
}

/// The user of [`Config::password`].
pub const USER: &str = "alice";
/// The password of [`USER`].
pub const PASSWORD: &str = "secret";
/// As `mosquitto_passwd` writes it.
const HASHED: &str = "$7$101$lF8MfhKTjhIYN2Wk$GskLGW+fu/5eyZsihm8gjiGmaus3h3ZyckdH\
    rqFmL9NafPYyXVgPkQToGB6IzUa7RgooiAviN64CahBWbxG2Bg==";

/// A running mosquitto.
#[derive(Debug)]
pub struct Mosquitto {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
    log: Arc<Log>,
}

impl Mosquitto {
    /// Starts a broker that lets everybody in.
    pub fn start() -> Self {
        Config::default().start()
    }

    fn prepare(config: &Config, program: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("callmq-mosquitto-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let port = free_port();
        let mut lines = vec![format!("listener {port} 127.0.0.1"), "log_timestamp false".into()];
        if runs_as_root(&folder) {
            // Otherwise it would become the user `mosquitto`, who may not read this folder.
            lines.push("user root".into());
        }
        if config.password {
            fs::write(folder.join("passwords"), format!("{USER}:{HASHED}\n")).unwrap();
            lines.push("allow_anonymous false".into());
            lines.push(format!("password_file {}", folder.join("passwords").display()));
        } else {
            lines.push("allow_anonymous true".into());
        }
        lines.push(format!("persistence_location {}/", folder.display()));
        lines.extend(config.lines.iter().cloned());
        fs::write(folder.join("mosquitto.conf"), lines.join("\n") + "\n").unwrap();
        let log = Arc::new(Log::default());
        Self {
            program: program.to_path_buf(),
            folder,
            port,
            child: None,
            reader: None,
            log,
        }
    }

    /// Starts the process and waits until it listens. It says `running` when it does; a connection to find out would
    /// leave its own lines in the log.
    fn launch(&mut self) -> Result<(), String> {
        let mut child = Command::new(&self.program)
            .arg("-v")
            .arg("-c")
            .arg(self.folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", self.program))?;
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let log = Arc::clone(&self.log);
        let from = log.open();
        self.reader = Some(std::thread::spawn(move || log.read(stderr)));
        self.child = Some(child);
        let started = |lines: &[String]| lines[from..].iter().any(|line| line.ends_with(" running"));
        if self.log.wait(START, started) {
            return Ok(());
        }
        self.kill();
        Err(format!(
            "{} did not start:\n{}",
            self.program.display(),
            self.log.text()
        ))
    }

    fn wait_for_end(&mut self, mut child: Child) {
        let _ = child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// Makes sure that [`USER`] is let in: a mosquitto without TLS cannot read a hashed password and wants it as plain text.
    fn with_readable_password(mut self) -> Self {
        if !self.accepts_password() {
            self.stop();
            fs::write(self.folder.join("passwords"), format!("{USER}:{PASSWORD}\n")).unwrap();
            self.launch().unwrap_or_else(|error| panic!("{error}"));
            assert!(
                self.accepts_password(),
                "mosquitto refuses the test's password:\n{}",
                self.log.text()
            );
        }
        self.wait_for_log("Client probe disconnected.");
        self.log.forget();
        self
    }

    /// Whether it lets [`USER`] in.
    fn accepts_password(&self) -> bool {
        let mut connect = b"\x10\x00\x00\x04MQTT\x04\xc2\x00\x3c\x00\x05probe".to_vec();
        for field in [USER, PASSWORD] {
            connect.extend([0, field.len() as u8]);
            connect.extend(field.as_bytes());
        }
        connect[1] = connect.len() as u8 - 2;
        let mut answer = [0; 4];
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(START)).unwrap();
        stream.write_all(&connect).unwrap();
        stream.read_exact(&mut answer).is_ok()
            && answer == [0x20, 2, 0, 0]
            && stream.write_all(&[0xe0, 0]).is_ok()
    }
}

impl Broker for Mosquitto {
    fn port(&self) -> u16 {
        self.port
    }

    fn lines(&self) -> &Log {
        &self.log
    }

    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The standard library can only kill; the shell has the signal that lets mosquitto put its things in order.
        let asked = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", child.id())])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = child.kill();
        }
        self.wait_for_end(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            self.wait_for_end(child);
        }
    }

    fn restart(&mut self) {
        self.stop();
        let deadline = Instant::now() + START;
        while let Err(error) = self.launch() {
            assert!(Instant::now() < deadline, "{error}");
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody uses at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[cfg(unix)]
fn runs_as_root(own_folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(own_folder).is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn runs_as_root(_: &Path) -> bool {
    false
}

/// The mosquitto that the tests run.
///
/// # Panics
///
/// When there is none and none can be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(|| find(env::var_os("CALLMQ_MOSQUITTO").map(PathBuf::from))) {
        Ok(path) => path,
        Err(error) => panic!("{error}"),
    }
}

fn find(named: Option<PathBuf>) -> Result<PathBuf, String> {
    match named {
        Some(path) if path == Path::new("build") => return vendored::mosquitto(),
        Some(path) if path.is_file() => return Ok(path),
        Some(path) => {
            return Err(format!(
                "CALLMQ_MOSQUITTO names {}, which is no file",
                path.display()
            ));
        }
        None => {}
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("mosquitto"));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => vendored::mosquitto().map_err(|error| {
            format!(
                "These tests need the broker mosquitto, and there is none on the PATH or in /usr/sbin. Install it \
                 (Debian: apt-get install mosquitto), name one in CALLMQ_MOSQUITTO, or install a C compiler, then it \
                 is built from source. That was tried and failed: {error}"
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_no_broker_is_reported_with_what_it_said() {
        let broker = std::panic::catch_unwind(|| Config::default().program("/bin/false".into()).start());
        let message = *broker.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("/bin/false did not start"), "{message}");
    }

    #[test]
    fn a_name_in_the_environment_that_is_no_file_is_not_passed_over() {
        let error = find(Some("/no/such/mosquitto".into())).unwrap_err();
        assert!(error.contains("/no/such/mosquitto"), "{error}");
    }
}
