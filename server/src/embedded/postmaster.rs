//! The Postgres process: a child of the server, in a process group of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::watch, time::timeout};

use super::{Error, Options, account::Account, binaries::Binaries, error::tail, orphan::IMMEDIATE};

/// A running postmaster.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    log: PathBuf,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    left_running: bool,
}

impl Postmaster {
    /// Starts it; it takes connections some time later.
    pub(super) fn spawn(
        data_dir: &Path,
        socket_dir: &Path,
        binaries: &Binaries,
        account: &Account,
        options: &Options,
    ) -> Result<Self, Error> {
        let log = data_dir.join("postgres.log");
        // One older log is kept. What Postgres logs here (see `settings`) grows by lines a day, not by statements.
        let _ = std::fs::rename(&log, data_dir.join("postgres.log.old"));
        let output = File::create(&log).map_err(Error::io("make the log", &log))?;
        let errors = output.try_clone().map_err(Error::io("open the log", &log))?;
        let mut command = account.command(binaries.dir.join("postgres"));
        command.arg("-D").arg(data_dir.join("cluster"));
        for setting in settings(data_dir, socket_dir, options) {
            command.arg("-c").arg(setting);
        }
        // In a group of its own, Ctrl-C in a terminal doesn't reach Postgres before the server has finished with it.
        command.stdout(output).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(Error::io("start postgres in", &binaries.dir))?;
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let no_pid = || std::io::Error::other("it ended at once");
        let pid = raw
            .and_then(Pid::from_raw)
            .ok_or_else(no_pid)
            .map_err(Error::io("start postgres in", &binaries.dir))?;
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            let status = child
                .wait()
                .await
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            sender.send_replace(Some(status));
        });
        Ok(Self {
            pid,
            log,
            ended,
            left_running: false,
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Resolves when it has ended, with how.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        // The sender goes away only with the runtime, and then nobody waits here any more.
        let seen = ended.wait_for(Option::is_some).await.ok().and_then(|status| status.clone());
        seen.unwrap_or_else(|| "the runtime ended".to_owned())
    }

    /// The error for an end at start, with the end of the log.
    pub(super) fn start_failed(&self, status: String) -> Error {
        let logged = std::fs::read(&self.log).unwrap_or_default();
        Error::StartFailed {
            status,
            log: self.log.clone(),
            output: tail(&String::from_utf8_lossy(&logged)),
        }
    }

    /// Fast shutdown, then, after `limit`, an immediate one, from which the next start recovers. Never a kill: that would leave
    /// its children behind.
    pub(super) async fn stop(&mut self, limit: Duration) -> Result<(), Error> {
        for (signal, limit) in [(Signal::INT, limit), (Signal::QUIT, IMMEDIATE)] {
            self.signal(signal);
            if timeout(limit, self.ended()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(pid = self.pid(), ?limit, "the embedded Postgres has not stopped in time");
        }
        Err(Error::WontStop { pid: self.pid(), limit })
    }

    /// Outlives this value, so that a test sees what dropping it does.
    #[cfg(test)]
    pub(super) fn ended_for_test(&self) -> watch::Receiver<Option<String>> {
        self.ended.clone()
    }

    pub(super) fn leave_running(&mut self) {
        self.left_running = true;
    }

    fn signal(&self, signal: Signal) {
        // Once its end has been seen the id may belong to another process.
        if self.ended.borrow().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        if !self.left_running {
            self.signal(Signal::INT);
        }
    }
}

/// Settings on the command line, which nothing in the cluster's own files overrides.
fn settings(data_dir: &Path, socket_dir: &Path, options: &Options) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories=\"{}\"", socket_dir.display()),
        "unix_socket_permissions=0700".to_owned(),
        format!("hba_file={}", data_dir.join("pg_hba.conf").display()),
        format!("ident_file={}", data_dir.join("pg_ident.conf").display()),
        "port=5432".to_owned(),
        "cluster_name=moorline".to_owned(),
        format!("max_connections={}", options.max_connections),
        // Queue tables turn over fast: frequent small vacuums keep the claim's speed even.
        "autovacuum_naptime=5s".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        // The server logs what its statements get; this log is for Postgres' own state.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "log_min_messages=log".to_owned(),
        "log_checkpoints=off".to_owned(),
        "log_autovacuum_min_duration=-1".to_owned(),
    ];
    let durable = if options.durable { "on" } else { "off" };
    settings.extend(["fsync", "synchronous_commit", "full_page_writes"].map(|name| format!("{name}={durable}")));
    // Of two that name the same, Postgres takes the later.
    settings.extend(options.settings.iter().cloned());
    settings
}
