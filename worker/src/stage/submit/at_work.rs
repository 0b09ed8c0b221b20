//! What a worker must know of an agent that it didn't start itself, to go on where another process of its name was.
//!
//! The rest is in the container's labels, in the offer, and in the run's folder. It lies in the job's private folder, which no container
//! sees: whoever could change the base commit could choose what the patch says.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use moorline_proto::v1;
use serde::{Deserialize, Serialize};

use crate::{
    boot::Moment,
    git::Base,
    stage::{Context, Leg, RunFolder},
};

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
    /// Whose container it is.
    #[serde(default)]
    pub leg: Leg,
    /// SHA-256 of the skill that was tried, if one was.
    #[serde(default)]
    skill_digest: String,
    /// Why the skill failed that was tried before.
    #[serde(default)]
    skill_failure: Option<Noted>,
    /// Bytes of the job's output that are not this container's.
    #[serde(default)]
    pub(super) output_before: u64,
}

/// A failure, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    code: String,
    message: String,
    class: i32,
    details: HashMap<String, String>,
}

impl AtWork {
    pub(super) fn new(ctx: &Context, base: &Base, leg: Leg, output_before: u64) -> Self {
        let execution = ctx.course.so_far();
        let noted = |failure: v1::Failure| Noted {
            code: failure.code,
            message: failure.message,
            class: failure.class,
            details: failure.details,
        };
        Self {
            lease_token: ctx.offer.lease_token,
            base_commit: base.commit.clone(),
            branch: base.branch.clone(),
            began: ctx.course.began(),
            leg,
            skill_digest: execution.skill_digest,
            skill_failure: execution.skill_failure.map(noted),
            output_before,
        }
    }

    /// The commit and its branch.
    pub(super) fn base(&self) -> Base {
        Base {
            commit: self.base_commit.clone(),
            branch: self.branch.clone(),
        }
    }

    /// When the stage began.
    pub(crate) fn began(&self) -> Moment {
        self.began.clone()
    }

    /// Why the skill failed that was tried before.
    pub(super) fn skill_failure(&self) -> Option<v1::Failure> {
        let noted = self.skill_failure.clone()?;
        Some(v1::Failure {
            code: noted.code,
            message: noted.message,
            class: noted.class,
            details: noted.details,
        })
    }

    /// Brings what is known of the attempt's course back.
    pub(super) fn recall(&self, ctx: &Context) {
        if self.leg == Leg::Direct {
            return;
        }
        ctx.course.skill_tried();
        ctx.course.skill_found(&self.skill_digest);
        if let Some(failure) = self.skill_failure() {
            ctx.course.skill_failed(&failure);
        }
        if self.leg == Leg::Fallback {
            ctx.course.fell_back();
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
        let noted = AtWork {
            lease_token: 7,
            base_commit: "c0ffee".to_owned(),
            branch: "main".to_owned(),
            began: Moment::now(),
            leg: Leg::Fallback,
            skill_digest: "d1".to_owned(),
            skill_failure: Some(Noted {
                code: "NO_CHANGES".to_owned(),
                message: "nothing".to_owned(),
                class: 1,
                details: HashMap::from([("a".to_owned(), "b".to_owned())]),
            }),
            output_before: 9,
        };
        noted.write(&folder).unwrap();
        assert_eq!(AtWork::read(&folder).unwrap(), Some(noted));
        fs::write(path(&folder), "{\"lease_token\":7,").unwrap();
        assert!(AtWork::read(&folder).is_err());
    }

    #[test]
    fn a_note_from_before_there_were_skills_is_of_the_built_in_way() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = RunFolder::below(dir.path(), "run", "job");
        folder.create_private().unwrap();
        let noted = r#"{"lease_token":7,"base_commit":"c0ffee","branch":"main","began":{"boot":"","uptime":{"secs":1,"nanos":0}}}"#;
        fs::write(path(&folder), noted).unwrap();
        let read = AtWork::read(&folder).unwrap().unwrap();
        assert_eq!((read.leg, read.skill_failure(), read.output_before), (Leg::Direct, None, 0));
    }
}
