//! Builds the server and this program with optimisation, and hands over to that one.

use anyhow::{Context, Result, bail};

use super::Args;
use crate::{cargo::cargo, command::Cmd, install, interrupt, paths::Paths};

/// Builds what is measured and what measures, and waits for its end.
pub fn main(_args: &Args) -> Result<()> {
    let paths = Paths::find()?;
    install::system(&[install::Need::Postgres], false)?;
    eprintln!("building the server and the benchmark (release)");
    let build = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "moorline-server",
        "--package",
        "xtask",
    ];
    cargo().args(build).args(["--features", "xtask/bench"]).dir(&paths.root).run()?;

    let programs = paths.programs.parent().context("cargo's folder has no parent")?.join("release");
    // The same arguments: `bench` and what follows. Its standard output is ours, as JSON lines are for programs.
    let mut command = Cmd::new(programs.join("xtask")).args(std::env::args_os().skip(1)).into_inner();
    let mut child = command.spawn().context("could not start the benchmark")?;
    let _told = interrupt::tell(child.id());
    let status = child.wait()?;
    if !status.success() {
        bail!("the benchmark ended with {status}");
    }
    Ok(())
}
