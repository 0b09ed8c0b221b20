//! Programs of an image, run as its containers run: as the image's user, with nothing that they could write to but `/tmp`.

use std::time::Duration;

use anyhow::{Result, bail};

use super::client::Docker;
use crate::command::{Captured, tail};

const LIMIT: Duration = Duration::from_secs(120);
const WALLS: [&str; 9] = [
    "--rm",
    "--network=none",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    // Codex writes there even to tell its version.
    "--env=HOME=/tmp/home",
    "--env=MOORLINE_LOG=off",
    "--entrypoint",
];

/// Runs a program, whatever comes of it.
pub fn run(docker: &Docker, image: &str, command: &[&str]) -> Result<Captured> {
    let [program, arguments @ ..] = command else {
        bail!("no program to run")
    };
    let run = docker.cmd(["run"]).args(WALLS).args([program, image]).args(arguments);
    let captured = run.limit(LIMIT).capture()?;
    // The engine's own failures, such as a program that isn't there, are no answers of the program.
    if captured.status.code() == Some(125) {
        bail!("{image} can't be run:\n{}", tail(&captured.stderr, 5));
    }
    Ok(captured)
}

/// What a program that has to succeed prints on standard output, trimmed.
pub fn output(docker: &Docker, image: &str, command: &[&str]) -> Result<String> {
    let captured = run(docker, image, command)?;
    if !captured.status.success() {
        let said = tail(&format!("{}{}", captured.stdout, captured.stderr), 10);
        bail!("`{}` fails in {image} ({}):\n{said}", command.join(" "), captured.status);
    }
    Ok(captured.stdout.trim().to_owned())
}
