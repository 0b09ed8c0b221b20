//! A virtual environment in the cache: its pip fetches the Codex CLI, and it holds the packages that tests need.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use super::Need;
use crate::{checksum, command::Cmd, paths::Paths};

/// How long a download may take.
pub const DOWNLOAD: Duration = Duration::from_secs(900);

/// The environment's Python; made when it is missing or belongs to a Python that is gone.
pub fn environment(paths: &Paths, yes: bool) -> Result<PathBuf> {
    let folder = paths.cache.join("python");
    let python = folder.join("bin/python3");
    if Cmd::new(&python).args(["-m", "pip", "--version"]).succeeds() {
        return Ok(python);
    }
    super::system(&[Need::Python], yes)?;
    eprintln!("making a Python environment in {}", folder.display());
    Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output()?;
    Ok(python)
}

/// The environment's Python with the packages that tests need, of the versions and checksums in `tests/requirements.txt`.
pub fn for_tests(paths: &Paths, yes: bool) -> Result<PathBuf> {
    let python = environment(paths, yes)?;
    let list = paths.root.join("tests/requirements.txt");
    let wanted = fs::read_to_string(&list).with_context(|| format!("could not read {}", list.display()))?;
    let mark = paths.cache.join("python/moorline-tests");
    let digest = checksum::of_texts([wanted.as_str()]);
    if fs::read_to_string(&mark).is_ok_and(|found| found == digest) {
        eprintln!("Python packages for tests: {}", python.display());
        return Ok(python);
    }
    eprintln!("installing Python packages for tests from tests/requirements.txt");
    pip(&python)
        .args(["install", "--quiet", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(&list)
        .limit(DOWNLOAD)
        .run()?;
    fs::write(&mark, digest)?;
    Ok(python)
}

/// pip of an environment, which asks nothing.
pub fn pip(python: &std::path::Path) -> Cmd {
    Cmd::new(python).args(["-m", "pip", "--no-input", "--disable-pip-version-check"])
}
