//! The Spec Kit CLI: the real one, of one version, with everything that it needs of pinned checksums.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Need, all_on_path,
    python::{DOWNLOAD, pip},
};
use crate::{
    checksum,
    command::Cmd,
    paths::{Paths, is_root, open_to_all},
};

/// The one place that names the versions and their checksums; the job image is built from it too.
pub const PIN: &str = include_str!("../../../deploy/images/job/speckit.txt");

/// Some user other than root, as whom jobs run.
const ANYBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// The pinned CLI from the cache, fetched when it is missing or damaged.
pub fn install(paths: &Paths, yes: bool) -> Result<PathBuf> {
    let version = version(PIN)?;
    let folder = paths.cache.join(format!("speckit-{version}"));
    let (program, mark) = (folder.join("bin/specify"), folder.join("moorline-pin"));
    let digest = checksum::of_texts([PIN]);
    let whole = || fs::read_to_string(&mark).is_ok_and(|found| found == digest) && says(&program, version);
    if !whole() {
        eprintln!("fetching the Spec Kit CLI {version} from PyPI (50 MB)");
        fetch(paths, yes, &folder)?;
        if !says(&program, version) {
            bail!(
                "{} does not say that it is {version}: remove {}, then try again",
                program.display(),
                folder.display()
            );
        }
        fs::write(&mark, digest)?;
    }
    eprintln!("Spec Kit CLI {version}: {}", program.display());
    Ok(program)
}

/// A virtual environment can't be moved, so it is made where it stays; only a whole one is marked.
fn fetch(paths: &Paths, yes: bool, folder: &Path) -> Result<()> {
    let python = match python() {
        Some(python) => python,
        // One that is here may be another user's, or too old: the system's own comes beside it.
        None => {
            let wanted = "the Spec Kit CLI needs Python 3.11 or later that all users can run: install python3 with venv on the path";
            super::provide(&[Need::Python], yes).context(wanted)?;
            python().context(wanted)?
        }
    };
    Cmd::new(&python).args(["-m", "venv", "--clear"]).arg(folder).output()?;
    open_to_all(folder)?;
    let pin = paths.root.join("deploy/images/job/speckit.txt");
    pip(&folder.join("bin/python3"))
        .args(["install", "--quiet", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(pin)
        .limit(DOWNLOAD)
        .output()
        .context("could not fetch the Spec Kit CLI: it needs PyPI")?;
    Ok(())
}

/// A Python that the CLI works with, and that jobs can run: root's own, such as one below its home, is closed to them.
fn python() -> Option<PathBuf> {
    const NEW_ENOUGH: [&str; 2] = ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"];
    let runs = |python: &PathBuf| match is_root() {
        true => Cmd::new("setpriv").args(ANYBODY).arg(python).args(NEW_ENOUGH).succeeds(),
        false => Cmd::new(python).args(NEW_ENOUGH).succeeds(),
    };
    all_on_path("python3").find(runs)
}

fn says(program: &Path, version: &str) -> bool {
    let said = Cmd::new(program).arg("--version").output();
    said.is_ok_and(|said| said == format!("specify {version}"))
}

fn version(pin: &'static str) -> Result<&'static str> {
    let line = pin.lines().find_map(|line| line.strip_prefix("specify-cli=="));
    let version = line.and_then(|line| line.split_whitespace().next());
    version.context("deploy/images/job/speckit.txt names no version of specify-cli")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_pinned_with_a_checksum() {
        assert_eq!(version(PIN).unwrap(), "1.2.3");
        let packages: Vec<&str> = PIN.lines().filter(|line| line.contains("==") && !line.starts_with('#')).collect();
        assert!(packages.len() > 20, "{packages:?}");
        for package in packages {
            assert!(package.ends_with('\\'), "{package} has no checksum");
        }
    }
}
