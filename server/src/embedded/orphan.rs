//! A Postgres that still runs for a server that was killed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::Error;

/// How long an immediate shutdown may take after a fast one has not ended.
pub(super) const IMMEDIATE: Duration = Duration::from_secs(5);
/// Pause between looks at a process that isn't our child, whose end nobody reports to us.
const PAUSE: Duration = Duration::from_millis(20);

/// Stops the Postgres that runs on a cluster, if one does. The caller holds the data directory's lock, so no living server owns it.
///
/// It is stopped rather than adopted: a child of this server is awaited, has this version's settings and writes to this log.
pub(super) async fn stop(cluster_dir: &Path, socket_dir: &Path, limit: Duration) -> Result<(), Error> {
    if let Some(pid) = recorded_pid(cluster_dir) {
        if runs_on(pid, cluster_dir) {
            stop_process(pid, cluster_dir, limit).await?;
        } else if test_kill_process(pid).is_ok() {
            // The id has passed to another process, or waits to be reaped: Postgres would take it for itself and refuse to start.
            remove_if_there(&cluster_dir.join("postmaster.pid"))?;
        }
    }
    // Nobody listens on it any more; Postgres asks only whether the id in it is alive.
    remove_if_there(&socket_dir.join(".s.PGSQL.5432.lock"))
}

async fn stop_process(pid: Pid, cluster_dir: &Path, limit: Duration) -> Result<(), Error> {
    tracing::warn!(pid = pid.as_raw_pid(), cluster_dir = %cluster_dir.display(), "stopping the Postgres that a killed server left behind");
    for (signal, limit) in [(Signal::INT, limit), (Signal::QUIT, IMMEDIATE)] {
        if let Err(error) = kill_process(pid, signal)
            && error != rustix::io::Errno::SRCH
        {
            return Err(Error::io("stop the Postgres that runs on", cluster_dir)(error.into()));
        }
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if !runs_on(pid, cluster_dir) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(Error::WontStop {
        pid: pid.as_raw_pid(),
        limit,
    })
}

fn remove_if_there(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove the stale", file)(error)),
        _ => Ok(()),
    }
}

/// The process id in the first line of `postmaster.pid`.
fn recorded_pid(cluster_dir: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(cluster_dir.join("postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)?)
}

/// Whether a process is a Postgres on this cluster; its id alone may have passed to any other.
fn runs_on(pid: Pid, cluster_dir: &Path) -> bool {
    let pid = pid.as_raw_pid().to_string();
    let command = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(arguments) => arguments,
        Err(_) if Path::new("/proc/self").exists() => return false,
        // Systems without /proc.
        Err(_) => match std::process::Command::new("ps")
            .args(["-ww", "-o", "command=", "-p", &pid])
            .output()
        {
            Ok(printed) => printed.stdout,
            Err(_) => return false,
        },
    };
    let command = String::from_utf8_lossy(&command);
    command.contains("postgres") && cluster_dir.to_str().is_some_and(|path| command.contains(path))
}
