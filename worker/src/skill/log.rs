//! What a skill's program says on standard error: read while it is written, cleared of secrets, kept where no container reaches it.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    redact::Redactor,
    stage::{Context, Lines, RunFolder},
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What is read at once, in bytes.
const PIECE: u64 = 256 << 10;
/// Most that is kept, in bytes.
const MOST: u64 = 16 << 20;
/// Bytes of the last lines that are remembered.
const LAST: usize = 2 << 10;

/// One program's log.
pub(super) struct Log {
    folder: RunFolder,
    raw: PathBuf,
    clean: File,
    redactor: Redactor,
    lines: Lines,
    offset: u64,
    last: String,
}

impl Log {
    /// Where it is without secrets.
    pub(super) fn path(folder: &RunFolder) -> PathBuf {
        folder.private().join("skill.log")
    }

    /// Begins at the beginning.
    pub(super) fn open(ctx: &Context, raw: PathBuf, redactor: Redactor) -> io::Result<Self> {
        Ok(Self {
            clean: File::create(Self::path(&ctx.folder))?,
            folder: ctx.folder.clone(),
            raw,
            redactor,
            lines: Lines::default(),
            offset: 0,
            last: String::new(),
        })
    }

    /// Takes in what is written until it has ended, and returns the last of it.
    pub(super) async fn follow(&mut self, ended: &CancellationToken) -> String {
        loop {
            // Asked before reading: what was written before the end is then read, too.
            let last = ended.is_cancelled();
            match self.take() {
                Ok(length) if length > 0 => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Err(error) if last => tracing::warn!(%error, "what a skill's program said could not be read"),
                // It isn't there until the container has got that far.
                _ => {}
            }
            if last {
                let rest = self.lines.rest();
                self.keep(&rest);
                return self
                    .last
                    .lines()
                    .rfind(|line| !line.trim().is_empty())
                    .unwrap_or_default()
                    .to_owned();
            }
            tokio::select! {
                () = ended.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Reads a piece; returns its length.
    fn take(&mut self) -> io::Result<usize> {
        // Opened anew each time, and never through a link: the program may have put one there.
        let mut file = self.folder.open(&self.raw)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        let length = file.take(PIECE.min(MOST.saturating_sub(self.offset))).read_to_end(&mut piece)?;
        self.offset += length as u64;
        if let Some(whole) = self.lines.push(&piece) {
            self.keep(&whole);
        }
        Ok(length)
    }

    fn keep(&mut self, lines: &[u8]) {
        let clean = self.redactor.text(&String::from_utf8_lossy(lines));
        self.last.push_str(&clean);
        if let Some(more) = self.last.len().checked_sub(LAST) {
            let from = (more..self.last.len()).find(|at| self.last.is_char_boundary(*at));
            self.last.drain(..from.unwrap_or_default());
        }
        if let Err(error) = self.clean.write_all(clean.as_bytes()) {
            tracing::warn!(%error, "the log of a skill's program can't be written: see to the room on the worker's disk");
        }
    }
}
