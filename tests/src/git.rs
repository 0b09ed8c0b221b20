//! The git program for stand-ins: without the settings of whoever runs the tests, with a fixed identity.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

/// Variables that keep the machine's and the user's git settings out.
pub(crate) const ENVIRONMENT: [(&str, &str); 4] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C"),
];

/// Runs git in a directory and returns what it printed, without the line break at the end.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Sample", "-c", "user.email=sample@localhost"])
        .args(arguments);
    command.current_dir(directory).envs(ENVIRONMENT).stdin(Stdio::null());
    let output = command.output().context("git could not be run: install it")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "git {} in {} failed: {}",
        arguments.join(" "),
        directory.display(),
        errors.trim()
    );
    Ok(String::from_utf8(output.stdout)
        .context("git printed no text")?
        .trim_end_matches('\n')
        .to_owned())
}
