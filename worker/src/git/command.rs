//! The one way in which git is called: a cleared environment, a limit, a stop.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
};
use tokio_util::sync::CancellationToken;

use super::{Error, Git, room::Room};
use crate::redact::one_line;

/// Standard output and error that are kept of one call, in bytes.
const KEPT: u64 = 16 << 20;

/// One call of git, being put together.
pub(super) struct Call<'a> {
    git: &'a Git,
    doing: &'static str,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    remote: Option<String>,
    input: Option<Vec<u8>>,
    output: Option<File>,
    current: PathBuf,
    fills: Option<PathBuf>,
}

/// How a call ended.
pub(super) struct Output {
    /// Exit code; −1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, without credentials.
    pub stderr: String,
}

impl Git {
    /// A call that is to do what the verb phrase `doing` says.
    pub(super) fn call(&self, doing: &'static str) -> Call<'_> {
        Call {
            git: self,
            doing,
            args: Vec::new(),
            env: Vec::new(),
            remote: None,
            input: None,
            output: None,
            // Not the worker's own folder, which may be part of some repository with settings of its own.
            current: PathBuf::from("/"),
            fills: None,
        }
    }
}

impl Call<'_> {
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(super) fn git_dir(self, path: &Path) -> Self {
        self.env("GIT_DIR", path)
    }

    pub(super) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name, value.as_ref().to_owned()));
        self
    }

    /// The call talks to this URL: its failure is told apart as a remote's, and the token is handed over where it belongs.
    pub(super) fn remote(mut self, url: &str) -> Self {
        self.remote = Some(url.to_owned());
        self
    }

    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Standard output goes to this new file.
    pub(super) fn output(mut self, path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|error| Error::io("write", path, error))?;
        self.output = Some(file);
        Ok(self)
    }

    /// It runs in this folder.
    pub(super) fn current(mut self, path: &Path) -> Self {
        self.current = path.to_owned();
        self
    }

    /// It fills this folder, which may not become larger than the settings say.
    pub(super) fn fills(mut self, path: &Path) -> Self {
        self.fills = Some(path.to_owned());
        self
    }

    /// Runs it; an exit code other than 0 is an error.
    pub(super) async fn ok(self, stop: &CancellationToken) -> Result<Output, Error> {
        let (git, doing, remote) = (self.git, self.doing, self.remote.clone());
        let output = self.run(stop).await?;
        if output.code == 0 {
            return Ok(output);
        }
        let said = condense(&output.stderr, output.code);
        Err(match remote {
            Some(url) => Error::of_remote(&git.redact(&url), doing, said),
            None => Error::Other {
                doing: doing.to_owned(),
                said,
            },
        })
    }

    /// Runs it to its end, whatever its exit code.
    pub(super) async fn run(self, stop: &CancellationToken) -> Result<Output, Error> {
        let (git, doing) = (self.git, self.doing);
        let room = Room::of(git, self.fills.as_deref());
        let wait = async {
            match tokio::time::timeout(git.limit, self.spawn()).await {
                Ok(result) => result,
                Err(_) => Err(Error::TimedOut {
                    doing,
                    seconds: git.limit.as_secs(),
                }),
            }
        };
        // Whichever branch wins, dropping the other ends the process group.
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Stopped),
            result = wait => result?,
            () = room.overflow() => return Err(room.error()),
        };
        // What came fast was not seen while it came.
        if room.is_full().await { Err(room.error()) } else { Ok(result) }
    }

    async fn spawn(self) -> Result<Output, Error> {
        let (git, doing) = (self.git, self.doing);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::ProgramMissing,
            _ => Error::Other {
                doing: doing.to_owned(),
                said: error.to_string(),
            },
        };
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(git.environment(&self.env, self.remote.as_deref()))
            .args(&self.args)
            .current_dir(&self.current)
            .process_group(0)
            .kill_on_drop(true);
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(match self.output {
            Some(file) => Stdio::from(file),
            None => Stdio::piped(),
        });
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(failed)?;
        let group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));

        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, self.input) {
                // A git that stops reading has failed already; its exit code says so.
                let _ = stdin.write_all(&input).await;
            }
        };
        let ((), stdout, stderr, status) = tokio::join!(feed, read(stdout), read(stderr), child.wait());
        let status = status.map_err(failed)?;
        group.ended();
        Ok(Output {
            code: status.code().unwrap_or(-1),
            stdout: stdout.map_err(failed)?,
            stderr: git.redact(&String::from_utf8_lossy(&stderr.map_err(failed)?)),
        })
    }
}

/// Ends git's helpers (`git-remote-https`, `ssh`) with it, which `kill_on_drop` would leave behind.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(KEPT).read_to_end(&mut kept).await?;
        // The rest is read and dropped, or git would wait for ever.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// Beginnings of lines that tell nothing.
const NOISE: [&str; 4] = [
    "hint:",
    "warning:",
    "Please make sure you have the correct access",
    "and the repository exists.",
];

/// One line of at most 512 characters from what git printed.
pub(super) fn condense(stderr: &str, code: i32) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(|line| line.rsplit('\r').next().unwrap_or(line).trim())
        .filter(|line| !line.is_empty() && !NOISE.iter().any(|noise| line.starts_with(noise)))
        .collect();
    if lines.is_empty() {
        return format!("exit code {code}");
    }
    one_line(&lines.join("; "), 512)
}
