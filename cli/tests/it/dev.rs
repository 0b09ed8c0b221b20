//! `moorline dev` as a process: everything comes up, answers, and is gone after a signal. It needs Postgres and the Codex CLI.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use moorline_proto::v1::{self, ShardStatus, shard_service_client::ShardServiceClient};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tonic::transport::Endpoint;

/// Longest time for everything to come up, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Variables that say where real parts are; nothing else of the environment is passed on.
const PARTS: [&str; 5] = [
    "PATH",
    "MOORLINE_CODEX_PROGRAM",
    "MOORLINE_SPECKIT_PROGRAM",
    "MOORLINE_POSTGRES_BIN",
    "MOORLINE_POSTGRES_USER",
];

/// A running `moorline dev`; killed with a test that has not ended it.
struct Dev {
    folder: TempDir,
    child: Child,
}

impl Dev {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        // Postgres and jobs run as other users than root.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_moorline"))
            .args([
                "dev",
                "--output",
                "json",
                "--shards",
                "1",
                "--listen",
                "127.0.0.1:0",
                "--engine",
                "process",
            ])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(folder.path().join("ready"))
            .env_clear()
            .envs(PARTS.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        Self { folder, child }
    }

    /// What it prints once everything is up.
    async fn up(&mut self) -> Value {
        let out = self.child.stdout.take().expect("its output");
        match timeout(PATIENCE, BufReader::new(out).lines().next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).expect("a line of JSON"),
            _ => panic!("it did not come up: {}", self.log()),
        }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends it with SIGTERM.
    async fn end(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("a signal");
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended.expect("its end"),
            Err(_) => panic!("it did not end: {}", self.log()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Process of its Postgres.
    fn postgres(&self) -> u32 {
        let file = find(&self.folder.path().join("data"), "postmaster.pid").expect("Postgres says that it runs");
        let text = fs::read_to_string(file).expect("its file");
        text.lines().next().and_then(|pid| pid.trim().parse().ok()).expect("a process id")
    }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.into_iter().find_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => find(&entry.path(), name),
        _ => (entry.file_name() == name).then(|| entry.path()),
    })
}

#[tokio::test]
async fn everything_comes_up_and_nothing_is_left_after_a_signal() {
    let mut dev = Dev::start();
    let up = dev.up().await;
    assert_eq!(up["workers"], json!(["dev-codex-0", "dev-default"]));
    assert_eq!(up["pid"], json!(dev.pid()));
    let ready = dev.folder.path().join("ready");
    let said: Value = serde_json::from_slice(&fs::read(&ready).expect("the ready file")).expect("JSON");
    assert_eq!(said, up);

    let endpoint = up["endpoint"].as_str().expect("an endpoint").to_owned();
    let channel = Endpoint::from_shared(endpoint)
        .expect("an address")
        .connect()
        .await
        .expect("a server");
    let answer = ShardServiceClient::new(channel).list_shards(v1::ListShardsRequest {}).await;
    let shards = answer.expect("an answer").into_inner().shards;
    let told: Vec<_> = shards.iter().map(|shard| (shard.queue.as_str(), shard.status())).collect();
    // Nobody was asked for to serve Gemini.
    assert_eq!(told, [("codex-0", ShardStatus::Active), ("gemini", ShardStatus::Offline)]);
    let volume = shards[0].volume.as_ref().expect("a volume");
    assert_eq!(volume.name, "codex_auth_0");
    assert!(dev.folder.path().join("data/volumes/codex_auth_0").is_dir(), "the volume is made");

    let postgres = PathBuf::from(format!("/proc/{}", dev.postgres()));
    assert!(postgres.exists(), "Postgres runs");
    let ended = dev.end().await;
    assert_eq!(ended.code(), Some(0), "{}", dev.log());
    assert!(!postgres.exists(), "Postgres is gone");
    assert!(!ready.exists(), "the ready file is gone");
}
