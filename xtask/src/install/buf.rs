//! buf, which lints the proto files and is the client that isn't ours in tests.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};

use super::{Need, need::on_path, python::DOWNLOAD};
use crate::{command::Cmd, paths::Paths};

const VERSION: &str = "1.75.0";
const PACKAGE: &str = include_str!("../../buf/package.json");
const LOCK: &str = include_str!("../../buf/package-lock.json");

/// buf of the pinned version: the one on the path, or one fetched from npm with its lock file.
pub fn install(paths: &Paths, yes: bool) -> Result<PathBuf> {
    let folder = paths.cache.join(format!("buf-{VERSION}"));
    let fetched = folder.join("node_modules/.bin/buf");
    if let Some(buf) = on_path("buf").into_iter().chain([fetched.clone()]).find(is_pinned) {
        return Ok(buf);
    }
    super::system(&[Need::Npm], yes)?;
    eprintln!("fetching buf {VERSION} from npm");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    Cmd::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
        .dir(&folder)
        .limit(DOWNLOAD)
        .output()
        .with_context(|| format!("could not fetch buf: install buf {VERSION} on the path instead"))?;
    if !is_pinned(&fetched) {
        bail!("npm has no buf {VERSION} for this platform: install it on the path instead");
    }
    Ok(fetched)
}

fn is_pinned(buf: &PathBuf) -> bool {
    Cmd::new(buf).arg("--version").output().is_ok_and(|said| said == VERSION)
}
