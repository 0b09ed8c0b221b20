//! Programs that stay in the background: started with a log file, found again by process id and start time, stopped as a group.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::{
    command::{Cmd, tail},
    interrupt,
};

const TICK: Duration = Duration::from_millis(20);

/// A program in the background. It leads a process group of its own, so that Ctrl-C doesn't reach it before the clean-up does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    /// What it is called.
    pub name: String,
    /// Its process id, which is also that of its group.
    pub pid: u32,
    /// When it started, as the system says it: a process id alone may have passed to another program.
    started: String,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Starts a program in the background.
pub fn start(name: &str, command: Cmd, log: &Path) -> Result<(Service, Child)> {
    use std::os::unix::process::CommandExt;

    let output = File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    let mut command = command.into_inner();
    command
        .process_group(0)
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output));
    let child = command.spawn().with_context(|| format!("could not start {name}"))?;
    let started = started(child.id()).unwrap_or_default();
    Ok((
        Service {
            name: name.to_owned(),
            pid: child.id(),
            started,
            log: log.to_owned(),
        },
        child,
    ))
}

impl Service {
    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Waits until `ready` says yes; fails when the program ends before, or takes longer than `limit`.
    pub fn await_ready<T>(&self, child: &mut Child, limit: Duration, ready: impl Fn() -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = ready() {
                return Ok(found);
            }
            if let Some(status) = child.try_wait()? {
                // Nothing that it started may outlive it.
                self.signal_group(Signal::TERM);
                bail!(
                    "{} ended before it was ready ({status}); it said:\n{}",
                    self.name,
                    self.last_words()
                );
            }
            if start.elapsed() > limit {
                bail!(
                    "{} was not ready within {} s; it said:\n{}",
                    self.name,
                    limit.as_secs(),
                    self.last_words()
                );
            }
            interrupt::check()?;
            thread::sleep(TICK);
        }
    }

    /// Asks it to stop, and kills its whole group after `grace`. Returns whether it stopped by itself.
    pub fn stop(&self, grace: Duration) -> bool {
        if !self.alive() {
            return true;
        }
        // The leader first, alone: it knows in which order its own children have to go.
        if let Some(leader) = self.id() {
            // It may have ended a moment ago, which is what was wanted.
            let _ = kill_process(leader, Signal::TERM);
        }
        let start = Instant::now();
        while self.alive() {
            if start.elapsed() > grace {
                self.signal_group(Signal::KILL);
                return false;
            }
            thread::sleep(TICK);
        }
        self.signal_group(Signal::TERM);
        true
    }

    fn id(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.id() {
            // A group that is empty by now is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("{}\n(all of it: {})", tail(&log, 20), self.log.display())
    }
}

/// When a process started, or `None` when it doesn't run (any more).
fn started(pid: u32) -> Option<String> {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        if Path::new("/proc/self/stat").exists() {
            return None;
        }
        let captured = Cmd::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).capture().ok()?;
        return captured.status.success().then(|| captured.stdout.trim().to_owned());
    };
    // The name in parentheses may hold spaces; state is the first field after it, the start time the twentieth.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let zombie = matches!(fields.first(), Some(&"Z" | &"X"));
    if zombie {
        None
    } else {
        fields.get(19).map(|ticks| (*ticks).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_stopped_with_everything_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (service, mut child) = start("sleeper", Cmd::new("sh").args(["-c", "sleep 60 & echo $!; wait"]), &log).unwrap();
        let grandchild: u32 = service
            .await_ready(&mut child, Duration::from_secs(10), || {
                fs::read_to_string(&log).ok()?.trim().parse().ok()
            })
            .unwrap();
        assert!(service.alive() && started(grandchild).is_some());
        assert!(service.stop(Duration::from_secs(10)));
        child.wait().unwrap();
        assert!(!service.alive());
        // Its group is signalled last, and ends in its own time.
        let start = Instant::now();
        while started(grandchild).is_some() {
            assert!(start.elapsed() < Duration::from_secs(10), "the grandchild still runs");
            thread::yield_now();
        }
    }

    #[test]
    fn a_service_that_ends_early_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let (service, mut child) = start(
            "quitter",
            Cmd::new("sh").args(["-c", "echo no cgroups; exit 1"]),
            &folder.path().join("log"),
        )
        .unwrap();
        let error = service.await_ready(&mut child, Duration::from_secs(10), || None::<()>).unwrap_err();
        assert!(error.to_string().contains("no cgroups"), "{error}");
    }

    #[test]
    fn another_process_with_the_same_id_is_left_alone() {
        let own = Service {
            name: "not ours".into(),
            pid: std::process::id(),
            started: "0".into(),
            log: PathBuf::new(),
        };
        assert!(!own.alive());
        assert!(own.stop(Duration::ZERO));
    }
}
