//! Running other programs: with a limit on time, with their output shown or kept, and with errors that name the command.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::interrupt;

/// How often a running program is looked at.
const TICK: Duration = Duration::from_millis(10);

/// One call of a program.
#[derive(Debug)]
pub struct Cmd {
    inner: Command,
    limit: Option<Duration>,
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cmd {
    /// A call without arguments; standard input is empty.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = Command::new(program);
        inner.stdin(Stdio::null());
        Self { inner, limit: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.inner.args(args);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// Sets standard input.
    pub fn stdin(mut self, file: File) -> Self {
        self.inner.stdin(Stdio::from(file));
        self
    }

    /// Kills the program after this long.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The underlying command, for a program that stays in the background.
    pub fn into_inner(self) -> Command {
        self.inner
    }

    /// Runs it with its output on standard error, since standard output is for programs.
    pub fn run(mut self) -> Result<()> {
        self.inner.stdout(Stdio::from(std::io::stderr()));
        let mut child = self.spawn()?;
        let status = self.wait(&mut child)?;
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(())
    }

    /// Runs it and keeps what it prints; fails only when it can't be run or takes too long.
    pub fn capture(mut self) -> Result<Captured> {
        self.inner.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let status = self.wait(&mut child)?;
        Ok(Captured {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        })
    }

    /// Runs it without showing anything, and returns its standard output, trimmed; on failure the error shows what it printed.
    pub fn output(self) -> Result<String> {
        let shown = self.to_string();
        let captured = self.capture()?;
        if !captured.status.success() {
            let said = tail(&format!("{}{}", captured.stdout, captured.stderr), 20);
            bail!("`{shown}` failed ({}):\n{said}", captured.status);
        }
        Ok(captured.stdout.trim().to_owned())
    }

    /// Whether it can be run and says yes.
    pub fn succeeds(self) -> bool {
        self.capture().is_ok_and(|captured| captured.status.success())
    }

    fn spawn(&mut self) -> Result<Child> {
        self.inner.spawn().with_context(|| format!("could not run `{self}`"))
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus> {
        let _told = interrupt::tell(child.id());
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.limit.is_some_and(|limit| start.elapsed() > limit) {
                child.kill()?;
                child.wait()?;
                bail!(
                    "`{self}` took longer than {} s and was stopped",
                    self.limit.unwrap_or_default().as_secs()
                );
            }
            thread::sleep(TICK);
        }
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Path::new(self.inner.get_program()).file_name().unwrap_or_default();
        write!(f, "{}", name.to_string_lossy())?;
        for arg in self.inner.get_args() {
            write!(f, " {}", arg.to_string_lossy())?;
        }
        Ok(())
    }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Option<thread::JoinHandle<Vec<u8>>> {
    pipe.map(|mut pipe| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    })
}

fn text(reader: Option<thread::JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_stopped() {
        let start = Instant::now();
        let error = Cmd::new("sleep").arg("30").limit(Duration::from_millis(50)).capture().unwrap_err();
        assert!(error.to_string().contains("took longer than"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_failure_names_the_command_and_shows_what_it_printed() {
        let error = Cmd::new("sh")
            .args(["-c", "echo why >&2; exit 3"])
            .output()
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c") && error.contains("why"), "{error}");
    }

    #[test]
    fn the_tail_of_a_text_is_its_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
