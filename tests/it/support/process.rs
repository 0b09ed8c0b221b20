//! The programs that users run, as processes that a test can kill, stop and measure.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use moorline_worker::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
};

/// Longest time until a process has said what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The programs.
pub const SERVER: &str = env!("CARGO_BIN_EXE_moorline-server-under-test");
pub const WORKER: &str = env!("CARGO_BIN_EXE_moorline-worker-under-test");

/// See the module. Killed when dropped.
pub struct Process {
    child: Child,
    /// What it has logged, one JSON object a line.
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

impl Process {
    /// Starts a program that logs to standard error. It gets these variables, and of the test's own only those that programs of all kinds need.
    pub fn start(program: &str, variables: &[(&str, String)]) -> Self {
        Self::start_by(Command::new(program), variables)
    }

    /// The same by a command that leads to the program, such as one that enters another host.
    pub fn start_by(mut command: Command, variables: &[(&str, String)]) -> Self {
        command.env_clear().envs(
            ["PATH", "HOME", "TMPDIR", "LANG"]
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.env("MOORLINE_LOG_FORMAT", "json");
        // Servers go by the built-in code, as those within a test's own process do, unless a test says otherwise.
        command.env("SPEC_WORKFLOW_USE_SKILLS", "off").envs(variables.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut said = BufReader::new(child.stderr.take().expect("a log")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (count, lines) = watch::channel(0);
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = said.next_line().await {
                kept.lock().unwrap().push(line);
                count.send_modify(|count| *count += 1);
            }
        });
        Self { child, log, lines }
    }

    /// Waits for a line of the log that says this, and returns it.
    pub async fn says(&self, text: &str) -> String {
        let mut lines = self.lines.clone();
        let found = || self.log.lock().unwrap().iter().find(|line| line.contains(text)).cloned();
        let waiting = async {
            loop {
                lines.borrow_and_update();
                if let Some(line) = found() {
                    return Some(line);
                }
                if lines.changed().await.is_err() {
                    return None;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Some(line)) => line,
            _ => panic!("it never said {text:?}:\n{}", self.log()),
        }
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// `kill -9`, and the end of it.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// SIGTERM, and the end of it.
    pub async fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let ended = self.child.wait().await.expect("a process to end");
        assert!(ended.success(), "{ended}:\n{}", self.log());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process to signal");
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).expect("its status");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.expect("its peak") << 10
    }

    /// By how much its peak has grown since it was `before`, in bytes. The kernel counts by the core, and only about: a peak that has hardly
    /// grown may look smaller.
    pub fn grown_since(&self, before: u64) -> u64 {
        self.peak_memory().saturating_sub(before)
    }

    fn pid(&self) -> Pid {
        let id = self.child.id().expect("a process that runs");
        Pid::from_raw(i32::try_from(id).expect("a process id")).expect("a process id")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what process {:?} has logged:\n{}", self.child.id(), self.log());
        }
    }
}

/// A worker with these settings that runs its jobs as local processes; the server has welcomed it.
pub async fn worker(config: &Config) -> Process {
    let process = Process::start(WORKER, &worker_variables(config));
    process.says("the server has welcomed this worker").await;
    process
}

/// The variables by which a worker gets these settings.
pub fn worker_variables(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("MOORLINE_SERVER", config.server.clone()),
        ("MOORLINE_WORKER_NAME", config.name.clone()),
        ("MOORLINE_QUEUES", config.queues.join(",")),
        ("MOORLINE_SLOTS", config.slots.to_string()),
        ("CODEX_VOLUME_NAME", config.volume.clone().unwrap_or_default()),
        ("MOORLINE_WORK_ROOT", config.work_root.display().to_string()),
        ("MOORLINE_VOLUME_ROOT", config.volume_root.display().to_string()),
        ("MOORLINE_SKILLS_ROOT", config.skills_root.display().to_string()),
        ("MOORLINE_ENGINE", "process".to_owned()),
        ("MOORLINE_CODEX_PROGRAM", config.codex_program.clone()),
        ("MOORLINE_SPECKIT_PROGRAM", config.speckit_program.clone()),
        ("DEFAULT_EMBEDDING_PROVIDER", config.embedding.provider.name().to_owned()),
        ("MOORLINE_CODEX_CONFIG", config.codex_config.join("\n")),
        ("MOORLINE_GIT_PROTOCOLS", config.git_protocols.clone()),
    ]
}

/// A server on a database, and where it listens.
pub async fn server(database_url: &str, artifacts: &Path) -> (Process, SocketAddr) {
    let variables = [
        ("MOORLINE_LISTEN", "127.0.0.1:0".to_owned()),
        ("MOORLINE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
        ("MOORLINE_DATABASE_URL", database_url.to_owned()),
        ("SPEC_WORKFLOW_ARTIFACT_ROOT", artifacts.display().to_string()),
    ];
    listening(Process::start(SERVER, &variables)).await
}

/// Waits until a server listens, and tells where.
pub async fn listening(process: Process) -> (Process, SocketAddr) {
    let line: serde_json::Value = serde_json::from_str(&process.says("server listens").await).expect("a line of JSON");
    let address = line["address"].as_str().and_then(|address| address.parse().ok());
    (process, address.expect("the address in the log"))
}
