//! The folders of a run on the worker.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use moorline_proto::v1;

use super::{Context, Owner, RunFolder, owner::Mark};
use crate::{
    beneath,
    disk::remove,
    engine::user::{User, is_root},
};

impl RunFolder {
    /// The folders of one run and job below the work root; nothing is made yet.
    pub fn below(work_root: &Path, run_id: &str, job_id: &str) -> Self {
        let root = work_root.join("runs").join(run_id);
        Self {
            repo: root.join("repo"),
            home: root.join("home"),
            artifacts: root.join("artifacts"),
            // Of the job, not only of the run: an attempt that has been offered anew must not meet the one before.
            git_dir: work_root.join("git").join(run_id).join(job_id).join("git"),
            root,
        }
    }

    /// The job's folder that no container sees, around its git directory: for files that the worker writes.
    pub fn private(&self) -> PathBuf {
        self.git_dir.parent().unwrap_or(&self.git_dir).to_owned()
    }

    /// The patch of the agent's work, once it is taken.
    pub fn patch(&self) -> PathBuf {
        self.private().join("codex.patch")
    }

    /// Makes the job's private folder.
    pub fn create_private(&self) -> io::Result<()> {
        // Nobody takes for nobody's what is being made.
        let _mark = self.mark()?;
        fs::create_dir_all(self.private())?;
        if let Some(all) = self.private().parent().and_then(Path::parent) {
            // Its names are the runs' ids, which lead to their folders.
            fs::set_permissions(all, fs::Permissions::from_mode(0o700))?;
        }
        fs::set_permissions(self.private(), fs::Permissions::from_mode(0o700))
    }

    /// Makes the run's folders and gives those inside to the user of jobs. Nobody else may look into them.
    ///
    /// The folder around them stays the worker's: whoever may rename `repo` could put a link to the worker's own files in its place.
    /// What an earlier owner has left is removed before. From then on the folder bears the owner's mark.
    pub fn create_shared(&self, job_user: &str, owner: &Owner) -> io::Result<()> {
        let mark = self.mark()?;
        if let Some(other) = mark.read()?
            && other.job_id == owner.job_id
            && other.lease_token > owner.lease_token
        {
            return Err(io::Error::other("it is a newer claim's of the same job by now"));
        }
        remove(&self.root)?;
        mark.write(owner)?;
        let user = user(job_user)?;
        fs::create_dir_all(&self.root)?;
        if let Some(runs) = self.root.parent() {
            // A job of another user must be able to pass through, but not to see the other runs.
            fs::set_permissions(runs, fs::Permissions::from_mode(if is_root() { 0o711 } else { 0o700 }))?;
        }
        // Passed through by the job alone, where its group can be told to; `runs` is closed to others where it can't.
        let mode = match is_root() {
            true => 0o710,
            false if rustix::process::geteuid().as_raw() == user.uid => 0o700,
            false => 0o711,
        };
        if is_root() {
            lchown(&self.root, Some(0), Some(user.gid))?;
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(mode))?;
        for folder in [&self.repo, &self.home, &self.artifacts] {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            hand_over(folder, job_user)?;
        }
        Ok(())
    }

    /// Makes what every job needs; submit makes the run's own folders itself.
    pub fn prepare(&self, ctx: &Context) -> Result<(), v1::Failure> {
        self.create_private().map_err(|error| {
            let root = ctx.config.work_root.display();
            let message = format!(
                "the worker can't make the run's folders below {root} ({error}): set MOORLINE_WORK_ROOT to a folder that it may write"
            );
            super::failure("WORK_ROOT_UNUSABLE", v1::FailureClass::Environment, message)
        })
    }

    /// Opens a file for reading. One of the run's own folder was written by an agent, who may have put a symbolic link there
    /// that leads to the worker's secrets: no link is followed, and only a regular file is opened.
    pub fn open(&self, path: &Path) -> io::Result<fs::File> {
        let file = match path.strip_prefix(&self.root) {
            Ok(inside) => beneath::open(beneath::folder(&self.root)?, inside)?.into(),
            Err(_) => fs::File::open(path)?,
        };
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// Removes what the job has left.
    pub fn remove_private(&self) -> io::Result<()> {
        remove(&self.private())?;
        // The folder around it goes with the run's last job.
        if let Some(run) = self.private().parent() {
            let _ = fs::remove_dir(run);
        }
        Ok(())
    }

    /// Removes what the run has left on this worker, unless it bears another's mark: a job that was claimed anew may be at work in there.
    pub fn remove_shared(&self, owner: Option<&Owner>) -> io::Result<()> {
        let mark = self.mark()?;
        match mark.read()? {
            Some(other) if owner != Some(&other) => {
                let (job_id, lease_token) = (&other.job_id, other.lease_token);
                tracing::info!(folder = %self.root.display(), of_job = %job_id, of_lease = lease_token, "the run's folder is left alone: it is another claim's by now");
                Ok(())
            }
            _ => {
                remove(&self.root)?;
                mark.remove()
            }
        }
    }

    /// Whether the run's folder bears another's mark.
    pub fn is_of_another(&self, owner: &Owner) -> io::Result<bool> {
        Ok(self.mark()?.read()?.is_some_and(|other| other != *owner))
    }

    fn mark(&self) -> io::Result<Mark> {
        let (work_root, run_id) = (self.root.parent().and_then(Path::parent), self.root.file_name());
        match (work_root, run_id.and_then(|id| id.to_str())) {
            (Some(work_root), Some(run_id)) => Mark::lock(work_root, run_id),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Makes everything below a path writable for the user of jobs (`uid:gid`): by giving it to that user where the worker may, by
/// permissions where it may not. Symbolic links are never followed.
pub fn hand_over(path: &Path, job_user: &str) -> io::Result<()> {
    let User { uid, gid } = user(job_user)?;
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

fn user(job_user: &str) -> io::Result<User> {
    job_user.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
