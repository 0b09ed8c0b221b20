//! The patch of a work tree: everything between the base commit and what the agent left.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{Error, Git};
use crate::beneath;

/// How much a patch changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PatchStat {
    /// Files that it touches; 0 means that there is no change at all.
    pub files: i32,
    /// Lines added.
    pub insertions: i32,
    /// Lines removed.
    pub deletions: i32,
}

impl Git {
    /// Writes the patch between `base_commit` and the work tree to the file `to`: the agent's own commits, its uncommitted
    /// changes and its untracked files, but not what `.gitignore` names. Reads with the worker's git directory, never with the
    /// `.git` in the work tree. The agent must have ended.
    ///
    /// # Errors
    ///
    /// [`Error::WorkTreeReplaced`] when `work_tree` is no folder, such as a link that leads elsewhere; [`Error::PatchTooLarge`] when
    /// more was changed than git could hold.
    pub async fn patch(
        &self,
        git_dir: &Path,
        work_tree: &Path,
        base_commit: &str,
        to: &Path,
        stop: &CancellationToken,
    ) -> Result<PatchStat, Error> {
        let tree = beneath::folder(work_tree).map_err(|error| Error::WorkTreeReplaced {
            work_tree: work_tree.to_owned(),
            said: error.to_string(),
        })?;
        // Open until git has ended: what is read is this folder, whatever its name leads to.
        let tree = Arc::new(tree);
        let (cleared, name) = (tree.clone(), work_tree.to_owned());
        tokio::task::spawn_blocking(move || remove_nested(&cleared).map_err(|error| Error::io("read", &name, error)))
            .await
            .map_err(|error| Error::Other {
                doing: "read the work tree".to_owned(),
                said: error.to_string(),
            })??;
        let index = git_dir.join("moorline-patch-index");
        // A worker that was killed over this very patch may have left it half written, and locked.
        for left in [&index, &index.with_extension("lock")] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", left, error)),
                _ => {}
            }
        }
        let call = |doing| self.call(doing).git_dir(git_dir).env("GIT_INDEX_FILE", &index);
        call("read the base commit").args(["read-tree", base_commit]).ok(stop).await?;
        self.weigh(git_dir, &tree, base_commit, &to.with_extension("list"), stop).await?;
        call("read the work tree")
            .env("GIT_WORK_TREE", ".")
            .args(["add", "--all", "--", "."])
            .current(&beneath::path(&tree))
            .ok(stop)
            .await?;
        let diff = ["diff", "--cached", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"];
        call("write the patch")
            .args(diff)
            .args([
                "--binary",
                "--full-index",
                "--submodule=short",
                "--src-prefix=a/",
                "--dst-prefix=b/",
                base_commit,
                "--",
            ])
            .output(to)?
            .ok(stop)
            .await?;
        let stat = call("count the changes")
            .args(diff)
            .args(["--numstat", "-z", base_commit, "--"])
            .ok(stop)
            .await?;
        Ok(count(&String::from_utf8_lossy(&stat.stdout)))
    }
}

/// Removes every `.git` below the top one. Git would start a second git inside such a repository, with the configuration that
/// the agent wrote for it; and its files would be missing from the patch, a bare link in their place.
fn remove_nested(tree: &OwnedFd) -> io::Result<()> {
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        let folder = beneath::open(tree, &inside)?;
        for entry in beneath::entries(&folder)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            match entry.file_name().eq_ignore_ascii_case(".git") {
                true if inside.as_os_str().is_empty() => {}
                true if is_dir => fs::remove_dir_all(entry.path())?,
                true => fs::remove_file(entry.path())?,
                false if is_dir => left.push(inside.join(entry.file_name())),
                false => {}
            }
        }
    }
    Ok(())
}

/// Sums up `--numstat -z`; binary files count as files, with `-` for their lines.
fn count(numstat: &str) -> PatchStat {
    let mut stat = PatchStat::default();
    for line in numstat.split('\0').filter(|line| !line.is_empty()) {
        let mut columns = line.splitn(3, '\t').map(|column| column.parse::<i32>().unwrap_or(0));
        stat.files = stat.files.saturating_add(1);
        stat.insertions = stat.insertions.saturating_add(columns.next().unwrap_or(0));
        stat.deletions = stat.deletions.saturating_add(columns.next().unwrap_or(0));
    }
    stat
}
