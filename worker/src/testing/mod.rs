//! Stand-ins for the tests of this crate.

mod context;
mod engine;
mod issuer;
mod outlet;
mod server;

use std::{path::Path, process::Command};

pub(crate) use self::{
    context::offered,
    engine::{Idle, Shelf, Stubborn},
    issuer::{CODE, Issuer, Person},
    outlet::Silent,
    server::{Line, Server, calm, patient},
};

/// Lays the skills of this repository into a root.
pub(crate) fn lay_skills(root: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/skills");
    std::fs::create_dir_all(root).expect("a root");
    let script = "mkdir -p .codex .agents; cp -r \"$1\" .codex/skills; cp -r \"$1\" .agents/skills; chmod -R a+rX .";
    sh(root, &format!("set -- '{}'; {script}", from.display()));
}

/// Runs a script; it must succeed.
pub(crate) fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").arg("-euc").arg(script).current_dir(dir).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
