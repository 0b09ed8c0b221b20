//! Stops a demo and removes what it made; the sample repository and the logs stay.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{stack::VOLUME_PREFIX, state::State};
use crate::{
    images::{client::Docker, engine},
    paths::Paths,
};

/// The stack stops jobs and its database first; it is told to give jobs ten seconds for that.
const GRACE: Duration = Duration::from_secs(60);

/// Stops a demo that was kept.
pub fn main(paths: &Paths) -> Result<()> {
    let _lock = paths.lock("demo")?;
    match State::load(paths)? {
        None => eprintln!("no demo is running"),
        Some(state) => {
            eprintln!("stopping the demo");
            stop(paths, &state)?;
            eprintln!("stopped");
        }
    }
    Ok(())
}

/// Sees to it that no other demo is in the way: stops what an interrupted one left behind, and refuses to disturb a kept one.
pub fn make_way(paths: &Paths) -> Result<()> {
    let Some(state) = State::load(paths)? else { return Ok(()) };
    if state.kept && state.alive() {
        bail!("a demo is running already: stop it with `cargo xtask demo --stop`");
    }
    eprintln!("removing what an earlier demo left behind");
    stop(paths, &state)
}

/// Stops everything, the last started first, and goes on where a part fails: the rest must stop all the same.
pub fn stop(paths: &Paths, state: &State) -> Result<()> {
    for service in state.services.iter().rev() {
        if !service.stop(GRACE) {
            eprintln!("{} did not stop in {} s and was killed", service.name, GRACE.as_secs());
            state.folder.iter().for_each(|folder| stop_postgres(folder));
        }
    }
    let mut left = Vec::new();
    if state.docker {
        match Docker::find().and_then(|docker| remove_volumes(&docker).map(|()| docker)) {
            Ok(docker) => state.engine.iter().for_each(|service| engine::stop(&docker, service)),
            Err(error) => left.push(format!("{error:#}")),
        }
    }
    if let Some(folder) = state.folder.as_ref().filter(|folder| folder.exists())
        && let Err(error) = fs::remove_dir_all(folder)
    {
        left.push(format!("{}: {error}", folder.display()));
    }
    State::forget(paths)?;
    if !left.is_empty() {
        bail!("the demo is stopped, but this is left to remove by hand: {}", left.join("; "));
    }
    Ok(())
}

/// Removes the demo's volumes, and the containers that still use them. No other volume bears the prefix.
fn remove_volumes(docker: &Docker) -> Result<()> {
    let filter = format!("name={VOLUME_PREFIX}");
    let volumes = docker.cmd(["volume", "ls", "--quiet", "--filter", &filter]).output()?;
    for volume in volumes.lines().filter(|volume| volume.starts_with(VOLUME_PREFIX)) {
        let users = docker
            .cmd(["ps", "--all", "--quiet", "--filter", &format!("volume={volume}")])
            .output()?;
        for container in users.lines() {
            docker.cmd(["rm", "--force", container]).output()?;
        }
        docker.cmd(["volume", "rm", volume]).output()?;
    }
    Ok(())
}

/// A stack that had to be killed leaves its database running: tells it to stop at once.
fn stop_postgres(folder: &Path) {
    for file in postmaster_files(folder, 4) {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(pid) = text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .and_then(Pid::from_raw)
        {
            eprintln!("stopping its database");
            // Gone already is what was wanted.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

fn postmaster_files(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        if path.file_name().is_some_and(|name| name == "postmaster.pid") {
            found.push(path);
        } else if depth > 0 && path.is_dir() && !path.is_symlink() {
            found.extend(postmaster_files(&path, depth - 1));
        }
    }
    found
}
