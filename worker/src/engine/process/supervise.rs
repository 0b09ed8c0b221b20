//! The shell that runs a job, outlives the worker, and writes down how the job ended.

use std::{path::PathBuf, process::Stdio};

use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{MARK, ProcessEngine, Record, access, other};
use crate::engine::{ContainerSpec, Error, limit};

/// `$1` is the record's folder, the rest is the job. Signals that are sent to the whole session must not end the shell before it has
/// noted the exit code; `trap :` (and not `trap ''`) leaves them as they were for the job.
const SCRIPT: &str = r#"
d=$1; shift
trap : HUP INT TERM
exec 9<>"$d/alive" || exit 1
cat "/proc/$$/stat" >"$d/supervisor.new" && mv "$d/supervisor.new" "$d/supervisor" && echo started || exit 1
exec >/dev/null
"$@" 9>&-
code=$?
echo "$code" >"$d/exit.new" && mv "$d/exit.new" "$d/exit"
"#;

impl ProcessEngine {
    /// What comes before a job's first process: the step down to the job user. It happens below the supervisor, which writes where the
    /// job can't.
    pub(super) fn step_down(&self) -> Vec<String> {
        let mut argv = vec!["setpriv".to_owned(), "--no-new-privs".to_owned()];
        if let Some(user) = self.user {
            argv.extend([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
            argv.extend(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"].map(str::to_owned));
        }
        argv.push("--".to_owned());
        argv
    }

    /// Sets the environment of a job, the whole of it, and its working directory.
    pub(super) fn surround(&self, command: &mut Command, spec: &ContainerSpec, mark: PathBuf) {
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(spec.env.iter().map(|(key, value)| (key, value.expose_secret())));
        command.env(MARK, mark);
        command.current_dir(spec.workdir.as_deref().unwrap_or(std::path::Path::new("/")));
    }
}

/// Starts a job in a session of its own, and returns once its supervisor has noted itself.
pub(super) async fn start(engine: &ProcessEngine, spec: &ContainerSpec, record: &Record) -> Result<(), Error> {
    let mut command = Command::new(access::find("setsid")?);
    command.args(["sh", "-c", SCRIPT, "moorline-supervisor"]).arg(record.folder());
    command.args(engine.step_down()).args(limit::redirected(spec));
    engine.surround(&mut command, spec, record.folder().to_owned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|source| other(&format!("start {} in {:?}", spec.name, spec.workdir), source))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut said).await;
        read.map_err(|source| other("hear from a supervisor", source))?;
    }
    if said.trim() != "started" {
        return Err(other("start a supervisor", "it ended at once: see whether the disk is full"));
    }
    // Dropped without being waited for: the runtime reaps it, and the record tells the rest.
    Ok(())
}
