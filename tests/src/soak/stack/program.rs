//! A server or worker as a process that can be killed, stopped and started again.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Longest time that a program may take to end once it has been asked to: the grace of a server, and what a busy machine adds.
const GRACE: Duration = Duration::from_secs(30);

/// See the module. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Option<Child>,
    stopped: bool,
}

impl Program {
    /// Starts it; what it says goes to a log of its name, across its lives.
    pub fn start(
        name: &str,
        program: PathBuf,
        arguments: &[String],
        environment: impl IntoIterator<Item = (&'static str, String)>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut started = Self {
            name: name.to_owned(),
            program,
            arguments: arguments.to_vec(),
            environment: environment.into_iter().collect(),
            log: folder.join(format!("{name}.log")),
            child: None,
            stopped: false,
        };
        started.spawn()?;
        Ok(started)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Whether it runs, and isn't stopped.
    pub fn runs(&mut self) -> bool {
        !self.stopped && matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// `kill -9`, and the end of it.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.with_context(|| format!("could not kill {}", self.name))?;
        }
        self.stopped = false;
        Ok(())
    }

    /// SIGTERM.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: it does nothing, and its lines stay open.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.stopped = true;
        self.signal(Signal::STOP)
    }

    /// Waits for the end of one that was asked to; kills it, and says so, when that takes too long.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            self.kill().await?;
            anyhow::bail!("{} had not ended {} s after SIGTERM", self.name, GRACE.as_secs());
        }
        self.child = None;
        Ok(())
    }

    /// Starts it if it has ended, lets it go on if it was stopped.
    pub async fn mend(&mut self) -> anyhow::Result<()> {
        if self.stopped {
            self.stopped = false;
            return self.signal(Signal::CONT);
        }
        if !self.runs() {
            self.spawn()?;
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        // Not reaped yet, so the id is still its own.
        let pid = self
            .child
            .as_ref()
            .and_then(Child::id)
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, signal).with_context(|| format!("could not signal {}", self.name))?;
        }
        Ok(())
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log);
        let log = log.with_context(|| format!("could not write {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn().with_context(|| format!("could not start {}", self.name))?);
        Ok(())
    }
}
