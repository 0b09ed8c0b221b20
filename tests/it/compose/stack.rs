//! One fleet of docker-compose.yaml, with the test's overlay, under names and ports of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use moorline_tests::{
    forge::{LocalForge, TOKEN},
    model::ScriptedModel,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    containers::{Containers, Seen},
    files::{MAIN, OVERLAY, text},
    sweep::left_by_the_dead,
};
use crate::{
    architecture::ROOT,
    hosts::sweep::prefix,
    support::{program, within},
};

/// Longest time for one call of compose or of the CLI, and until something has become healthy: a fleet starts on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// See the module. To be removed by [`Stack::remove`].
pub struct Stack {
    pub containers: Containers,
    pub model: ScriptedModel,
    pub forge: LocalForge,
    project: String,
    folder: TempDir,
    server: String,
}

impl Stack {
    /// Everything that `up` needs: the settings of `.env-template` with the test's own after them, and files of secrets.
    pub async fn prepare() -> Self {
        left_by_the_dead();
        let id = &uuid::Uuid::now_v7().simple().to_string()[20..];
        let project = format!("{}{id}", prefix());
        let containers = Containers::of(&project);
        let outside: SocketAddr = format!("{}:0", containers.bridge().await).parse().expect("an address");
        let port = free_port();
        let stack = Self {
            model: ScriptedModel::start(outside).await.expect("a model"),
            forge: LocalForge::start_on(outside).await.expect("a git server"),
            folder: tempfile::tempdir().expect("a folder"),
            server: format!("http://127.0.0.1:{port}"),
            containers,
            project,
        };
        // The work root is below it, and jobs' folders are bound from there.
        fs::set_permissions(stack.folder.path(), fs::Permissions::from_mode(0o755)).expect("an open folder");
        fs::write(stack.path(".env"), stack.settings(port)).expect("settings");
        stack.make_secrets().await;
        stack
    }

    fn settings(&self, port: u16) -> String {
        let project = &self.project;
        let gid = fs::metadata("/var/run/docker.sock").expect("the engine's socket").gid();
        let own = [
            ("COMPOSE_PROJECT_NAME", project.clone()),
            ("MOORLINE_DOCKER_GID", gid.to_string()),
            ("MOORLINE_SECRETS", self.path("secrets")),
            ("MOORLINE_PORT", port.to_string()),
            ("MOORLINE_HTTP_PORT", free_port().to_string()),
            ("MOORLINE_POSTGRES_PORT", free_port().to_string()),
            ("MOORLINE_SERVER_IMAGE", program("MOORLINE_TEST_SERVER_IMAGE", "moorline-server")),
            ("MOORLINE_WORKER_IMAGE", program("MOORLINE_TEST_WORKER_IMAGE", "moorline-worker")),
            ("SPEC_AUTOMATION_JOB_IMAGE", program("MOORLINE_TEST_JOB_IMAGE", "moorline-job")),
            (
                "MOORLINE_POSTGRES_IMAGE",
                program("MOORLINE_TEST_POSTGRES_IMAGE", "postgres:16-bookworm"),
            ),
            ("MOORLINE_VOLUME_PREFIX", self.volume_prefix()),
            ("MOORLINE_GEMINI_VOLUME", self.gemini_volume()),
            ("MOORLINE_JOBS_NETWORK", self.network()),
            ("MOORLINE_JOB_NETWORK", self.network()),
            ("MOORLINE_WORK_ROOT", self.path("work")),
            // Agents are left to the next start at once.
            ("MOORLINE_DRAIN_SECONDS", "1".to_owned()),
            ("MOORLINE_TEST_MODEL", self.model.base_url("wait")),
            ("MOORLINE_TEST_GEMINI", self.model.gemini_url("work")),
            ("MOORLINE_TEST_FORGE", self.forge.url().to_owned()),
        ];
        let own: String = own.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        format!("{}\n{own}", text(".env-template"))
    }

    async fn make_secrets(&self) {
        let script = Path::new(ROOT).join("deploy/compose/secrets.sh");
        let mut call = Command::new("sh");
        call.arg(script).env("MOORLINE_SECRETS", self.path("secrets"));
        let done = output(call, None).await;
        assert!(done.status.success(), "{}", said(&done));
        fs::write(self.path("secrets/github_token"), TOKEN).expect("a token");
    }

    /// Calls compose, which has to succeed. Returns what it printed.
    pub async fn compose(&self, args: &[&str]) -> String {
        let done = self.try_compose(args).await;
        assert!(done.status.success(), "docker-compose {args:?}: {}", said(&done));
        said(&done)
    }

    async fn try_compose(&self, args: &[&str]) -> Output {
        let mut call = Command::new("docker-compose");
        call.args([
            "--ansi",
            "never",
            "--file",
            MAIN,
            "--file",
            OVERLAY,
            "--env-file",
            &self.path(".env"),
        ])
        .args(args);
        // What the shell of a developer has set would go before the file.
        call.current_dir(ROOT).env_clear().envs(
            ["PATH", "HOME", "DOCKER_HOST"]
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        output(call, None).await
    }

    /// Calls the CLI on this machine, as an operator does. Its output is JSON.
    pub async fn moorline(&self, args: &[&str], input: Option<&str>) -> Output {
        let mut call = Command::new(env!("CARGO_BIN_EXE_moorline-under-test"));
        call.args(["--server", &self.server, "--output", "json"]).args(args);
        output(call, input).await
    }

    /// The same; it has to succeed, with one value as its output.
    pub async fn ask(&self, args: &[&str]) -> Value {
        let done = self.moorline(args, None).await;
        assert!(done.status.success(), "moorline {args:?}: {}", said(&done));
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("moorline {args:?}: {error}: {}", said(&done)))
    }

    /// Waits until a service has so many containers, and all of them are healthy.
    pub async fn healthy(&self, service: &str, count: usize) -> Vec<Seen> {
        let healthy = async || {
            let seen = self.containers.of_service(service).await;
            (seen.len() == count && seen.iter().all(|container| container.health == "healthy")).then_some(seen)
        };
        within(PATIENCE, &format!("{count} healthy {service}"), healthy).await
    }

    pub fn volume_prefix(&self) -> String {
        format!("{}_codex_auth_", self.project)
    }

    pub fn gemini_volume(&self) -> String {
        format!("{}_gemini_auth", self.project)
    }

    pub fn network(&self) -> String {
        format!("{}_jobs", self.project)
    }

    /// Every volume that it makes.
    pub fn volumes(&self) -> Vec<String> {
        let logins = (0..3).map(|number| format!("{}{number}", self.volume_prefix()));
        let others = ["postgres", "artifacts"].map(|name| format!("{}_{name}", self.project));
        logins.chain(others).chain([self.gemini_volume()]).collect()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What everything has logged, for a test that has failed.
    pub async fn logs(&self) -> String {
        said(&self.try_compose(&["logs", "--no-color", "--tail", "200"]).await)
    }

    /// Removes all that it has made, also what jobs have left.
    pub async fn remove(self) {
        drop(self.try_compose(&["--profile", "everything", "kill"]).await);
        self.containers.remove_those_with("network", &self.network()).await;
        for volume in self.volumes() {
            self.containers.remove_those_with("volume", &volume).await;
        }
        drop(
            self.try_compose(&["--profile", "everything", "down", "--volumes", "--remove-orphans"])
                .await,
        );
        for volume in self.volumes() {
            self.containers.remove_volume(&volume).await;
        }
    }
}

/// A port of loopback that nobody has at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

async fn output(mut call: Command, input: Option<&str>) -> Output {
    call.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = call
        .spawn()
        .unwrap_or_else(|error| panic!("{call:?}: {error}: cargo xtask test installs what is missing"));
    let mut stdin = child.stdin.take().expect("its input");
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .await
        .expect("its input is read");
    drop(stdin);
    let done = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    done.unwrap_or_else(|_| panic!("{call:?} takes too long")).expect("its output")
}

/// What a program has printed, both ways.
pub fn said(done: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&done.stdout), text(&done.stderr))
}
