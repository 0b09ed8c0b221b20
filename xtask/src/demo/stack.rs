//! The stack: server, workers and embedded Postgres in one process, `moorline dev`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{environment::clean, session::Session};
use crate::{
    checksum,
    command::Cmd,
    install::codex::Codex,
    paths::{Paths, open_to_all},
};

/// Begins the names of the demo's auth volumes. A user's own begin otherwise, and are never touched.
pub const VOLUME_PREFIX: &str = "moorline_demo_auth_";

const START: Duration = Duration::from_secs(120);

/// What the stack is started with.
#[derive(Debug)]
pub struct Setup<'a> {
    /// `docker` or `process`.
    pub engine: &'a str,
    /// The job image, with Docker.
    pub image: Option<&'a str>,
    /// The Codex CLI that local processes run.
    pub codex: &'a Codex,
    /// The Spec Kit CLI of local processes.
    pub speckit: &'a Path,
    /// Where Codex finds the model.
    pub model: &'a str,
    /// The demo's folder.
    pub folder: &'a Path,
    /// Folder for logs.
    pub logs: &'a Path,
}

/// Folder of the demo's logs.
pub fn logs(paths: &Paths) -> PathBuf {
    paths.output.join("demo")
}

/// Starts the stack; returns the server's endpoint once all workers are welcomed.
pub fn start(session: &mut Session<'_>, paths: &Paths, setup: &Setup<'_>) -> Result<String> {
    let (data, work, ready) = (setup.folder.join("data"), setup.folder.join("work"), setup.folder.join("dev.ready"));
    fs::create_dir(&work)?;
    open_to_all(&work)?;
    let mut command = clean(Cmd::new(program(paths)))
        .args([
            "dev",
            "--grace",
            "10s",
            "--shards",
            "3",
            "--listen",
            "127.0.0.1:0",
            "--engine",
            setup.engine,
            "--volume-prefix",
            VOLUME_PREFIX,
        ])
        .arg("--data-dir")
        .arg(&data)
        .arg("--ready-file")
        .arg(&ready)
        .arg("--api-key-stdin")
        .env("MOORLINE_WORK_ROOT", &work)
        .env("MOORLINE_CODEX_CONFIG", format!("openai_base_url={:?}", setup.model))
        // The sample's origin is a folder of this machine.
        .env("MOORLINE_GIT_PROTOCOLS", "https:ssh:file")
        .stdin(key(setup.folder)?);
    command = match setup.image {
        Some(image) => command.args(["--job-image", image]),
        // Paths of this machine; in the image the programs are on the path.
        None => command
            .arg("--codex-program")
            .arg(&setup.codex.program)
            .env("MOORLINE_SPECKIT_PROGRAM", setup.speckit),
    };
    session.start("moorline dev", command, &setup.logs.join("moorline-dev.log"), START, || {
        endpoint(&ready)
    })
}

/// The CLI's program.
pub fn program(paths: &Paths) -> PathBuf {
    paths.programs.join("moorline")
}

/// A key that only the scripted model would take, in a file to be read as standard input.
fn key(folder: &Path) -> Result<fs::File> {
    let key = format!("sk-demo-{}", &checksum::of_texts([&*folder.to_string_lossy()])[..32]);
    let mut file = tempfile::tempfile()?;
    writeln!(file, "{key}")?;
    std::io::Seek::rewind(&mut file).context("could not hand the key over")?;
    Ok(file)
}

fn endpoint(ready: &Path) -> Option<String> {
    let said: Value = serde_json::from_str(&fs::read_to_string(ready).ok()?).ok()?;
    said["endpoint"].as_str().map(str::to_owned)
}
