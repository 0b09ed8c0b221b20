//! The Codex CLI: the real one, of one version, checked against pinned checksums at every start.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::python::{DOWNLOAD, environment, pip};
use crate::{
    checksum,
    command::Cmd,
    paths::{Paths, open_to_all},
};

/// The one place that names the version and its checksums; the job image is built from it too.
pub const PIN: &str = include_str!("../../../deploy/images/job/codex.txt");

/// An installed Codex CLI.
#[derive(Debug, Clone)]
pub struct Codex {
    /// The program.
    pub program: PathBuf,
    /// The wheel that it came from.
    pub wheel: PathBuf,
}

/// The pinned CLI from the cache, fetched when it is missing or damaged.
pub fn install(paths: &Paths, yes: bool) -> Result<Codex> {
    let version = version(PIN)?;
    let folder = paths.cache.join(format!("codex-{version}"));
    match find(&folder, version) {
        Ok(codex) => {
            eprintln!("Codex CLI {version}, checksums verified: {}", codex.program.display());
            return Ok(codex);
        }
        Err(error) if folder.exists() => eprintln!("the Codex CLI in the cache can't be used ({error:#}): fetching it again"),
        Err(_) => eprintln!("fetching the Codex CLI {version} from PyPI (140 MB)"),
    }
    let fresh = tempfile::Builder::new().prefix(".codex-").tempdir_in(&paths.cache)?;
    fetch(paths, yes, fresh.path())?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    // Renamed in one step, so that a half-made folder, or one that is closed to others, never bears this name.
    open_to_all(fresh.path())?;
    fs::rename(fresh.keep(), &folder)?;
    let codex = find(&folder, version)?;
    eprintln!("Codex CLI {version}, checksums verified: {}", codex.program.display());
    Ok(codex)
}

fn fetch(paths: &Paths, yes: bool, folder: &Path) -> Result<()> {
    let python = environment(paths, yes)?;
    let pin = folder.join("codex.txt");
    fs::write(&pin, PIN)?;
    let wheels = folder.join("wheel");
    pip(&python)
        .args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(&pin)
        .arg("-d")
        .arg(&wheels)
        .limit(DOWNLOAD)
        .output()
        .context("could not fetch the Codex CLI: it needs PyPI, and Linux or macOS on x86-64 or arm64")?;
    let wheel = wheel(&wheels)?;
    let tree = folder.join("tree");
    pip(&python)
        .args(["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"])
        .arg(&tree)
        .arg(&wheel)
        .output()?;
    checksum::record(&tree, &folder.join("SHA256SUMS"))
}

/// What is in the cache, if it is whole: the wheel as pinned, its content as it was unpacked, the version as asked for.
fn find(folder: &Path, version: &'static str) -> Result<Codex> {
    let wheel = wheel(&folder.join("wheel"))?;
    let found = checksum::of_file(&wheel)?;
    if !pinned(PIN).any(|digest| digest == found) {
        bail!("{} has the checksum {found}, which is not pinned", wheel.display());
    }
    let tree = folder.join("tree");
    checksum::verify(&tree, &folder.join("SHA256SUMS"))?;
    let program = tree.join("codex_cli_bin/bin/codex");
    // A home of its own: even `--version` writes into it, and the user's own is none of our business.
    let home = tempfile::tempdir()?;
    let said = Cmd::new(&program)
        .arg("--version")
        .env("HOME", home.path())
        .env("CODEX_HOME", home.path())
        .output()?;
    if said != format!("codex-cli {version}") {
        bail!("{} says that it is {said:?}", program.display());
    }
    Ok(Codex { program, wheel })
}

fn wheel(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut wheels = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "whl"));
    wheels.next().with_context(|| format!("no wheel in {}", folder.display()))
}

fn version(pin: &'static str) -> Result<&'static str> {
    let line = pin
        .lines()
        .find(|line| line.starts_with("openai-codex-cli-bin=="))
        .context("codex.txt pins no version")?;
    line.split_once("==")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .context("codex.txt pins no version")
}

fn pinned(pin: &str) -> impl Iterator<Item = &str> {
    pin.split_whitespace().filter_map(|word| word.strip_prefix("--hash=sha256:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_names_one_version_and_a_checksum_for_each_platform() {
        assert_eq!(version(PIN).unwrap(), "0.163.0");
        let digests: Vec<&str> = pinned(PIN).collect();
        assert_eq!(digests.len(), 4);
        assert!(digests.iter().all(|digest| digest.len() == 64));
        assert!(digests.contains(&"76db41fb07fdf9ddacbe892b48d21dfde270031ec0f5666b5e558114355f006d"));
    }

    #[test]
    fn a_wheel_that_is_not_pinned_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("wheel")).unwrap();
        fs::write(folder.path().join("wheel/codex.whl"), "not it").unwrap();
        let error = find(folder.path(), "0.163.0").unwrap_err().to_string();
        assert!(error.contains("not pinned"), "{error}");
    }
}
