//! An agent that is at work until a test lets it go on: the real Codex CLI, behind a gate.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use tempfile::TempDir;

use super::{eventually, fleet::open_folder, program};

/// See the module.
pub struct Gate {
    folder: TempDir,
}

impl Gate {
    /// A closed gate. Checks of the login pass it.
    pub fn closed() -> Self {
        let folder = open_folder();
        let (codex, path) = (program("MOORLINE_CODEX_PROGRAM", "codex"), folder.path().display().to_string());
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*exec*) echo $$ >>{path}/begun/pids; while ! [ -e {path}/open ]; do sleep 0.05; done ;;\nesac\nexec {codex} \"$@\"\n"
        );
        fs::write(folder.path().join("codex"), script).expect("a program");
        // Jobs run as another user.
        fs::create_dir(folder.path().join("begun")).expect("a folder");
        for (file, mode) in [("codex", 0o755), ("begun", 0o777)] {
            fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        Self { folder }
    }

    /// What a worker is given as its Codex program.
    pub fn program(&self) -> String {
        self.folder.path().join("codex").display().to_string()
    }

    /// Lets those who wait go on, and all who come later.
    pub fn open(&self) {
        fs::write(self.folder.path().join("open"), "").expect("an open gate");
    }

    /// Process ids of the agents that have come so far, in their order.
    pub fn agents(&self) -> Vec<u32> {
        let pids = fs::read_to_string(self.folder.path().join("begun/pids")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().expect("a process id")).collect()
    }

    /// Waits until that many agents have come; the last of them.
    pub async fn agent(&self, count: usize) -> u32 {
        eventually("an agent at work", async || self.agents().get(count - 1).copied()).await
    }
}

/// Whether a process is alive. One that has ended and isn't reaped isn't.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
