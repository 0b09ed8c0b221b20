//! Real parts together: a server, real workers, the real Codex CLI, and a scripted model that answers it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use moorline_proto::v1;
use moorline_tests::{
    model::ScriptedModel,
    repo::{Builder, SampleRepository},
    skills,
};
use moorline_worker::{
    config::{Config, EngineChoice},
    embedding,
    engine::{self, Engine},
    login, run,
};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{TestApp, app::request, left::Volumes, program};

/// A key that tests would recognise wherever it turned up.
pub const API_KEY: &str = "sk-test-moorline-recognisable-0123456789";

/// See the module. Stops when dropped.
pub struct Fleet {
    pub app: TestApp,
    pub model: ScriptedModel,
    pub root: TempDir,
    pub engine: EngineChoice,
    mode: String,
    volume_prefix: String,
    workers: JoinSet<Result<(), run::Error>>,
    stop: CancellationToken,
    /// On Docker; after the workers, which are gone by then.
    _volumes: Option<Volumes>,
}

impl Fleet {
    /// A fleet of local processes without workers yet; the model answers in this mode.
    pub async fn new(mode: &str) -> Self {
        Self::with_engine(mode, EngineChoice::Process, "127.0.0.1:0").await
    }

    /// The same with an engine, and the model at an address that its jobs can reach.
    pub async fn with_engine(mode: &str, engine: EngineChoice, model: &str) -> Self {
        let volume_prefix = match engine {
            EngineChoice::Docker => format!("moorline_test_{}_", &uuid::Uuid::now_v7().simple().to_string()[20..]),
            _ => "codex_auth_".to_owned(),
        };
        let app = TestApp::with_volumes(&volume_prefix).await;
        Self::around(app, mode, engine, model, volume_prefix).await
    }

    /// A fleet of local processes around a server.
    pub async fn of(app: TestApp, mode: &str) -> Self {
        Self::of_at(app, mode, "127.0.0.1:0").await
    }

    /// The same with the model at an address that its jobs can reach.
    pub async fn of_at(app: TestApp, mode: &str, model: &str) -> Self {
        Self::around(app, mode, EngineChoice::Process, model, "codex_auth_".to_owned()).await
    }

    async fn around(app: TestApp, mode: &str, engine: EngineChoice, model: &str, volume_prefix: String) -> Self {
        Self {
            app,
            model: ScriptedModel::start(model.parse().expect("an address")).await.expect("a model"),
            root: open_folder(),
            engine,
            mode: mode.to_owned(),
            _volumes: (engine == EngineChoice::Docker).then(|| Volumes(volume_prefix.clone())),
            volume_prefix,
            workers: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A fleet whose jobs run in Docker containers; the model listens where they reach it. Fails when the engine doesn't answer.
    pub async fn in_docker(mode: &str) -> Self {
        let docker = bollard::Docker::connect_with_defaults().expect("a Docker client");
        let bridge = docker
            .inspect_network("bridge", None)
            .await
            .expect("a Docker engine: start dockerd");
        let ipam = bridge.ipam.and_then(|ipam| ipam.config?.pop()).expect("the bridge's addresses");
        // Older engines tell the subnet only; the host has its first address.
        let first = || Some(ipam.subnet?.split_once("0/")?.0.to_owned() + "1");
        let gateway = ipam.gateway.or_else(first).expect("the bridge's gateway");
        let mut fleet = Self::with_engine(mode, EngineChoice::Docker, &format!("{gateway}:0")).await;
        fleet.default_worker(|_| {}).await;
        fleet.log_in(0).await;
        fleet
    }

    /// A default worker, and one for shard 0 with a login: what most tests need.
    pub async fn start(mode: &str) -> Self {
        let mut fleet = Self::new(mode).await;
        fleet.default_worker(|_| {}).await;
        fleet.log_in(0).await;
        fleet.shard_worker(0, |_| {}).await;
        fleet
    }

    pub fn volume(&self, index: u32) -> String {
        format!("{}{index}", self.volume_prefix)
    }

    /// Folder of a volume, with the process engine.
    pub fn volume_folder(&self, index: u32) -> PathBuf {
        self.root.path().join("volumes").join(self.volume(index))
    }

    /// Settings of a worker of this fleet.
    pub fn config(&self, name: &str, queue: &str) -> Config {
        Config {
            server: format!("http://{}", self.app.address()),
            name: name.to_owned(),
            queues: vec![queue.to_owned()],
            slots: 4,
            volume: None,
            work_root: self.root.path().to_owned(),
            engine: self.engine,
            volume_root: self.root.path().join("volumes"),
            skills_root: match self.engine {
                EngineChoice::Docker => "/opt/moorline".into(),
                _ => skills::root(),
            },
            job_image: program("MOORLINE_TEST_JOB_IMAGE", "moorline-job"),
            login_check_image: None,
            codex_program: match self.engine {
                EngineChoice::Docker => "codex".to_owned(),
                _ => program("MOORLINE_CODEX_PROGRAM", "codex"),
            },
            speckit_program: match self.engine {
                EngineChoice::Docker => "specify".to_owned(),
                _ => program("MOORLINE_SPECKIT_PROGRAM", "specify"),
            },
            embedding: embedding::Settings::none(),
            codex_config: vec![format!("openai_base_url={:?}", self.model.base_url(&self.mode))],
            github_token: None,
            git_protocols: "https:ssh:file:http".to_owned(),
            ..Config::try_parse_from(["moorline-worker"]).expect("settings")
        }
    }

    pub async fn engine(&self) -> Arc<dyn Engine> {
        engine::connect::choose(&self.config("any", "default")).await.expect("an engine")
    }

    /// Makes a shard's volume without a login.
    pub async fn make_volume(&self, index: u32) {
        let config = self.config("any", "default");
        self.engine()
            .await
            .create_volume(&self.volume(index), &config.job_user)
            .await
            .expect("a volume");
    }

    /// Makes a shard's volume and logs it in by API key.
    pub async fn log_in(&self, index: u32) {
        self.log_in_with(&self.config("any", "default"), index).await;
    }

    /// The same on the host of a worker.
    pub async fn log_in_with(&self, config: &Config, index: u32) {
        let engine = engine::connect::choose(config).await.expect("an engine");
        let (volume, key) = (self.volume(index), SecretString::from(API_KEY));
        engine.create_volume(&volume, &config.job_user).await.expect("a volume");
        login::with_api_key(&*engine, config, &volume, &key).await.expect("a login");
    }

    /// Settings of a worker for a shard.
    pub fn shard_config(&self, name: &str, index: u32) -> Config {
        Config {
            volume: Some(self.volume(index)),
            ..self.config(name, &format!("codex-{index}"))
        }
    }

    /// Starts a worker for the default queue, and waits until it is welcome.
    pub async fn default_worker(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config("default-1", "default");
        change(&mut config);
        self.worker(config).await.expect("a default worker");
    }

    /// Starts a worker for a shard.
    pub async fn shard_worker(&mut self, index: u32, change: impl FnOnce(&mut Config)) {
        let mut config = self.shard_config(&format!("codex-worker-{index}"), index);
        change(&mut config);
        self.worker(config).await.expect("a shard's worker");
    }

    /// Starts a worker; its error when it ends before it is welcome.
    pub async fn worker(&mut self, config: Config) -> Result<(), run::Error> {
        let (welcome, mut welcomed) = watch::channel(false);
        let running = run::run_with(config, self.stop.child_token(), welcome);
        let mut running = Box::pin(running);
        tokio::select! {
            ended = &mut running => return ended,
            _ = welcomed.wait_for(|welcomed| *welcomed) => {}
        }
        self.workers.spawn(running);
        Ok(())
    }

    /// Creates a run for the feature of a repository, on shard 0, and watches it to its end.
    pub async fn run(&self, repository: &SampleRepository) -> v1::GetRunResponse {
        let run = self.app.create_with(self.request(repository)).await.expect("a run");
        self.app.finished(&run.run_id).await
    }

    /// A request for the feature of a repository, on shard 0.
    pub fn request(&self, repository: &SampleRepository) -> v1::CreateRunRequest {
        v1::CreateRunRequest {
            repository: format!("file://{}", repository.origin().display()),
            codex_queue: "codex-0".to_owned(),
            ..request(moorline_tests::repo::FEATURE)
        }
    }

    /// Ends the workers as SIGTERM does, and waits for them.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("no panic").expect("a clean end");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A folder that jobs can enter, which run as another user.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("an open folder");
    folder
}

/// A sample repository that the workers' user can read.
pub fn repository(builder: Builder) -> SampleRepository {
    builder.build().expect("a repository")
}
