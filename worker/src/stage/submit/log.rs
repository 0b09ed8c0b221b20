//! The agent's output: read while it is written, cleared of secrets, kept where no container reaches it.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Submit, progress::Throttle, told::Told};
use crate::{
    agent::{Agent, Transcript},
    redact::Redactor,
    stage::{Lines, Outlet, RunFolder},
};

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What is read at once, in bytes.
const PIECE: u64 = 256 << 10;
/// Most that is taken of the output, and that is kept of it, in bytes. An agent may make its file as long as it likes: as a sparse
/// one it costs it nothing.
const MOST: u64 = 128 << 20;
/// Longest line of progress, in characters.
const PROGRESS: usize = 200;
/// What is kept of standard error, from its end, in bytes.
const STDERR: u64 = 64 << 10;
/// What is read of an output that is too long, from its end, for how the agent's turn ended, in bytes.
const END: u64 = 1 << 20;

/// Where the container writes its standard output and error.
pub(super) fn raw(folder: &RunFolder) -> PathBuf {
    folder.artifacts.join("codex.jsonl")
}

pub(super) fn stderr(folder: &RunFolder) -> PathBuf {
    folder.artifacts.join("codex.stderr")
}

/// The agent's log without secrets, as it is stored.
pub(super) fn artifact(folder: &RunFolder) -> PathBuf {
    folder.private().join("codex.jsonl")
}

/// The job's output, where another leg has written to it before this one: what of it has been sent can't be sent otherwise any more.
pub(super) fn output(folder: &RunFolder) -> PathBuf {
    folder.private().join("output.jsonl")
}

/// One agent's output.
pub(super) struct Log {
    agent: Arc<dyn Agent>,
    outlet: Arc<dyn Outlet>,
    redactor: Redactor,
    folder: RunFolder,
    /// What the container writes.
    raw: PathBuf,
    stderr: PathBuf,
    /// The same without secrets, after what earlier legs have written.
    path: PathBuf,
    clean: File,
    before: u64,
    lines: Lines,
    /// Bytes that were read of what the container writes, that were taken as whole lines, and that were written without secrets.
    offset: u64,
    taken: u64,
    kept: u64,
    most: u64,
    /// Whether no more is taken.
    full: bool,
    /// Whether something could not be written since the last that could, and whether the file says so.
    gap: bool,
    gap_said: bool,
    transcript: Transcript,
    throttle: Throttle,
    told: Told,
}

impl Log {
    /// Begins at the beginning, also where the agent was `adopted`: what it has said so far is the state that is needed.
    pub(super) fn open(submit: &Submit<'_>, adopted: bool) -> io::Result<Self> {
        let (folder, before) = (&submit.ctx.folder, submit.output_before);
        let path = match before {
            0 => artifact(folder),
            _ => output(folder),
        };
        let mut clean = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        clean.set_len(before)?;
        clean.seek(SeekFrom::End(0))?;
        Ok(Self {
            agent: submit.agent.clone(),
            outlet: submit.ctx.outlet.clone(),
            redactor: submit.redactor.clone(),
            raw: raw(folder),
            stderr: stderr(folder),
            clean,
            path,
            before,
            folder: folder.clone(),
            lines: Lines::default(),
            offset: 0,
            taken: 0,
            kept: 0,
            most: MOST,
            full: false,
            gap: false,
            gap_said: false,
            transcript: Transcript::default(),
            throttle: Throttle::new(Instant::now()),
            told: Told::open(folder, adopted),
        })
    }

    /// The file without secrets.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes in what the agent writes, until it has ended and all is read.
    pub(super) async fn follow(&mut self, ended: &CancellationToken) {
        loop {
            // Asked before reading: what was written before the end is then read, too.
            let last = ended.is_cancelled();
            match self.take().await {
                Ok(0) if last => return,
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) if last => {
                    tracing::warn!(%error, "the agent's output could not be read");
                    return;
                }
                // It isn't there until the container has got that far.
                Err(_) => {}
            }
            tokio::select! {
                () = ended.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Reads a piece; returns its length, 0 when there is no more to take.
    async fn take(&mut self) -> io::Result<usize> {
        if self.full {
            return Ok(0);
        }
        // Opened anew each time, and never through a link: the agent may have put one there.
        let mut file = self.folder.open(&self.raw)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        // One byte more than there is room for tells whether there is more.
        let room = self.most.saturating_sub(self.offset);
        let length = file.take(PIECE.min(room.saturating_add(1))).read_to_end(&mut piece)?;
        piece.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        self.offset += piece.len() as u64;
        if let Some(whole) = self.lines.push(&piece) {
            self.keep(&whole).await;
        }
        self.full |= length as u64 > room;
        // Nothing above waits: without this the job would hear of no cancellation until all is read.
        tokio::task::yield_now().await;
        Ok(length)
    }

    /// Reads the events in whole lines, and writes the lines down without their secrets, if there is room. Events first: a disk that is full
    /// for a moment must not cost the end of a turn.
    async fn keep(&mut self, lines: &[u8]) {
        let mut news = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.taken += line.len() as u64;
            let line = String::from_utf8_lossy(line);
            let seen = self.agent.read_line(line.trim_end(), &self.folder.repo, &mut self.transcript);
            let seen = seen.filter(|_| self.told.is_news(self.taken));
            let seen = seen.map(|seen| self.redactor.line(&seen, PROGRESS));
            news.extend(seen.and_then(|seen| self.throttle.pass(seen, Instant::now())));
        }
        let clean = self.redactor.text(&String::from_utf8_lossy(lines));
        self.write(&clean);
        if let Err(error) = self.told.note(self.taken) {
            tracing::warn!(%error, "how much of the agent's output was told can't be noted: a restart of the worker may tell it again");
        }
        for line in news {
            self.outlet.progress(&line).await;
        }
    }

    fn write(&mut self, clean: &str) {
        // What stands for a secret, or for bytes that are no text, may be longer than they were.
        self.full |= self.kept.saturating_add(clean.len() as u64) > self.most;
        if self.full || clean.is_empty() {
            return;
        }
        if let Err(error) = self.put(clean) {
            if !self.gap {
                tracing::warn!(%error, "the agent's log can't be written and lacks a part: see to the room on the worker's disk");
            }
            self.gap = true;
        }
    }

    /// Writes behind what is there; where something is missing, the file says so, once.
    fn put(&mut self, clean: &str) -> io::Result<()> {
        if self.gap {
            // What could not be written whole may have left a part of a line.
            if self.clean.stream_position()? > self.before + self.kept {
                self.clean.write_all(b"\n")?;
            }
            self.clean.write_all(self.own_up().as_bytes())?;
            self.kept = self.clean.stream_position()? - self.before;
            (self.gap, self.gap_said) = (false, true);
        }
        self.clean.write_all(clean.as_bytes())?;
        self.kept += clean.len() as u64;
        Ok(())
    }

    /// What says that something is missing; nothing once it was said.
    fn own_up(&self) -> String {
        match self.gap_said {
            true => String::new(),
            false => format!(
                "{}\n",
                json!({"type": "moorline.truncated", "text": "a part of the output is missing: the worker's disk did not take it"})
            ),
        }
    }

    /// Ends the file with what is left and with standard error, and returns what was said. What this agent has written of it alone is in the file
    /// `artifact` then.
    pub(super) fn finish(mut self, artifact: &Path) -> (Transcript, String) {
        let stderr = tail(&self.folder, &self.stderr, 0, STDERR).unwrap_or_default();
        let mut left = self.lines.rest();
        if self.full {
            // Whether the agent's turn was done is said at the end.
            left.extend(tail(&self.folder, &self.raw, self.offset, END).unwrap_or_default());
        }
        let left = String::from_utf8_lossy(&left);
        for line in left.lines() {
            self.agent.read_line(line, &self.folder.repo, &mut self.transcript);
        }
        let clean = match self.redactor.text(&left) {
            clean if clean.is_empty() => clean,
            clean => clean + "\n",
        };
        self.write(&clean);
        let mut last = String::new();
        if self.full {
            let text = format!("the output is longer than {} bytes; the rest was not kept", self.most);
            last = format!("{}\n", json!({"type": "moorline.truncated", "text": text}));
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        if !stderr.is_empty() {
            let event = json!({"type": "moorline.stderr", "text": self.redactor.text(&stderr)});
            last = format!("{last}{event}\n");
        }
        // Behind a gap that nothing has followed yet, this says so.
        let ended = match self.gap {
            true => self.put(&last),
            false => self.clean.write_all(last.as_bytes()),
        };
        let ended = ended.and_then(|()| self.clean.sync_all());
        if let Err(error) = ended.and_then(|()| self.cut_out(artifact)) {
            tracing::warn!(%error, "the agent's log could not be written to its end");
        }
        (self.transcript, stderr)
    }
}

impl Log {
    fn cut_out(&mut self, to: &Path) -> io::Result<()> {
        if self.before > 0 {
            self.clean.seek(SeekFrom::Start(self.before))?;
            io::copy(&mut self.clean, &mut File::create(to)?)?;
        }
        Ok(())
    }
}

/// The last bytes of a file, at most `most` of them, and none before `from`.
fn tail(folder: &RunFolder, path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut file = folder.open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most).max(from)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
