//! What a scripted worker has done, on disk before it is done: a line of JSON each, synced.
//!
//! The checker holds the database to it, and a worker that was killed goes on from it.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One thing that a worker has done or learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Entry {
    /// The process began.
    Began {
        /// Its instance.
        instance: Uuid,
    },
    /// The server has welcomed it.
    Welcomed {
        /// The session.
        session: Uuid,
    },
    /// It is about to accept an offer.
    Accepted(Accepted),
    /// It is about to send a report for the first time.
    Reported {
        /// The lease.
        token: i64,
        /// Number of the report.
        sequence: i64,
        /// What it says.
        news: News,
    },
    /// The server has acknowledged reports up to this one.
    Acknowledged {
        /// The lease.
        token: i64,
        /// Number of the last report that it counts.
        sequence: i64,
    },
    /// The server has said that the lease has passed on.
    Fenced {
        /// The lease.
        token: i64,
    },
}

/// An offer that a worker accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The job.
    pub job: Uuid,
    /// Its run.
    pub run: Uuid,
    /// Its lease.
    pub token: i64,
    /// Its stage: `discover`, `submit` or `publish`.
    pub stage: String,
    /// Its attempt.
    pub attempt: i32,
}

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// It goes on.
    Progress,
    /// The stage did what it should.
    Succeeded,
    /// Discover found nothing to do.
    NothingToDo,
    /// The stage failed by its own fault.
    Failed,
    /// The machine failed the stage.
    Broke,
    /// It was stopped on request.
    Stopped,
}

impl News {
    /// Whether it is the job's end.
    pub fn is_end(self) -> bool {
        self != Self::Progress
    }
}

/// What the result under a lease bears, so that the checker knows it again in the database.
pub fn mark(token: i64) -> String {
    format!("soak-{token}")
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens a worker's journal, and returns what is in it already. A line that a kill has cut short was never acted on, and goes.
    ///
    /// # Errors
    ///
    /// When the file can't be read or written.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Vec<Entry>)> {
        let said = || format!("could not open the journal {}", path.display());
        let text = if path.exists() {
            std::fs::read_to_string(path).with_context(said)?
        } else {
            String::new()
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let entries = parse(&text[..whole]).with_context(said)?;
        let file = OpenOptions::new().append(true).create(true).open(path).with_context(said)?;
        file.set_len(whole as u64).with_context(said)?;
        Ok((Self { file }, entries))
    }

    /// Writes an entry through to the disk.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line).context("could not write the journal")?;
        self.file.sync_data().context("could not sync the journal")
    }
}

/// All entries of a journal that nobody writes any more.
///
/// # Errors
///
/// When it can't be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    Ok(Journal::open(path)?.1)
}

fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries, []);
        journal.write(&Entry::Fenced { token: 1 }).unwrap();
        journal.file.write_all(b"{\"did\":\"fen").unwrap();
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert_eq!(entries, [Entry::Fenced { token: 1 }]);
        journal.write(&Entry::Fenced { token: 2 }).unwrap();
        assert_eq!(read(&path).unwrap(), [Entry::Fenced { token: 1 }, Entry::Fenced { token: 2 }]);
    }
}
