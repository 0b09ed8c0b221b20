//! A git that waits until a test lets it go on: the real one, behind a gate that one host's worker finds first on its path.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use crate::support::{eventually, fleet::open_folder};

/// See the module.
pub struct GitGate {
    folder: TempDir,
}

impl GitGate {
    /// A closed gate for whatever fetches. Other calls pass it.
    pub fn closed() -> Self {
        let folder = open_folder();
        let (here, path) = (folder.path().display(), std::env::var("PATH").expect("a path"));
        let script = format!(
            "#!/bin/sh\nPATH={path}\ncase \" $* \" in\n*\" fetch \"*) echo >{here}/waiting; while ! [ -e {here}/open ]; do sleep 0.05; done ;;\nesac\nexec git \"$@\"\n"
        );
        fs::write(folder.path().join("git"), script).expect("a program");
        fs::set_permissions(folder.path().join("git"), fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { folder }
    }

    /// The variable by which a worker finds it.
    pub fn variable(&self) -> (&'static str, String) {
        let path = std::env::var("PATH").expect("a path");
        ("PATH", format!("{}:{path}", self.folder.path().display()))
    }

    /// Waits until somebody waits at the gate.
    pub async fn somebody_waits(&self) {
        eventually("a fetch at the gate", async || {
            self.folder.path().join("waiting").exists().then_some(())
        })
        .await;
    }

    /// Lets those who wait go on, and all who come later.
    pub fn open(&self) {
        fs::write(self.folder.path().join("open"), "").expect("an open gate");
    }
}
