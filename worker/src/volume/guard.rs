//! The lock of a volume: a small shell before every command that uses it.
//!
//! The lock is held by the processes that have inherited it, in whatever container they are, and the kernel frees it when the last of them is
//! gone. What is written beside it, in `.moorline/` of the volume, only tells of it.

use std::{path::Path, time::Duration};

use crate::engine::{Captured, Error, Exit};

/// Folder in a volume that is the worker's and not the agent's.
pub const OWN_FOLDER: &str = ".moorline";
/// File in that folder with one line for each acquire, release and broken use.
pub const LOG: &str = "lock.log";

const SCRIPT: &str = include_str!("guard.sh");
/// What each line of the guard's own begins with, so that an agent's exit codes are not taken for the guard's.
const MARK: &str = "moorline-guard: ";
/// How long a use waits for the lock, where it is not said: a container that is being stopped is gone by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a volume is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A login check.
    Check,
    /// A job.
    Agent,
    /// A small real call.
    Probe,
    /// A login.
    Login,
    /// A logout.
    Logout,
    /// A clean-up.
    Clean,
    /// Putting a good credential aside.
    Snapshot,
    /// Putting such a one back.
    Mend,
    /// Merging the policy into the agent's settings.
    Policy,
}

impl Kind {
    /// Its name in the log and in names of containers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Agent => "agent",
            Self::Probe => "probe",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Clean => "clean",
            Self::Snapshot => "snapshot",
            Self::Mend => "mend",
            Self::Policy => "policy",
        }
    }
}

/// Who else may use the volume meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nobody.
    Exclusive,
    /// Who takes it shared, too.
    Shared,
    /// Nobody, if that can be had at once, and else as shared.
    Either,
}

/// One use of a volume.
#[derive(Debug, Clone)]
pub struct Use {
    /// Its name in the log, such as that of its container.
    pub id: String,
    /// What for.
    pub kind: Kind,
    /// Generation of the lease that it is made under; 0 before the first is known.
    pub generation: i64,
    /// Name of the worker.
    pub worker: String,
    /// Who else may use it.
    pub mode: Mode,
    /// How long it waits for the lock, in whole seconds.
    pub patience: Duration,
}

impl Use {
    /// One that nobody shares, and that waits for a moment.
    pub fn new(id: impl Into<String>, kind: Kind, generation: i64, worker: &str) -> Self {
        Self {
            id: id.into(),
            kind,
            generation,
            // A word in a line of words.
            worker: worker.split_whitespace().collect::<Vec<_>>().join("_"),
            mode: Mode::Exclusive,
            patience: PATIENCE,
        }
    }

    /// The command line under the guard, for a volume whose folder the command sees at `root`.
    pub fn guard(&self, root: &Path, argv: Vec<String>) -> Vec<String> {
        let mode = match self.mode {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
            Mode::Either => "either",
        };
        let mut guarded: Vec<String> = ["sh", "-c", SCRIPT, "moorline-guard"].map(str::to_owned).to_vec();
        guarded.extend([
            root.display().to_string(),
            self.id.clone(),
            self.kind.name().to_owned(),
            self.generation.to_string(),
            self.worker.clone(),
            self.patience.as_secs().to_string(),
            mode.to_owned(),
        ]);
        guarded.extend(argv);
        guarded
    }
}

/// Why the guard didn't let a command begin; `None` when it did.
pub fn refusal(volume: &str, exit: Exit, stderr: &str) -> Option<Error> {
    let Exit::Code(code) = exit else { return None };
    let said = |what: &str| {
        let said = stderr.lines().find_map(|line| line.strip_prefix(MARK)?.strip_prefix(what));
        said.map(|said| said.trim().to_owned())
    };
    let volume = volume.to_owned();
    match code {
        74 => said("unusable:").map(|why| Error::VolumeUnusable { volume, why }),
        75 => said("in use:").map(|line| Error::VolumeInUse {
            volume,
            holder: holder(&line),
        }),
        76 => said("fenced:").map(|_| Error::Fenced { volume }),
        127 => said("cannot find").map(|program| Error::ProgramMissing { program }),
        _ => None,
    }
}

/// Passes on what a guarded command has printed, if it was let begin.
pub fn begun(volume: &str, captured: Captured) -> Result<Captured, Error> {
    match refusal(volume, captured.exit, &captured.stderr) {
        Some(refusal) => Err(refusal),
        None => Ok(captured),
    }
}

/// An acquire's line in words.
fn holder(line: &str) -> String {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [since, "acquire", id, kind, _, worker] => {
            let seconds = since.split('.').next().and_then(|seconds| seconds.parse().ok());
            let since = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
            let since = since.map_or_else(String::new, |since| format!(", since {since}"));
            format!("{kind} {id} of worker {worker}{since}")
        }
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests;
