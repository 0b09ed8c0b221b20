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

/// Runs a script; it must succeed.
pub(crate) fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").arg("-euc").arg(script).current_dir(dir).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
