//! The repository that the demo works on: a bare origin with a Spec Kit feature of two phases, the first of them open.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::environment::clean;
use crate::{command::Cmd, paths::Paths};

/// The feature's folder under `specs/`.
pub const FEATURE: &str = "001-greeting";

const FILES: [(&str, &str); 4] = [
    ("README.md", "# Greeting\n\nSays hello. See specs/001-greeting.\n"),
    ("specs/001-greeting/spec.md", include_str!("sample/spec.md")),
    ("specs/001-greeting/plan.md", include_str!("sample/plan.md")),
    ("specs/001-greeting/tasks.md", include_str!("sample/tasks.md")),
];

/// Where the origin is. It stays after the demo, so that the commit can be looked at; the next demo replaces it.
pub fn origin(paths: &Paths) -> PathBuf {
    paths.output.join("demo/greeting.git")
}

/// The origin's URL.
pub fn url(origin: &Path) -> String {
    format!("file://{}", origin.display()).replace('%', "%25").replace(' ', "%20")
}

/// Makes the origin anew.
pub fn make(paths: &Paths) -> Result<PathBuf> {
    let origin = origin(paths);
    if origin.exists() {
        fs::remove_dir_all(&origin).with_context(|| format!("could not replace {}", origin.display()))?;
    }
    let work = tempfile::tempdir()?;
    for (name, content) in FILES {
        let file = work.path().join(name);
        fs::create_dir_all(file.parent().unwrap_or(work.path()))?;
        fs::write(file, content)?;
    }
    git(work.path(), &["init", "--quiet", "--initial-branch=main"])?;
    git(work.path(), &["add", "--all"])?;
    git(work.path(), &["commit", "--quiet", "--message", "Describe the greeting"])?;
    let target = origin.to_str().context("the checkout's path is not UTF-8")?;
    git(work.path(), &["clone", "--quiet", "--bare", ".", target])?;
    Ok(origin)
}

/// What git says in a repository, without the user's own settings.
pub fn git(folder: &Path, args: &[&str]) -> Result<String> {
    clean(Cmd::new("git"))
        .args(["-c", "user.name=Moorline Demo", "-c", "user.email=demo@localhost"])
        .args(args)
        .dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_bare_and_has_a_feature_with_two_phases() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            root: "/".into(),
            programs: "/".into(),
            output: folder.path().into(),
            cache: "/".into(),
        };
        for _ in 0..2 {
            let origin = make(&paths).unwrap();
            assert_eq!(git(&origin, &["rev-parse", "--is-bare-repository"]).unwrap(), "true");
            assert_eq!(git(&origin, &["rev-list", "--count", "main"]).unwrap(), "1");
            let tasks = git(&origin, &["show", "main:specs/001-greeting/tasks.md"]).unwrap();
            assert_eq!(tasks.lines().filter(|line| line.starts_with("## Phase ")).count(), 2);
            assert_eq!(tasks.lines().filter(|line| line.starts_with("- [ ] T0")).count(), 4);
        }
    }
}
