//! Builds mosquitto, once per target directory, from the C source that the package `libmosquitto-sys` carries.
//!
//! The package is used for nothing else; its own build script builds only the client library. The pinned version fixes
//! the layout of the folder. The result has no TLS and no WebSocket, and is a 2021 source: for tests on loopback only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The broker's path; builds it if it is not there yet.
pub fn mosquitto() -> Result<PathBuf, String> {
    let finished = folder()?.join(NAME);
    if finished.exists() {
        return Ok(finished);
    }
    // Test programs run in parallel: each builds under a name of its own, and whoever is last wins with the same file.
    let unfinished = folder()?.join(format!("{NAME}.{}", std::process::id()));
    compile(&source()?, &unfinished)?;
    fs::rename(&unfinished, &finished).map_err(|error| format!("cannot rename {unfinished:?}: {error}"))?;
    Ok(finished)
}

/// Whether a program is the one that is built here.
pub fn is(program: &Path) -> bool {
    program.ends_with(NAME)
}

/// Where the broker is built: beside the test programs, so that it goes when the target directory goes.
fn folder() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let folder = program
        .parent()
        .ok_or("the test program has no folder")?
        .join("mosquitto-build");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {folder:?}: {error}"))?;
    Ok(folder)
}

/// The folder of mosquitto's source.
///
/// Cargo names it when it builds the package, which it has done before these tests. (`cargo metadata` would want every
/// package of the workspace, also those that were not needed and never downloaded.)
fn source() -> Result<PathBuf, String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let messages = run(Command::new(cargo)
        .args([
            "build",
            "--package",
            "libmosquitto-sys",
            "--message-format",
            "json",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR")))?;
    let manifest = messages
        .lines()
        .filter(|line| line.contains("libmosquitto-sys"))
        .find_map(|line| line.split_once(r#""manifest_path":""#)?.1.split_once('"'))
        .map(|(path, _)| path.replace(r"\\", r"\"))
        .ok_or("cargo did not say where libmosquitto-sys is")?;
    Ok(Path::new(&manifest).with_file_name("mosquitto"))
}

fn compile(source: &Path, output: &Path) -> Result<(), String> {
    let mut files = c_files(&source.join("src"))?;
    files.retain(|file| !["plugin_debug", "plugin_defer", "service", "websockets"].contains(&stem(file)));
    files.extend(
        c_files(&source.join("lib"))?
            .into_iter()
            .filter(|file| LIBRARY.contains(&stem(file))),
    );
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut command = Command::new(compiler);
    command
        .current_dir(source)
        .args(["-O1", "-w", "-rdynamic", "-DVERSION=\"2.0.9\""]);
    command.args(DEFINES.iter().map(|name| format!("-D{name}")));
    if cfg!(target_os = "linux") {
        command.arg("-DWITH_EPOLL");
    }
    command
        .args(["-I.", "-Iinclude", "-Ilib", "-Ideps", "-Isrc"])
        .args(files);
    command.args(["-lm", "-ldl", "-lpthread", "-o"]).arg(output);
    run(&mut command).map(drop)
}

fn c_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {folder:?}: {error}"))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    files.sort();
    Ok(files)
}

fn stem(file: &Path) -> &str {
    file.file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default()
}

/// Runs a command and returns its output; an error tells what it was and what it said.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "{:?} ended with {}: {said}",
        command.get_program(),
        output.status
    ))
}

/// What the broker's file is called.
const NAME: &str = "mosquitto-2.0.9";

/// What the broker is built with.
const DEFINES: [&str; 8] = [
    "WITH_BROKER",
    "WITH_BRIDGE",
    "WITH_SYS_TREE",
    "WITH_PERSISTENCE",
    "WITH_MEMORY_TRACKING",
    "WITH_UNIX_SOCKETS",
    "WITH_CONTROL",
    "HAVE_PTHREAD",
];

/// The files of the client library that the broker shares.
const LIBRARY: [&str; 27] = [
    "alias_mosq",
    "handle_ping",
    "handle_pubackcomp",
    "handle_pubrec",
    "handle_pubrel",
    "handle_suback",
    "handle_unsuback",
    "memory_mosq",
    "misc_mosq",
    "net_mosq",
    "net_mosq_ocsp",
    "packet_datatypes",
    "packet_mosq",
    "property_mosq",
    "send_connect",
    "send_disconnect",
    "send_mosq",
    "send_publish",
    "send_subscribe",
    "send_unsubscribe",
    "strings_mosq",
    "time_mosq",
    "tls_mosq",
    "utf8_mosq",
    "util_mosq",
    "util_topic",
    "will_mosq",
];
