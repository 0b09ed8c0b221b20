//! `.env.vllm-template` is a set-up that works: server and workers are started by what it sets, with the scripted model at the endpoint's address,
//! and its own commands log the volume in.

use std::{fs, os::unix::fs::symlink, path::Path};

use moorline_tests::{
    db::TestDb,
    model::ScriptedModel,
    repo::{FEATURE, SampleRepository},
};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    architecture::ROOT,
    support::{Process, fleet::open_folder, program},
};

/// What stands in the template for the endpoint.
const ENDPOINT: &str = "http://10.0.0.5:8000/v1";

/// The endpoint's key.
const KEY: &str = "vllm-recognisable-key-0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_works_with_a_self_hosted_model_as_the_template_sets_it_up() {
    let model = ScriptedModel::start("127.0.0.1:0".parse().unwrap()).await.expect("a model");
    let operator = Operator::new(&model.base_url("work")).await;
    let server = operator.start("moorline-server", &[]);
    let line: serde_json::Value = serde_json::from_str(&server.says("server listens").await).expect("a line of JSON");
    let url = (
        "MOORLINE_SERVER",
        format!("http://{}", line["address"].as_str().expect("an address")),
    );
    let named = |name: &str| ("MOORLINE_WORKER_NAME", name.to_owned());
    let _default = operator.start("moorline-worker", &[url.clone(), named("w-default")]);
    let shard = [("CODEX_QUEUE", "codex-0"), ("CODEX_VOLUME_NAME", "codex_auth_0")].map(|(name, value)| (name, value.to_owned()));
    let worker = operator.start("moorline-worker", &[&[url.clone(), named("w-codex-0")], &shard[..]].concat());
    worker.says("the server has welcomed this worker").await;

    // Its own commands, as they are written.
    for command in operator.commands() {
        let told = operator.shell(&command, &url).await;
        assert!(!told.contains(KEY), "{told}");
        if command.contains("--probe") {
            assert!(told.contains("PROVEN"), "{told}");
        }
    }
    let origin = SampleRepository::builder().build().expect("a repository");
    let create = format!(
        "moorline run create --repository file://{} --feature {FEATURE} --queue codex-0 --watch",
        origin.origin().display()
    );
    let told = operator.shell(&create, &url).await;
    assert!(told.contains("succeeded (phase complete)"), "{told}");

    let named = operator.variable("CODEX_MODEL");
    let asked = model.requests();
    assert!(asked.len() > 2, "{asked:?}");
    for request in asked {
        assert_eq!(
            (request.path.as_str(), request.model.as_deref(), request.authorization.as_deref()),
            ("/work/v1/responses", Some(named), Some("Bearer …6789"))
        );
    }
    for log in [server.log(), worker.log()] {
        assert!(!log.contains(KEY), "the key is in a log");
    }
}

/// Its settings over several lines are the same to a shell and to docker-compose, whose own settings stand above them.
#[tokio::test(flavor = "multi_thread")]
async fn docker_compose_hands_workers_what_the_template_sets() {
    let root = open_folder();
    let both = [".env-template", ".env.vllm-template"].map(|name| fs::read_to_string(Path::new(ROOT).join(name)).expect("a template"));
    let own = "\nMOORLINE_DOCKER_GID=0\n";
    fs::write(root.path().join(".env"), format!("{}{}{own}", both[0], both[1])).expect("a file");
    let shown = Command::new("docker-compose")
        .args(["--env-file", &root.path().join(".env").display().to_string(), "config"])
        .current_dir(ROOT)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .output()
        .await
        .expect("docker-compose");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown: serde_json::Value = serde_saphyr::from_str(&String::from_utf8_lossy(&shown.stdout)).expect("YAML");
    let set = shell_reads(root.path()).await;
    for name in ["CODEX_MODEL", "MOORLINE_CODEX_CONFIG"] {
        let value = &set.iter().find(|(set, _)| set == name).expect(name).1;
        assert_eq!(
            shown["services"]["codex-0"]["environment"][name].as_str(),
            Some(value.as_str()),
            "{name}"
        );
    }
}

/// Somebody with the template as `.env`, the programs on the path, and a key in a file.
struct Operator {
    root: TempDir,
    _database: TestDb,
    /// What the template sets, as a shell reads it.
    set: Vec<(String, String)>,
    /// What every machine has to set for itself, and a test's machine in particular.
    own: Vec<(&'static str, String)>,
}

impl Operator {
    async fn new(endpoint: &str) -> Self {
        let template = fs::read_to_string(Path::new(ROOT).join(".env.vllm-template")).expect("the template");
        assert_eq!(template.matches(ENDPOINT).count(), 1, "the endpoint is set in one place");
        let root = open_folder();
        fs::write(root.path().join(".env"), template.replace(ENDPOINT, endpoint)).expect("a file");
        fs::write(root.path().join("vllm.key"), format!("{KEY}\n")).expect("a key");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        for (name, program) in [
            ("moorline", env!("CARGO_BIN_EXE_moorline-under-test")),
            ("moorline-server", env!("CARGO_BIN_EXE_moorline-server-under-test")),
            ("moorline-worker", env!("CARGO_BIN_EXE_moorline-worker-under-test")),
        ] {
            symlink(program, bin.join(name)).expect("a link");
        }
        let set = shell_reads(root.path()).await;
        assert!(set.len() >= 2, "{set:?}");
        let database = TestDb::new().await.expect("a database");
        let folder = |name: &str| root.path().join(name).display().to_string();
        let own = vec![
            ("MOORLINE_LISTEN", "127.0.0.1:0".to_owned()),
            ("MOORLINE_HTTP_LISTEN", "off".to_owned()),
            ("MOORLINE_DATABASE_URL", database.url().to_owned()),
            ("SPEC_WORKFLOW_ARTIFACT_ROOT", folder("artifacts")),
            ("SPEC_WORKFLOW_USE_SKILLS", "off".to_owned()),
            ("MOORLINE_ENGINE", "process".to_owned()),
            ("MOORLINE_WORK_ROOT", folder("work")),
            ("MOORLINE_SKILLS_ROOT", moorline_tests::skills::root().display().to_string()),
            ("MOORLINE_CODEX_PROGRAM", program("MOORLINE_CODEX_PROGRAM", "codex")),
            ("MOORLINE_SPECKIT_PROGRAM", program("MOORLINE_SPECKIT_PROGRAM", "specify")),
            ("DEFAULT_EMBEDDING_PROVIDER", "none".to_owned()),
            ("MOORLINE_GIT_PROTOCOLS", "file".to_owned()),
        ];
        make_volume(&root.path().join("work/volumes/codex_auth_0"));
        Self {
            root,
            _database: database,
            set,
            own,
        }
    }

    /// What the template sets a variable to.
    fn variable(&self, name: &str) -> &str {
        let found = self.set.iter().find(|(set, _)| set == name);
        found
            .map(|(_, value)| value.as_str())
            .unwrap_or_else(|| panic!("the template sets no {name}"))
    }

    /// The commands in the template's comments.
    fn commands(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join(".env")).expect("the file");
        let lines = text.lines().filter_map(|line| line.strip_prefix("#     "));
        let commands: Vec<_> = lines.filter(|line| line.starts_with("moorline ")).map(str::to_owned).collect();
        assert_eq!(commands.len(), 2, "{commands:?}");
        commands
    }

    fn environment(&self, further: &[(&'static str, String)]) -> Vec<(&str, String)> {
        let set = self.set.iter().map(|(name, value)| (name.as_str(), value.clone()));
        set.chain(self.own.iter().cloned()).chain(further.iter().cloned()).collect()
    }

    fn start(&self, name: &str, further: &[(&'static str, String)]) -> Process {
        Process::start(
            &self.root.path().join("bin").join(name).display().to_string(),
            &self.environment(further),
        )
    }

    /// Runs a line in a shell; all that it shows. It must do what it says.
    async fn shell(&self, line: &str, url: &(&'static str, String)) -> String {
        let path = format!(
            "{}:{}",
            self.root.path().join("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let done = Command::new("bash")
            .args(["-c", &format!("{line} 2>&1")])
            .current_dir(self.root.path())
            .env_clear()
            .envs(self.environment(std::slice::from_ref(url)))
            .env("PATH", path)
            .output()
            .await
            .expect("bash");
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{line}: {}:\n{told}", done.status);
        told
    }
}

/// The variables that `.env` in a folder sets, as a shell reads them.
async fn shell_reads(folder: &Path) -> Vec<(String, String)> {
    let read = Command::new("bash")
        .args(["-c", "set -a; . ./.env; set +a; env -0"])
        .current_dir(folder)
        .env_clear()
        .output()
        .await
        .expect("bash");
    let set = String::from_utf8(read.stdout).expect("text");
    let pairs = set.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| !["PWD", "SHLVL", "_"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A folder that stands for a volume, as the runbook makes one.
fn make_volume(folder: &Path) {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    fs::create_dir_all(folder).expect("a volume");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a mode");
    if rustix::process::geteuid().is_root() {
        chown(folder, Some(1000), Some(1000)).expect("an owner");
    }
}
