//! The worker's program with each of its prerequisites missing in turn: 001/US4, 007/FR-004. Each says what to set, and all that is missing at once.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Output},
    time::Instant,
};

use moorline_proto::v1;
use tempfile::TempDir;

use super::support::{Fleet, fleet::open_folder, program};

/// Machine and settings of a shard's worker that lacks nothing.
struct Site {
    root: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Site {
    fn new() -> Self {
        let root = open_folder();
        let path = |name: &str| root.path().join(name).display().to_string();
        let settings = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("MOORLINE_WORKER_NAME", "w".to_owned()),
            ("MOORLINE_ENGINE", "process".to_owned()),
            ("MOORLINE_SERVER", "http://127.0.0.1:1".to_owned()),
            ("MOORLINE_WORK_ROOT", path("work")),
            ("MOORLINE_VOLUME_ROOT", path("volumes")),
            ("MOORLINE_CODEX_PROGRAM", program("MOORLINE_CODEX_PROGRAM", "codex")),
            ("MOORLINE_SPECKIT_PROGRAM", program("MOORLINE_SPECKIT_PROGRAM", "specify")),
            ("CODEX_QUEUE", "codex-0".to_owned()),
            ("CODEX_VOLUME_NAME", "codex_auth_0".to_owned()),
            ("GEMINI_API_KEY", "key-0123456789-very-secret".to_owned()),
        ];
        let site = Self {
            root,
            settings: settings.to_vec(),
        };
        fs::create_dir_all(site.volume()).unwrap();
        site.give(1000);
        site
    }

    fn volume(&self) -> PathBuf {
        self.root.path().join("volumes/codex_auth_0")
    }

    /// Gives the volume to a user, where these tests may.
    fn give(&self, uid: u32) {
        if rustix::process::geteuid().is_root() {
            chown(self.volume(), Some(uid), Some(uid)).unwrap();
        }
    }

    /// With a variable set to something else; to nothing it is unset.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.retain(|(set, _)| *set != name);
        let value = value.replace("ROOT", &self.root.path().display().to_string());
        self.settings.extend((!value.is_empty()).then_some((name, value)));
        self
    }

    /// With a file, which can be run.
    fn file(self, name: &str, content: &str) -> Self {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-worker-under-test"));
        command.args(arguments).env_clear().envs(self.settings.iter().cloned());
        command.env("MOORLINE_LOG", "error").output().unwrap()
    }

    /// Starts the worker, which must not start; what it says is missing.
    fn missing(&self, what: &str) -> String {
        let began = Instant::now();
        let output = self.run(&[]);
        eprintln!("{what}: {} ms to fail", began.elapsed().as_millis());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{what}: {said}");
        assert!(!said.contains("very-secret"), "{said}");
        let said = said.replace(&self.root.path().display().to_string(), "ROOT");
        let lines = said.lines().skip_while(|line| !line.contains("the worker can't start")).skip(1);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

#[test]
fn each_prerequisite_that_is_missing_stops_the_start_and_says_what_to_set() {
    let script = |says: &str| format!("#!/bin/sh\necho '{says}'\n");
    let new = Site::new;
    let cases = [
        ("volume unnamed", new().with("CODEX_VOLUME_NAME", "")),
        (
            "volume missing",
            new().with("CODEX_QUEUE", "codex-7").with("CODEX_VOLUME_NAME", "codex_auth_7"),
        ),
        ("volume of another shard", new().with("CODEX_QUEUE", "codex-1")),
        ("volume not mounted", new().with("CODEX_VOLUME_PATH", "ROOT/volumes/codex_auth_0")),
        ("Codex missing", new().with("MOORLINE_CODEX_PROGRAM", "no-such-codex")),
        (
            "Codex too old",
            new()
                .file("old", &script("codex-cli 0.9.1"))
                .with("MOORLINE_CODEX_PROGRAM", "ROOT/old"),
        ),
        ("Spec Kit missing", new().with("MOORLINE_SPECKIT_PROGRAM", "no-such-specify")),
        (
            "Spec Kit odd",
            new().file("odd", &script("hello")).with("MOORLINE_SPECKIT_PROGRAM", "ROOT/odd"),
        ),
        ("embedding key missing", new().with("GEMINI_API_KEY", "")),
        ("template missing", new().with("CODEX_TEMPLATE_PATH", "ROOT/none.toml")),
        (
            "template asks",
            new()
                .file("asks.toml", "approval_policy = \"on-request\"\n")
                .with("CODEX_TEMPLATE_PATH", "ROOT/asks.toml"),
        ),
        ("settings broken", new().file("volumes/codex_auth_0/config.toml", "a = 1\na = 2\n")),
    ];
    let said: String = cases.map(|(what, site)| format!("{what}\n{}", site.missing(what))).concat();
    insta::assert_snapshot!(said, @r#"
    volume unnamed
    - queues: codex-0 needs its login: set CODEX_VOLUME_NAME to the volume that holds it
    volume missing
    - codex_volume: the volume codex_auth_7 does not exist: create it and log in, or set CODEX_VOLUME_NAME to the one that holds the login
    volume of another shard
    - queues: codex-1 and the volume codex_auth_0 are of two shards: set CODEX_VOLUME_NAME=codex_auth_1, or CODEX_QUEUE=codex-0
    volume not mounted
    - codex_volume: CODEX_VOLUME_PATH is ROOT/volumes/codex_auth_0, where nothing is mounted in this worker: mount the volume codex_auth_0 there (in compose `volumes: ["codex_auth_0:ROOT/volumes/codex_auth_0"]`), set the path where it is (usually /home/app/.codex), or unset CODEX_VOLUME_PATH
    Codex missing
    - codex_cli: no-such-codex was not found: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
    Codex too old
    - codex_cli: Codex CLI 0.9.1 is too old: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
    Spec Kit missing
    - speckit_cli: no-such-specify was not found: install Spec Kit CLI 1.2.0 or later where jobs run (`pip install specify-cli`), or set MOORLINE_SPECKIT_PROGRAM
    Spec Kit odd
    - speckit_cli: `ROOT/odd --version` says "hello", which is no version that is understood: install Spec Kit CLI 1.2.0 or later where jobs run (`pip install specify-cli`), or set MOORLINE_SPECKIT_PROGRAM
    embedding key missing
    - embedding: the provider google needs a key: set GOOGLE_API_KEY or GEMINI_API_KEY (or a file that holds it by GOOGLE_API_KEY_FILE or GEMINI_API_KEY_FILE), another DEFAULT_EMBEDDING_PROVIDER, or none where agents use no embeddings
    template missing
    - codex_policy: CODEX_TEMPLATE_PATH names ROOT/none.toml, which can't be read (No such file or directory (os error 2)): set a TOML file that the worker may read, or unset it
    template asks
    - codex_policy: CODEX_TEMPLATE_PATH names ROOT/asks.toml, which does not set approval_policy to "never": nobody can answer an agent that asks, so write approval_policy = "never", or leave the key out
    settings broken
    - codex_policy: config.toml in the volume codex_auth_0 is no TOML (duplicate key in line 2): mend the file in the volume, or remove it
    "#);
}

#[test]
fn what_the_system_says_is_passed_on() {
    let root = Site::new()
        .file("file", "")
        .with("MOORLINE_WORK_ROOT", "ROOT/file/work")
        .missing("work root closed");
    assert!(
        root.contains("- work_root: ROOT/file/work can't be written (Not a directory"),
        "{root}"
    );
    let login = Site::new().with("MOORLINE_REQUIRE_LOGIN", "1").missing("login required");
    assert!(login.starts_with("- codex_login: ") && login.contains("codex_auth_0"), "{login}");
    let down = Site::new()
        .with("MOORLINE_EMBEDDING_PROBE", "1")
        .with("MOORLINE_GOOGLE_EMBEDDING_URL", "http://127.0.0.1:1");
    let down = down.missing("embedding endpoint down");
    assert!(
        down.starts_with("- embedding: http://127.0.0.1:1 can't be reached (") && down.contains("refused"),
        "{down}"
    );
}

#[test]
fn a_volume_of_another_user_and_a_git_that_is_too_old_stop_the_start() {
    let site = Site::new();
    let path = format!("ROOT/bin:{}", std::env::var("PATH").unwrap_or_default());
    let site = site.file("bin/git", "#!/bin/sh\necho git version 2.1.0\n").with("PATH", &path);
    site.give(4242);
    let said = site.missing("git too old, volume of another user");
    assert!(said.contains("- git: git version 2.1.0 is too old"), "{said}");
    if rustix::process::geteuid().is_root() {
        assert!(said.contains("belongs to user 4242, and jobs run as user 1000"), "{said}");
    }
}

#[test]
fn all_that_is_missing_is_told_at_once_and_also_without_an_engine() {
    let lacking = |site: Site| {
        site.with("MOORLINE_CODEX_PROGRAM", "no-such-codex")
            .with("MOORLINE_SPECKIT_PROGRAM", "no-such-specify")
            .with("CODEX_TEMPLATE_PATH", "ROOT/none.toml")
            .with("GEMINI_API_KEY", "")
            .with("CODEX_QUEUE", "codex-7")
    };
    let names = |said: &str| -> Vec<String> {
        let name = |line: &str| Some(line.strip_prefix("- ")?.split_once(": ")?.0.to_owned());
        said.lines().filter_map(name).collect()
    };
    let said = lacking(Site::new()).missing("much");
    assert_eq!(
        names(&said),
        ["queues", "codex_cli", "speckit_cli", "codex_policy", "embedding"],
        "{said}"
    );
    let docker = lacking(Site::new())
        .with("MOORLINE_ENGINE", "docker")
        .with("DOCKER_HOST", "unix://ROOT/no.sock");
    let said = docker.missing("much, and no engine");
    assert_eq!(names(&said), ["engine", "queues", "codex_policy", "embedding"], "{said}");
}

#[test]
fn a_gemini_worker_needs_its_own_cli_and_not_that_of_codex() {
    let site = Site::new()
        .with("CODEX_QUEUE", "")
        .with("CODEX_VOLUME_NAME", "")
        .with("MOORLINE_QUEUES", "gemini")
        .with("MOORLINE_CODEX_PROGRAM", "no-such-codex")
        .with("MOORLINE_GEMINI_PROGRAM", "no-such-gemini")
        .with("GEMINI_API_KEY", "");
    let said = site.missing("Gemini missing");
    for needed in ["- gemini_cli: no-such-gemini was not found", "- embedding: ", "- gemini_"] {
        assert!(said.contains(needed), "{said}");
    }
    assert!(!said.contains("codex_cli") && !said.contains("speckit_cli"), "{said}");
}

#[test]
fn check_shows_everything_and_leaves_the_policy_in_the_volume() {
    let site = Site::new();
    let output = site.run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let names: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        names,
        [
            "engine",
            "work_root",
            "git",
            "job_user",
            "queues",
            "job_network",
            "codex_volume",
            "codex_cli",
            "speckit_cli",
            "codex_policy",
            "codex_login",
            "embedding"
        ],
        "{said}"
    );
    assert!(said.contains("gemini_api_key") && !said.contains("very-secret"), "{said}");
    let settings = fs::read_to_string(site.volume().join("config.toml")).unwrap();
    assert_eq!(settings, "approval_policy = \"never\"\n");
    let bad = site.with("GEMINI_API_KEY", "").run(&["check"]);
    let (shown, missing) = (String::from_utf8(bad.stdout).unwrap(), String::from_utf8(bad.stderr).unwrap());
    assert_eq!(bad.status.code(), Some(78));
    assert!(shown.contains("failed  embedding  ") && shown.contains("ok      git  "), "{shown}");
    assert!(missing.contains("- embedding: ") && !missing.contains("- git"), "{missing}");
}

#[test]
fn settings_and_secrets_that_cannot_be_read_end_with_64() {
    let site = Site::new().with("GEMINI_API_KEY_FILE", "ROOT/none");
    let output = site.run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("GEMINI_API_KEY_FILE is set, and so is GEMINI_API_KEY: unset one of them"),
        "{said}"
    );
    let output = site.with("GEMINI_API_KEY", "").run(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("GEMINI_API_KEY_FILE names ") && said.contains("can't be read"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_workers_profile_is_shown_by_the_server() {
    let mut fleet = Fleet::start("work").await;
    let ask = |name: &str| v1::GetWorkerRequest {
        worker_name: name.to_owned(),
    };
    let shown = fleet.app.fleet().get_worker(ask("codex-worker-0")).await.unwrap().into_inner();
    assert_eq!(shown.worker.unwrap().volume, "codex_auth_0");
    let profile = shown.profile.unwrap();
    let tools: Vec<_> = profile.tools.iter().map(|tool| (tool.name.as_str(), tool.supported)).collect();
    assert_eq!(tools, [("codex", true), ("speckit", true)]);
    assert_eq!(profile.policy.unwrap().approval_policy, "never");
    let embedding = profile.embedding.unwrap();
    assert_eq!(
        (embedding.provider.as_str(), embedding.credential_source.as_str()),
        ("none", "none")
    );
    assert!(
        profile.checks.iter().all(|check| check.ok && check.duration.is_some()),
        "{:?}",
        profile.checks
    );
    // One without an agent needs none of it.
    let shown = fleet.app.fleet().get_worker(ask("default-1")).await.unwrap().into_inner();
    let profile = shown.profile.unwrap();
    assert_eq!((profile.tools.len(), profile.embedding, profile.policy), (0, None, None));
    let nobody = fleet.app.fleet().get_worker(ask("nobody")).await.unwrap_err();
    assert_eq!(nobody.code(), tonic::Code::NotFound);
    fleet.stop().await;
}
