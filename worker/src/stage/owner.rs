//! Whose a run's folder is.
//!
//! Two workers may have one work root: a worker that was fenced, and one that stood by and does its job now. The mark of a folder lies
//! outside it, where no agent can write, and is read and written under a lock.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use moorline_proto::v1;
use rustix::fs::FlockOperation;

/// The claim under which a run's folder was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The job.
    pub job_id: String,
    /// The lease token.
    pub lease_token: i64,
}

impl From<&v1::Offer> for Owner {
    fn from(offer: &v1::Offer) -> Self {
        Self {
            job_id: offer.job_id.clone(),
            lease_token: offer.lease_token,
        }
    }
}

/// The mark of one run's folder, which nobody else reads or writes while this is held.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    _lock: File,
}

impl Mark {
    /// Waits for the lock.
    pub(super) fn lock(work_root: &Path, run_id: &str) -> io::Result<Self> {
        let folder = work_root.join("owners");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut options = OpenOptions::new();
        // No run has that id: an id has no full stop in it.
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(".lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self {
            path: folder.join(run_id),
            _lock: lock,
        })
    }

    /// `None` for a folder that bears no mark: no job at work has made it.
    pub(super) fn read(&self) -> io::Result<Option<Owner>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        // Half a mark was left by a machine that lost its power: no agent had been started.
        let owner = text.trim_end().rsplit_once(' ').and_then(|(job_id, token)| {
            Some(Owner {
                job_id: job_id.to_owned(),
                lease_token: token.parse().ok()?,
            })
        });
        Ok(owner)
    }

    pub(super) fn write(&self, owner: &Owner) -> io::Result<()> {
        fs::write(&self.path, format!("{} {}\n", owner.job_id, owner.lease_token))
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
