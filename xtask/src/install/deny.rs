//! cargo-deny, which checks licences, sources and banned crates.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{need::on_path, python::DOWNLOAD};
use crate::{cargo::cargo, command::Cmd, paths::Paths};

const VERSION: &str = "0.20.2";

/// cargo-deny of the pinned version: the one on the path, or one built into the cache.
pub fn install(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache.join(format!("cargo-deny-{VERSION}"));
    let built = root.join("bin/cargo-deny");
    if let Some(deny) = on_path("cargo-deny").into_iter().chain([built.clone()]).find(is_pinned) {
        return Ok(deny);
    }
    eprintln!("building cargo-deny {VERSION} (a minute or two, once)");
    // Unoptimised, it checks this workspace in a second and builds in a third of the time.
    cargo()
        .args(["install", "--quiet", "--locked", "--debug", "--no-track", "--force", "--root"])
        .arg(&root)
        .arg(format!("cargo-deny@{VERSION}"))
        .env_remove("CARGO_TARGET_DIR")
        .dir(&paths.cache)
        .limit(DOWNLOAD)
        .run()
        .context("could not build cargo-deny")?;
    Ok(built)
}

fn is_pinned(deny: &PathBuf) -> bool {
    Cmd::new(deny)
        .arg("--version")
        .output()
        .is_ok_and(|said| said == format!("cargo-deny {VERSION}"))
}
