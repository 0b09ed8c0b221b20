//! The Docker engine: used when it answers, started in the background when it is installed and this is root.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::client::Docker;
use crate::{
    command::Cmd,
    install,
    paths::{Paths, is_root},
    service::{self, Service},
};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// An engine that answers.
#[derive(Debug)]
pub struct Engine {
    /// A client of it.
    pub docker: Docker,
    /// The engine's own process, when it was started here.
    pub started: Option<Service>,
}

/// The engine, started if need be.
pub fn ensure(paths: &Paths) -> Result<Engine> {
    let docker = Docker::find()?;
    if let Some(version) = docker.engine_version() {
        eprintln!("Docker engine {version} answers");
        return Ok(Engine { docker, started: None });
    }
    // Two at once would start it twice.
    let _lock = paths.lock("engine")?;
    if docker.engine_version().is_some() {
        return Ok(Engine { docker, started: None });
    }
    let started = start(&docker, paths)?;
    Ok(Engine { docker, started })
}

/// Stops an engine that was started here, unless somebody else's containers run in it by now.
pub fn stop(docker: &Docker, engine: &Service) {
    match docker.cmd(["ps", "--quiet"]).limit(STOP).output() {
        Ok(running) if !running.is_empty() => eprintln!("the Docker engine stays up: other containers run in it"),
        _ => {
            eprintln!("stopping the Docker engine");
            engine.stop(STOP);
        }
    }
}

/// `None` when the system's service manager looks after it.
fn start(docker: &Docker, paths: &Paths) -> Result<Option<Service>> {
    if std::env::var_os("DOCKER_HOST").is_some() {
        bail!("the Docker engine at DOCKER_HOST does not answer: start it, or unset DOCKER_HOST");
    }
    let Some(dockerd) = install::on_path("dockerd") else {
        bail!("no Docker engine answers, and dockerd is not installed: install docker.io")
    };
    if !is_root() {
        bail!("the Docker engine does not answer: start it (`sudo systemctl start docker`), and see that you may use it (group docker)");
    }
    if Path::new("/run/systemd/system").exists() {
        eprintln!("starting the Docker engine's service");
        Cmd::new("systemctl").args(["start", "docker"]).output()?;
        return Ok(None);
    }
    let log = paths.cache.join("dockerd.log");
    eprintln!("starting the Docker engine in the background (log: {})", log.display());
    let begun = Instant::now();
    let (service, mut child) = service::start("dockerd", Cmd::new(dockerd), &log)?;
    let ready = service.await_ready(&mut child, START, || docker.engine_version());
    match ready {
        Ok(version) => {
            eprintln!("Docker engine {version} answers after {:.1} s", begun.elapsed().as_secs_f64());
            Ok(Some(service))
        }
        Err(error) => {
            service.stop(STOP);
            // Collects the process, so that it doesn't stay as a zombie.
            child.wait()?;
            bail!("the Docker engine could not start{}: {error:#}", likely_cause());
        }
    }
}

/// What stops an engine most often where one program is started by hand.
fn likely_cause() -> &'static str {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounts
        .lines()
        .any(|mount| mount.split(' ').nth(2).is_some_and(|kind| kind.starts_with("cgroup")))
    {
        " (its log says why)"
    } else {
        " (no cgroups are mounted, as in a chroot or an unprivileged container, where it can't run; jobs can run as local processes: `--engine process`)"
    }
}
