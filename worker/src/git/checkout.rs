//! A checkout for an agent, with a `.git` of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::{Base, Error, Git, remove};
use crate::stage::hand_over;

/// What to check out, and where.
#[derive(Debug, Clone)]
pub struct Checkout<'a> {
    /// `owner/name`, or a git URL.
    pub repository: &'a str,
    /// Branch to start from; the remote's HEAD when empty.
    pub base_ref: &'a str,
    /// Commit to start from; the tip of the branch when `None`.
    pub commit: Option<&'a str>,
    /// The worker's own git directory, made anew.
    pub git_dir: &'a Path,
    /// The work tree, made anew, with a copy of the git directory as `.git`.
    pub work_tree: &'a Path,
    /// `uid:gid` that is to own the work tree.
    pub owner: &'a str,
}

impl Git {
    /// Fetches one commit and checks it out. The agent gets a copy of the git directory, so that nothing it does to its `.git`
    /// reaches the worker's.
    pub async fn checkout(&self, spec: &Checkout<'_>, stop: &CancellationToken) -> Result<Base, Error> {
        let base = self.fetch(spec.repository, spec.base_ref, spec.commit, spec.git_dir, stop).await?;
        self.lay_out(spec, &base, None, stop).await?;
        Ok(base)
    }

    /// The same with a commit that was fetched already, or with another tree in its place, such as that of a patch that was applied to it.
    pub async fn lay_out(&self, spec: &Checkout<'_>, base: &Base, tree: Option<&str>, stop: &CancellationToken) -> Result<(), Error> {
        remove(spec.work_tree).await?;
        fs::create_dir_all(spec.work_tree).map_err(|error| Error::io("create", spec.work_tree, error))?;
        let branch = format!("refs/heads/{}", base.branch);
        self.call("set the branch")
            .git_dir(spec.git_dir)
            .args(["update-ref", "--", &branch, &base.commit])
            .ok(stop)
            .await?;
        self.call("set HEAD")
            .git_dir(spec.git_dir)
            .args(["symbolic-ref", "--", "HEAD", &branch])
            .ok(stop)
            .await?;
        self.call("check the branch out")
            .git_dir(spec.git_dir)
            .env("GIT_WORK_TREE", spec.work_tree)
            // A few bytes in a pack may be gigabytes of files.
            .fills(spec.work_tree)
            .args(["read-tree", "--reset", "-u", tree.unwrap_or(&base.commit)])
            .ok(stop)
            .await?;

        let dot_git = spec.work_tree.join(".git");
        let (from, to) = (spec.git_dir.to_owned(), dot_git.clone());
        tokio::task::spawn_blocking(move || copy(&from, &to))
            .await
            .map_err(|error| Error::Other {
                doing: "copy the git directory".to_owned(),
                said: error.to_string(),
            })??;
        self.call("prepare the agent's git directory")
            .args(["config", "--file"])
            .arg(dot_git.join("config"))
            .args(["core.bare", "false"])
            .ok(stop)
            .await?;
        let (tree, owner) = (spec.work_tree.to_owned(), spec.owner.to_owned());
        tokio::task::spawn_blocking(move || hand_over(&tree, &owner).map_err(|error| Error::io("hand over", &tree, error)))
            .await
            .map_err(|error| Error::Other {
                doing: "hand the checkout over".to_owned(),
                said: error.to_string(),
            })??;
        Ok(())
    }
}

/// Copies, never links: the agent owns its copy, and could write through a link.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut folders: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        let failed = |error| Error::io("copy", &from, error);
        fs::create_dir_all(&to).map_err(failed)?;
        for entry in fs::read_dir(&from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let target = to.join(entry.file_name());
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push((entry.path(), target));
            } else {
                fs::copy(entry.path(), &target).map_err(failed)?;
            }
        }
    }
    Ok(())
}
