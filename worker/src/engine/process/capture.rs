//! Short commands.

use std::{path::PathBuf, process::Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::Instant,
};

use super::{ProcessEngine, access, members, other};
use crate::engine::{CAPTURE_LIMIT, Captured, ContainerSpec, Error, limit};

/// Kills what a command has started, and takes its link away, however the caller leaves.
struct Remains {
    group: Option<Pid>,
    mark: PathBuf,
    link: Option<PathBuf>,
}

impl Remains {
    fn kill(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        members::kill_all(&self.mark);
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        self.kill();
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

/// Runs a command as the leader of a process group, and kills the group when it has ended.
pub(super) async fn run(engine: &ProcessEngine, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
    let mut remains = Remains {
        group: None,
        // Nothing is recorded of it; the name alone marks its processes.
        mark: engine.containers.join(&spec.name),
        link: engine.link(spec)?,
    };
    let began = Instant::now();
    let mut child = spawn(engine, spec, input.is_some(), remains.mark.clone())?;
    remains.group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that ends without reading its input breaks the pipe; its exit says what there is to say.
            let _ = stdin.write_all(input.expose_secret().as_bytes()).await;
        }
    };
    let end = async {
        let status = child.wait().await;
        // What the command left running would hold its output open.
        remains.kill();
        (status, began.elapsed())
    };
    let ((), (status, ran), stdout, stderr) = tokio::join!(write, end, read(stdout), read(stderr));
    let status = status.map_err(|source| other("wait for a process", source))?;
    Ok(Captured {
        exit: limit::exit(code(status), ran, spec.limits.time),
        stdout,
        stderr,
    })
}

fn spawn(engine: &ProcessEngine, spec: &ContainerSpec, with_input: bool, mark: PathBuf) -> Result<Child, Error> {
    let mut command = Command::new(access::find("setpriv")?);
    command.args(&engine.step_down()[1..]).args(limit::plain(spec));
    engine.surround(&mut command, spec, mark);
    command.stdin(if with_input { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().map_err(|source| other(&format!("start {}", spec.name), source))
}

/// The code that a shell would give.
fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let signal = || status.signal().map_or(-1, |signal| 128 + signal);
    status.code().unwrap_or_else(signal)
}

/// Reads a stream to its end and keeps its beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return String::new() };
    let mut piece = vec![0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let room = CAPTURE_LIMIT.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..room.min(length)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
