//! The programs that go into images: those of this checkout, built here and without their symbols.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{cargo::cargo, command::Cmd, demo::clean, paths::Paths};

/// Each is in `deploy/images/bin` for an image from prebuilt programs.
const NAMES: [&str; 3] = ["moorline", "moorline-server", "moorline-worker"];
/// The minor version of the images' own glibc 2, which is Debian 12's.
const GLIBC: u32 = 36;
const BUILD: Duration = Duration::from_secs(3600);

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Quickly: those that tests run.
    Dev,
    /// As users run them.
    Release,
}

impl Profile {
    /// What cargo is told. For tests it is what the tests are built with, since other features would build all dependencies anew; the
    /// programs are those that come with them.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["test", "--workspace", "--features", "xtask/bench", "--test", "it", "--no-run"],
            Self::Release => &[
                "build",
                "--release",
                "--locked",
                "-p",
                "moorline",
                "-p",
                "moorline-server",
                "-p",
                "moorline-worker",
            ],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }

    fn built_as(self, name: &str) -> String {
        match self {
            Self::Dev => format!("{name}-under-test"),
            Self::Release => name.to_owned(),
        }
    }
}

/// Builds them. Returns where each is, ready to be put into an image.
pub fn build(paths: &Paths, profile: Profile) -> Result<Vec<PathBuf>> {
    eprintln!("building the programs");
    clean(cargo()).args(profile.arguments()).dir(&paths.root).limit(BUILD).run()?;
    let target = paths.programs.parent().context("programs are in no folder")?;
    let built = target.join(profile.folder());
    let stripped = paths.output.join("programs").join(profile.folder());
    fs::create_dir_all(&stripped).with_context(|| format!("could not make {}", stripped.display()))?;
    NAMES
        .iter()
        .map(|name| strip(&built.join(profile.built_as(name)), &stripped.join(name)))
        .collect()
}

/// A copy without symbols, which the image has no use for. Where there is no `strip` it is a copy as it is.
fn strip(from: &Path, to: &Path) -> Result<PathBuf> {
    // By way of another name, so that two of this checkout at once don't find half a file.
    let fresh = tempfile::Builder::new().prefix(".strip-").tempdir_in(to.parent().unwrap_or(to))?;
    let copy = fresh.path().join("program");
    if !Cmd::new("strip").arg("-o").arg(&copy).arg(from).succeeds() {
        fs::copy(from, &copy).with_context(|| format!("could not copy {}", from.display()))?;
    }
    let program = fs::read(&copy).with_context(|| format!("could not read {}", copy.display()))?;
    if let Some(minor) = glibc(&program).filter(|minor| *minor > GLIBC) {
        bail!(
            "{} needs glibc 2.{minor}, newer than the images' 2.{GLIBC}: this machine's programs don't run there. Build them in a \
             container by `cargo xtask images --from-source`; tests of containers need a machine with glibc 2.{GLIBC} or older",
            from.display()
        );
    }
    fs::rename(&copy, to).with_context(|| format!("could not write {}", to.display()))?;
    Ok(to.to_owned())
}

/// The newest minor version of glibc 2 that a program names among those of its symbols.
fn glibc(program: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(program);
    let minors = text.split("GLIBC_2.").skip(1);
    minors
        .filter_map(|minor| minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glibc_that_a_program_needs_is_the_newest_that_it_names() {
        assert_eq!(glibc(b"\0GLIBC_2.9\0GLIBC_2.38\0GLIBC_2.2.5\0GLIBC_PRIVATE\0"), Some(38));
        assert_eq!(glibc(b"GLIBC_2."), None);
    }
}
