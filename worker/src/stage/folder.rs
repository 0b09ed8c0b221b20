//! The folders of a run on the worker.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, lchown},
    path::Path,
};

use super::RunFolder;

impl RunFolder {
    /// The folders of one run and job below the work root; nothing is made yet.
    pub fn below(work_root: &Path, run_id: &str, job_id: &str) -> Self {
        let root = work_root.join("runs").join(run_id);
        Self {
            repo: root.join("repo"),
            home: root.join("home"),
            artifacts: root.join("artifacts"),
            // Of the job, not only of the run: an attempt that has been offered anew must not meet the one before.
            git_dir: work_root.join("git").join(run_id).join(job_id),
            root,
        }
    }

    /// Makes the folders and gives the run's own to the user of jobs. Nobody else may look into them.
    pub fn create(&self, job_user: &str) -> io::Result<()> {
        if let Some(runs) = self.root.parent() {
            fs::create_dir_all(runs)?;
            // A job of another user must be able to pass through, but not to see the other runs.
            fs::set_permissions(runs, fs::Permissions::from_mode(if is_root() { 0o711 } else { 0o700 }))?;
        }
        for folder in [&self.repo, &self.home, &self.artifacts] {
            fs::create_dir_all(folder)?;
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700))?;
        hand_over(&self.root, job_user)?;
        if let Some(git) = self.git_dir.parent() {
            fs::create_dir_all(git)?;
            fs::set_permissions(git, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

/// Makes everything below a path writable for the user of jobs (`uid:gid`): by giving it to that user where the worker may, by
/// permissions where it may not. Symbolic links are never followed.
pub fn hand_over(path: &Path, job_user: &str) -> io::Result<()> {
    let invalid = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("MOORLINE_JOB_USER must be uid:gid, not {job_user}"),
        )
    };
    let (uid, gid) = job_user.split_once(':').ok_or_else(invalid)?;
    let (uid, gid): (u32, u32) = (uid.parse().map_err(|_| invalid())?, gid.parse().map_err(|_| invalid())?);
    if rustix::process::geteuid().as_raw() == uid {
        return Ok(());
    }
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let kind = fs::symlink_metadata(&path)?;
        if is_root() {
            lchown(&path, Some(uid), Some(gid))?;
        } else if !kind.is_symlink() {
            let execute = if kind.is_dir() || kind.permissions().mode() & 0o100 != 0 {
                0o111
            } else {
                0
            };
            fs::set_permissions(&path, fs::Permissions::from_mode(kind.permissions().mode() | 0o666 | execute))?;
        }
        if kind.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
