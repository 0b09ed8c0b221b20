//! What a worker must know of an agent that it didn't start itself, to go on where another process of its name was.
//!
//! The rest is in the container's labels, in the offer, and in the run's folder. It lies in the job's private folder, which no container
//! sees: whoever could change the base commit could choose what the patch says.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{boot::Moment, git::Base, stage::RunFolder};

/// A job whose container runs, or has run. Written when the container has started: a job without it had no agent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtWork {
    /// The lease that the container was started under.
    pub lease_token: i64,
    /// The commit that the agent began with, which its patch is against.
    pub base_commit: String,
    /// The branch that it is on.
    pub branch: String,
    /// When the stage began, by the clock of the boot.
    began: Moment,
}

impl AtWork {
    pub(super) fn new(lease_token: i64, base: &Base, began: Moment) -> Self {
        Self {
            lease_token,
            base_commit: base.commit.clone(),
            branch: base.branch.clone(),
            began,
        }
    }

    /// Reads what an earlier process has noted; `None` when the job had no agent yet.
    ///
    /// # Errors
    ///
    /// When there is a note that can't be read.
    pub fn read(folder: &RunFolder) -> io::Result<Option<Self>> {
        match fs::read(path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(Some(serde_json::from_slice(&read?)?)),
        }
    }

    /// Notes it, whole or not at all, and so that it outlasts the machine's power.
    pub(super) fn write(&self, folder: &RunFolder) -> io::Result<()> {
        let (path, new) = (path(folder), path(folder).with_extension("new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder.private())?.sync_all()
    }

    /// How long ago the stage began; nothing, where the machine has started anew since.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed().unwrap_or_default()
    }
}

fn path(folder: &RunFolder) -> PathBuf {
    folder.private().join("at-work.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_again_and_half_a_note_is_no_note() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = RunFolder::below(dir.path(), "run", "job");
        folder.create_private().unwrap();
        assert_eq!(AtWork::read(&folder).unwrap(), None);
        let base = Base {
            commit: "c0ffee".to_owned(),
            branch: "main".to_owned(),
        };
        let noted = AtWork::new(7, &base, Moment::now());
        noted.write(&folder).unwrap();
        assert_eq!(AtWork::read(&folder).unwrap(), Some(noted));
        fs::write(path(&folder), "{\"lease_token\":7,").unwrap();
        assert!(AtWork::read(&folder).is_err());
    }
}
