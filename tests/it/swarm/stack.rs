//! One deployment of the stack file, under names of its own.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use moorline_tests::{
    forge::{LocalForge, TOKEN},
    model::ScriptedModel,
};
use serde_json::Value;
use tempfile::TempDir;

use super::node::{called, client, docker, ended};
use crate::{
    architecture::ROOT,
    hosts::sweep,
    support::{program, within},
};

/// Longest time until something is there: images start on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Longest time of one call of the client, and of the CLI.
const CALL: Duration = Duration::from_secs(20);

/// See the module. Removed when it is dropped.
pub struct Stack {
    pub name: String,
    pub model: ScriptedModel,
    pub forge: LocalForge,
    folder: TempDir,
}

impl Stack {
    /// A model that waits, a git server, and what the node needs.
    pub async fn prepare() -> Self {
        let gateway = docker(&[
            "network",
            "inspect",
            "bridge",
            "--format",
            "{{range .IPAM.Config}}{{.Gateway}}|{{.Subnet}}{{end}}",
        ])
        .expect("the bridge");
        let (given, subnet) = gateway.split_once('|').expect("its addresses");
        // Older engines tell the subnet only; the host has its first address.
        let address = if given.is_empty() {
            subnet.split_once("0/").expect("a subnet").0.to_owned() + "1"
        } else {
            given.to_owned()
        };
        let address = format!("{address}:0").parse().expect("an address");
        let stack = Self {
            name: sweep::prefix().trim_end_matches('-').to_owned(),
            model: ScriptedModel::start(address).await.expect("a model"),
            forge: LocalForge::start_on(address).await.expect("a git server"),
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::set_permissions(stack.folder.path(), fs::Permissions::from_mode(0o755)).expect("an open folder");
        stack
    }

    /// Prepares the node, and deploys.
    pub async fn deploy(&self) {
        let mut script = Command::new("sh");
        script
            .arg(Path::new(ROOT).join("deploy/swarm/node.sh"))
            .args(["postgres", "server", "default", "shard-0"]);
        let said = ended(script.envs(self.settings())).expect("a node that is prepared");
        assert!(said.contains("--label-add moorline.shard-0=true"), "{said}");
        let embedding = fs::read_to_string(Path::new(ROOT).join("tests/compose/embedding_key")).expect("a key");
        let url = "postgres://moorline:no-secret@postgres:5432/moorline";
        for (name, value) in [
            ("postgres_password", "no-secret"),
            ("database_url", url),
            ("github_token", TOKEN),
            ("google_api_key", embedding.as_str()),
            ("gemini_api_key", "\n"),
            ("openai_api_key", "\n"),
            ("codex_env", "\n"),
            ("gemini_env", "\n"),
        ] {
            let name = format!("{}_{name}", self.name);
            called(&["secret", "create", &name, "-"], value, CALL).await.expect("a secret");
        }
        let mut deploy = Command::new(client());
        deploy.args(["stack", "deploy", "--resolve-image", "never", "--compose-file"]);
        deploy.arg(Path::new(ROOT).join("deploy/swarm/stack.yaml")).arg(&self.name);
        let said = ended(deploy.envs(self.settings())).expect("a stack file that Swarm takes");
        assert!(!said.contains("Ignoring"), "{said}");
    }

    fn settings(&self) -> BTreeMap<&'static str, String> {
        let gid = fs::metadata("/var/run/docker.sock").expect("the engine's socket").gid();
        let image = |variable, default| program(variable, default);
        BTreeMap::from([
            ("COMPOSE_PROJECT_NAME", self.name.clone()),
            ("MOORLINE_SECRETS_PREFIX", self.name.clone()),
            ("MOORLINE_DOCKER_GID", gid.to_string()),
            ("MOORLINE_SERVER_IMAGE", image("MOORLINE_TEST_SERVER_IMAGE", "moorline-server")),
            ("MOORLINE_WORKER_IMAGE", image("MOORLINE_TEST_WORKER_IMAGE", "moorline-worker")),
            ("SPEC_AUTOMATION_JOB_IMAGE", image("MOORLINE_TEST_JOB_IMAGE", "moorline-job")),
            (
                "MOORLINE_POSTGRES_IMAGE",
                image("MOORLINE_TEST_POSTGRES_IMAGE", "postgres:16-bookworm"),
            ),
            ("MOORLINE_VOLUME_PREFIX", format!("{}_codex_auth_", self.name)),
            ("MOORLINE_GEMINI_VOLUME", format!("{}_gemini_auth", self.name)),
            ("MOORLINE_JOB_NETWORK", self.network()),
            ("MOORLINE_WORK_ROOT", self.folder.path().join("work").display().to_string()),
            ("MOORLINE_DRAIN_SECONDS", "1".to_owned()),
            (
                "MOORLINE_CODEX_CONFIG",
                format!("openai_base_url={:?}", self.model.base_url("wait")),
            ),
            ("MOORLINE_GITHUB_URL", self.forge.url().to_owned()),
            ("MOORLINE_GITHUB_API_URL", format!("{}/api/v3", self.forge.url())),
            ("MOORLINE_GIT_PROTOCOLS", "http".to_owned()),
        ])
    }

    /// Calls the CLI in a server's container, as whoever manages the fleet may. The container may be gone at any moment: then another one is asked.
    pub async fn ask(&self, args: &[&str], input: &str) -> Value {
        let (mut said, began) = (String::new(), Instant::now());
        while began.elapsed() < PATIENCE {
            for server in self.containers("server") {
                let call = [&["exec", "-i", &server, "moorline", "--output", "json"], args].concat();
                match called(&call, input, CALL).await {
                    Ok(printed) => return serde_json::from_str(&printed).unwrap_or(Value::Null),
                    Err(error) => said = error,
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("moorline {args:?} never came through: {said}");
    }

    /// Containers of a service that run.
    pub fn containers(&self, service: &str) -> Vec<String> {
        let label = format!("label=com.docker.swarm.service.name={}_{service}", self.name);
        let listed = docker(&["ps", "--quiet", "--filter", &label]).unwrap_or_default();
        listed.lines().map(str::to_owned).collect()
    }

    /// Waits until a worker is connected.
    pub async fn connected(&self, worker: &str) -> String {
        within(PATIENCE, worker, async || {
            let workers = self.ask(&["worker", "list"], "").await;
            let mut names = workers["workers"].as_array()?.iter().filter_map(|worker| worker["name"].as_str());
            names.find(|name| name.starts_with(worker)).map(str::to_owned)
        })
        .await
    }

    /// What became of the services' tasks, and what all of them have logged, for a test that has failed.
    fn told(&self) -> String {
        let mut told = docker(&["stack", "ps", "--no-trunc", &self.name]).unwrap_or_else(|error| error);
        // From container to container: asked for a service's logs, the client may wait for ever for those of a task that has ended.
        let label = format!("label=com.docker.stack.namespace={}", self.name);
        let listed = docker(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]).unwrap_or_default();
        for container in listed.lines() {
            let mut logs = Command::new("sh");
            logs.args(["-c", "exec \"$0\" logs --tail 60 \"$1\" 2>&1", client(), container]);
            told += &format!("\n--- {container}\n{}", ended(&mut logs).unwrap_or_else(|error| error));
        }
        told
    }

    fn network(&self) -> String {
        jobs_of(&self.name)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.told());
        }
        remove(&self.name);
    }
}

/// The network of a stack's jobs.
fn jobs_of(stack: &str) -> String {
    format!("{stack}_jobs")
}

/// Removes a stack with all that it and its jobs have made.
pub fn remove(stack: &str) {
    drop(docker(&["stack", "rm", stack]));
    let began = Instant::now();
    // Its tasks end by and by, and hold volumes and networks until then.
    while began.elapsed() < PATIENCE {
        let label = format!("label=com.docker.stack.namespace={stack}");
        let jobs = format!("network={}", jobs_of(stack));
        let left = [&label, &jobs].map(|filter| docker(&["ps", "--all", "--quiet", "--filter", filter]).unwrap_or_default());
        let left: Vec<&str> = left.iter().flat_map(|ids| ids.lines()).collect();
        if left.is_empty() {
            break;
        }
        drop(docker(&[&["rm", "--force"], &left[..]].concat()));
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(docker(&["network", "rm", &jobs_of(stack)]));
    for (kind, format) in [("volume", "{{.Name}}"), ("secret", "{{.Name}}")] {
        let filter = format!("name={stack}_");
        for name in docker(&[kind, "ls", "--filter", &filter, "--format", format])
            .unwrap_or_default()
            .lines()
        {
            drop(docker(&[kind, "rm", name]));
        }
    }
}
