//! A demo while it runs: what it has started is noted at once, and stopped when it ends, however it ends.

use std::{
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use anyhow::Result;

use super::{state::State, stop};
use crate::{
    command::Cmd,
    paths::{Paths, open_to_all},
    service::{self, Service},
};

/// A demo while it runs.
#[derive(Debug)]
pub struct Session<'a> {
    paths: &'a Paths,
    state: State,
    children: Vec<Child>,
}

impl<'a> Session<'a> {
    /// Begins with nothing started.
    pub fn begin(paths: &'a Paths) -> Self {
        Self {
            paths,
            state: State::default(),
            children: Vec::new(),
        }
    }

    /// Notes that Docker is used, and its engine's process if that was started for the demo.
    pub fn uses_docker(&mut self, engine: Option<Service>) -> Result<()> {
        self.state.docker = true;
        self.state.engine = engine;
        self.state.save(self.paths)
    }

    /// A folder for data, which Postgres' and the jobs' users can enter. Short, since the path of a Unix socket is at most
    /// 107 bytes, and not in `/tmp`, where Codex declines some of its services.
    pub fn folder(&mut self) -> Result<PathBuf> {
        let base = Path::new("/var/tmp");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("moorline-demo-").tempdir_in(base)?.keep();
        self.state.folder = Some(folder.clone());
        self.state.save(self.paths)?;
        open_to_all(&folder)?;
        Ok(folder)
    }

    /// Starts a program and waits until it is ready.
    pub fn start<T>(&mut self, name: &str, command: Cmd, log: &Path, limit: Duration, ready: impl Fn() -> Option<T>) -> Result<T> {
        let (service, mut child) = service::start(name, command, log)?;
        self.state.services.push(service.clone());
        self.state.save(self.paths)?;
        let found = service.await_ready(&mut child, limit, ready);
        self.children.push(child);
        found
    }

    /// Leaves everything running.
    pub fn keep(mut self) -> Result<()> {
        self.state.kept = true;
        self.state.save(self.paths)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.state.kept {
            return;
        }
        eprintln!("\nstopping what the demo has started");
        if let Err(error) = stop::stop(self.paths, &self.state) {
            eprintln!("{error:#}");
        }
        for child in &mut self.children {
            // Only collects it: it has been stopped.
            let _ = child.try_wait();
        }
    }
}
