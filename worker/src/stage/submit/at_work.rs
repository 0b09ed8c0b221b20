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

use crate::{git::Base, stage::RunFolder};

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
        self.began.elapsed()
    }
}

fn path(folder: &RunFolder) -> PathBuf {
    folder.private().join("at-work.json")
}

/// A point in time that means the same to every process of one boot, however the machine's clock is set meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    boot: String,
    uptime: Duration,
}

impl Moment {
    pub(super) fn now() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let seconds = text("/proc/uptime").split(' ').next().and_then(|seconds| seconds.parse().ok());
        Self {
            boot: text("/proc/sys/kernel/random/boot_id"),
            uptime: Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default(),
        }
    }

    /// How long ago it was; nothing, where it was in another boot.
    pub(super) fn elapsed(&self) -> Duration {
        let now = Self::now();
        match now.boot == self.boot {
            true => now.uptime.saturating_sub(self.uptime),
            false => Duration::ZERO,
        }
    }
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

    #[test]
    fn time_goes_on_in_one_boot_and_begins_anew_in_the_next() {
        let now = Moment::now();
        let before = Moment {
            uptime: now.uptime.saturating_sub(Duration::from_secs(3)),
            ..now.clone()
        };
        assert!((2..30).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
        let later = Moment {
            uptime: now.uptime + Duration::from_secs(3600),
            ..now.clone()
        };
        assert_eq!(later.elapsed(), Duration::ZERO);
        let other = Moment {
            boot: "another".to_owned(),
            ..before
        };
        assert_eq!(other.elapsed(), Duration::ZERO);
    }
}
