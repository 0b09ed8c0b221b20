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

use super::{Submit, progress::Throttle};
use crate::{
    agent::{Agent, Transcript},
    engine::ContainerSpec,
    redact::Redactor,
    stage::{Outlet, RunFolder},
};

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A line that is longer is taken in pieces; no event is near it.
const LONGEST_LINE: usize = 8 << 20;
/// Longest line of progress, in characters.
const PROGRESS: usize = 200;
/// What is kept of standard error, from its end, in bytes.
const STDERR: u64 = 64 << 10;

/// One agent's output.
pub(super) struct Log {
    agent: Arc<dyn Agent>,
    outlet: Arc<dyn Outlet>,
    redactor: Redactor,
    folder: RunFolder,
    /// What the container writes.
    raw: PathBuf,
    stderr: PathBuf,
    /// The same without secrets.
    path: PathBuf,
    clean: File,
    pending: Vec<u8>,
    offset: u64,
    transcript: Transcript,
    throttle: Throttle,
}

impl Log {
    pub(super) fn new(submit: &Submit<'_>, spec: &ContainerSpec) -> io::Result<Self> {
        let folder = &submit.ctx.folder;
        let path = folder.private().join("codex.jsonl");
        Ok(Self {
            agent: submit.agent.clone(),
            outlet: submit.ctx.outlet.clone(),
            redactor: submit.redactor.clone(),
            raw: spec.stdout.clone().unwrap_or_default(),
            stderr: spec.stderr.clone().unwrap_or_default(),
            clean: File::create(&path)?,
            path,
            folder: folder.clone(),
            pending: Vec::new(),
            offset: 0,
            transcript: Transcript::default(),
            throttle: Throttle::new(Instant::now()),
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

    /// Reads a piece; returns its length.
    async fn take(&mut self) -> io::Result<usize> {
        // Opened anew each time, and never through a link: the agent may have put one there.
        let mut file = self.folder.open(&self.raw)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        let length = file.take(1 << 20).read_to_end(&mut piece)?;
        self.offset += length as u64;
        self.pending.extend_from_slice(&piece);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line).await?;
        }
        if self.pending.len() > LONGEST_LINE {
            let line = std::mem::take(&mut self.pending);
            self.line(&line).await?;
        }
        Ok(length)
    }

    async fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let line = String::from_utf8_lossy(line);
        self.clean.write_all(self.redactor.text(&line).as_bytes())?;
        let seen = self.agent.read_line(&line, &self.folder.repo, &mut self.transcript);
        let seen = seen.map(|seen| self.redactor.line(&seen, PROGRESS));
        if let Some(line) = seen.and_then(|seen| self.throttle.pass(seen, Instant::now())) {
            self.outlet.progress(&line).await;
        }
        Ok(())
    }

    /// Ends the file with what is left and with standard error, and returns what was said.
    pub(super) fn finish(mut self, folder: &RunFolder) -> (Transcript, String) {
        let stderr = tail(folder, &self.stderr).unwrap_or_default();
        let left = self.redactor.text(&String::from_utf8_lossy(&self.pending));
        self.agent.read_line(&left, &self.folder.repo, &mut self.transcript);
        let mut last = if left.is_empty() { left } else { left + "\n" };
        if !stderr.is_empty() {
            let event = json!({"type": "moorline.stderr", "text": self.redactor.text(&stderr)});
            last = format!("{last}{event}\n");
        }
        if let Err(error) = self.clean.write_all(last.as_bytes()).and_then(|()| self.clean.sync_all()) {
            tracing::warn!(%error, "the agent's log could not be written to its end");
        }
        (self.transcript, stderr)
    }
}

fn tail(folder: &RunFolder, path: &Path) -> io::Result<String> {
    let mut file = folder.open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR)))?;
    let mut text = Vec::new();
    file.take(STDERR).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
