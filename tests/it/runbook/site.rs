//! A place where the documents' commands can be run: a server, an issuer, a model, a repository, and the programs on `PATH`.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use moorline_proto::v1;
use moorline_tests::{
    issuer::Issuer,
    model::ScriptedModel,
    repo::{FEATURE, SampleRepository},
};
use tempfile::TempDir;

use super::{
    document::{Place, Procedure, procedure, procedures},
    shell,
};
use crate::support::{Process, TestApp, app::request, eventually, fleet::open_folder, program};

/// See the module.
pub struct Site {
    pub app: TestApp,
    pub issuer: Issuer,
    pub origin: SampleRepository,
    pub root: TempDir,
    model: ScriptedModel,
    workers: Vec<Process>,
}

impl Site {
    /// With a worker for `default`, and no shard's worker.
    pub async fn start() -> Self {
        let issuer = Issuer::start().await.expect("an issuer");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut site = Self {
            app: TestApp::start().await,
            model: ScriptedModel::of_issuer(listen, &issuer).await.expect("a model"),
            issuer,
            origin: SampleRepository::builder().build().expect("a repository"),
            root: open_folder(),
            workers: Vec::new(),
        };
        let bin = site.root.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        let (buf, python) = (
            program("MOORLINE_TEST_BUF", "buf"),
            program("MOORLINE_TEST_PYTHON", "/usr/bin/python3"),
        );
        for (name, program) in [
            ("moorline", env!("CARGO_BIN_EXE_moorline-under-test")),
            ("moorline-server", env!("CARGO_BIN_EXE_moorline-server-under-test")),
            ("moorline-worker", env!("CARGO_BIN_EXE_moorline-worker-under-test")),
            ("buf", &buf),
            ("python3", &python),
        ] {
            symlink(program, bin.join(name)).expect("a link");
        }
        site.worker("default-1", "default", "").await;
        site
    }

    /// The same with a shard's worker, whose volume nobody has logged in.
    pub async fn with_shard() -> Self {
        let mut site = Self::start().await;
        site.make_volume("codex_auth_0").await;
        site.worker("codex-worker-0", "codex-0", "codex_auth_0").await;
        site
    }

    /// The same with a login, as the procedure makes one.
    pub async fn with_login() -> Self {
        let mut site = Self::start().await;
        site.make_volume("codex_auth_0").await;
        let credential = site.volume("codex_auth_0").join("auth.json");
        fs::write(&credential, site.issuer.credential()).expect("a credential");
        site.own(&credential, 0o600);
        site.worker("codex-worker-0", "codex-0", "codex_auth_0").await;
        site
    }

    /// Runs a procedure of a document, with these variables beside the site's own, and returns what was shown.
    pub async fn run(&self, document: &str, heading: &str, further: &[(&str, &str)]) -> String {
        self.run_blocks(&procedure(document, heading), further).await
    }

    /// The same for a document that is one procedure from top to bottom.
    pub async fn run_whole(&self, document: &str, further: &[(&str, &str)]) -> String {
        let whole = Procedure {
            heading: document.to_owned(),
            blocks: procedures(document).into_iter().flat_map(|procedure| procedure.blocks).collect(),
        };
        self.run_blocks(&whole, further).await
    }

    async fn run_blocks(&self, procedure: &Procedure, further: &[(&str, &str)]) -> String {
        let mut variables = self.variables();
        variables.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        shell::run(procedure, Place::Here, &variables, Some(&self.issuer)).await
    }

    /// A run of the sample feature on shard 0, when it has ended.
    pub async fn run_of_shard(&self) -> v1::GetRunResponse {
        let asked = v1::CreateRunRequest {
            repository: self.repository(),
            codex_queue: "codex-0".to_owned(),
            ..request(FEATURE)
        };
        let run = self.app.create_with(asked).await.expect("a run");
        self.app.finished(&run.run_id).await
    }

    /// A shard as it is now.
    pub async fn shard(&self, queue: &str) -> v1::Shard {
        let asked = v1::GetShardRequest { queue: queue.to_owned() };
        let answer = self.app.shards().get_shard(asked).await.expect("an answer").into_inner();
        answer.shard.expect("a shard")
    }

    /// The repository, as a run names it.
    pub fn repository(&self) -> String {
        format!("file://{}", self.origin.origin().display())
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.path().join("volumes").join(name)
    }

    /// The site's settings, as an operator has them in the environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let root = |name: &str| self.root.path().join(name).display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", format!("{}:{path}", root("bin"))),
            ("HOME", root("home")),
            ("LANG", "C.UTF-8".to_owned()),
            ("MOORLINE_SERVER", self.app.url()),
            ("MOORLINE_ENGINE", "process".to_owned()),
            ("MOORLINE_WORK_ROOT", root("work")),
            ("MOORLINE_VOLUME_ROOT", root("volumes")),
            ("MOORLINE_SKILLS_ROOT", moorline_tests::skills::root().display().to_string()),
            ("MOORLINE_CODEX_PROGRAM", program("MOORLINE_CODEX_PROGRAM", "codex")),
            ("MOORLINE_SPECKIT_PROGRAM", program("MOORLINE_SPECKIT_PROGRAM", "specify")),
            ("DEFAULT_EMBEDDING_PROVIDER", "none".to_owned()),
            ("MOORLINE_GEMINI_PROGRAM", program("MOORLINE_GEMINI_PROGRAM", "gemini")),
            ("MOORLINE_GEMINI_BASE_URL", self.model.gemini_url("work")),
            (
                "MOORLINE_CODEX_CONFIG",
                format!(
                    "openai_base_url={:?}\nchatgpt_base_url={:?}",
                    self.model.base_url("work"),
                    self.model.chatgpt_url()
                ),
            ),
            ("MOORLINE_CODEX_ISSUER", self.issuer.url()),
            (
                "CODEX_ENV",
                format!(
                    "CODEX_REFRESH_TOKEN_URL_OVERRIDE={}\nCODEX_REVOKE_TOKEN_URL_OVERRIDE={}",
                    self.issuer.refresh_url(),
                    self.issuer.revoke_url()
                ),
            ),
            ("MOORLINE_GIT_PROTOCOLS", "file".to_owned()),
            ("REPOSITORY", self.repository()),
            ("FEATURE", FEATURE.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Starts a worker that the test itself needs.
    async fn worker(&mut self, name: &str, queue: &str, volume: &str) {
        let variables = self.variables();
        let mut variables: Vec<(&str, String)> = variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        variables.retain(|(name, _)| *name != "HOME");
        variables.extend([
            ("MOORLINE_WORKER_NAME", name.to_owned()),
            ("MOORLINE_QUEUES", queue.to_owned()),
            ("CODEX_VOLUME_NAME", volume.to_owned()),
        ]);
        let worker = Process::start(env!("CARGO_BIN_EXE_moorline-worker-under-test"), &variables);
        worker.says("the server has welcomed this worker").await;
        self.workers.push(worker);
        if !volume.is_empty() {
            eventually("the shard is active", async || {
                let shard = self.shard(queue).await;
                (shard.status() == v1::ShardStatus::Active).then_some(())
            })
            .await;
        }
    }

    async fn make_volume(&self, name: &str) {
        let folder = self.volume(name);
        fs::create_dir_all(&folder).expect("a volume");
        self.own(&folder, 0o700);
    }

    /// Gives a file to the user that jobs run as.
    fn own(&self, path: &std::path::Path, mode: u32) {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        if rustix::process::geteuid().is_root() {
            chown(path, Some(1000), Some(1000)).expect("an owner");
        }
    }
}
