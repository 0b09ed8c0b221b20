//! Everything that a ChatGPT login needs, on one machine: its issuer, its model, a server, and the workers that use it.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use moorline_proto::v1::{self, run_service_client::RunServiceClient, shard_service_client::ShardServiceClient};
use moorline_worker::{
    config::{Config, EngineChoice},
    engine,
};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::Instant};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{RENEWED_AFTER, kills::bridge};
use crate::{
    issuer::Issuer,
    model::ScriptedModel,
    soak::stack::{Postgres, Program, Stop, beside_this_one, free_ports},
};

/// How long whoever looks again waits before that.
const LOOK: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub struct Stack {
    /// The issuer; every code is as good as entered.
    pub issuer: Issuer,
    /// The model.
    pub model: ScriptedModel,
    /// Settings of the worker that has the volume.
    pub config: Config,
    /// A folder that jobs can enter.
    pub root: TempDir,
    postgres: Postgres,
    server: Program,
    workers: Vec<Program>,
    channel: Channel,
    options: Options,
    queue: String,
    volume: String,
}

/// How a stack differs from others.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where jobs run.
    pub engine: EngineChoice,
    /// What the model does.
    pub mode: &'static str,
    /// Number of the shard.
    pub shard: u32,
    /// What comes before that number in the name of its volume.
    pub volumes: String,
    /// For the agent.
    pub agent: Vec<(&'static str, String)>,
    /// For server and workers.
    pub programs: Vec<(&'static str, String)>,
}

impl Default for Options {
    /// Local processes that do what they should.
    fn default() -> Self {
        Self {
            engine: EngineChoice::Process,
            mode: "work",
            shard: 0,
            volumes: "codex_auth_".to_owned(),
            agent: Vec::new(),
            programs: Vec::new(),
        }
    }
}

impl Stack {
    /// Starts everything, with a volume that nobody has logged in.
    pub async fn start(folder: &Path, options: Options) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let listen = match options.engine {
            EngineChoice::Docker => bridge().await?,
            _ => SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let issuer = Issuer::start_on(listen).await?;
        issuer.approve_at_once();
        issuer.renew_after(RENEWED_AFTER);
        let model = ScriptedModel::of_issuer(listen, &issuer).await?;
        let root = tempfile::tempdir()?;
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
        let postgres = Postgres::start().await?;
        let port = *free_ports(1)?.first().context("a port")?;
        let config = config(&options, &model, root.path(), port)?;
        let (queue, volume) = (queue(&options), volume(&options));
        let engine = engine::connect::choose(&config).await?;
        engine.create_volume(&volume, &config.job_user).await?;
        let server = [
            ("MOORLINE_LISTEN", port.to_string()),
            ("MOORLINE_HTTP_LISTEN", "off".to_owned()),
            ("MOORLINE_DATABASE_URL", postgres.url().to_owned()),
            ("SPEC_WORKFLOW_ARTIFACT_ROOT", folder.join("artifacts").display().to_string()),
            ("MOORLINE_VOLUME_PREFIX", options.volumes.clone()),
            ("CODEX_SHARDS", (options.shard + 1).to_string()),
            // What is looked at is the login, whichever way the stages go.
            ("SPEC_WORKFLOW_USE_SKILLS", "off".to_owned()),
        ];
        let server = server.into_iter().chain(options.programs.clone());
        let server = Program::start("server", beside_this_one("moorline-server-under-test")?, &[], server, folder)?;
        let channel = Endpoint::from_shared(config.server.clone())?.connect_lazy();
        let mut stack = Self {
            issuer,
            model,
            config,
            root,
            postgres,
            server,
            workers: Vec::new(),
            channel,
            options,
            queue,
            volume,
        };
        stack.listens(port).await?;
        let (queue, volume) = (stack.queue.clone(), stack.volume.clone());
        for (name, queue, volume) in [("default", "default", ""), ("shard", &queue, &volume)] {
            let program = beside_this_one("moorline-worker-under-test")?;
            let worker = Program::start(name, program, &[], stack.environment(name, queue, volume), folder)?;
            stack.workers.push(worker);
        }
        stack.is_held().await?;
        Ok(stack)
    }

    /// Settings by which a worker of this stack, or an agent's command like those of its worker, is started.
    fn environment(&self, name: &str, queue: &str, volume: &str) -> Vec<(&'static str, String)> {
        let (config, options) = (&self.config, &self.options);
        let refresh = ("CODEX_REFRESH_TOKEN_URL_OVERRIDE", self.issuer.refresh_url());
        let revoke = ("CODEX_REVOKE_TOKEN_URL_OVERRIDE", self.issuer.revoke_url());
        let agent = [refresh, revoke].into_iter().chain(options.agent.clone());
        let agent: Vec<String> = agent.map(|(name, value)| format!("{name}={value}")).collect();
        let engine = match options.engine {
            EngineChoice::Docker => "docker",
            _ => "process",
        };
        let own = [
            ("MOORLINE_SERVER", config.server.clone()),
            ("MOORLINE_WORKER_NAME", name.to_owned()),
            ("MOORLINE_QUEUES", queue.to_owned()),
            ("CODEX_VOLUME_NAME", volume.to_owned()),
            ("MOORLINE_WORK_ROOT", config.work_root.display().to_string()),
            ("MOORLINE_VOLUME_ROOT", config.volume_root.display().to_string()),
            ("MOORLINE_SKILLS_ROOT", config.skills_root.display().to_string()),
            ("MOORLINE_ENGINE", engine.to_owned()),
            ("SPEC_AUTOMATION_JOB_IMAGE", config.job_image.clone()),
            ("MOORLINE_CODEX_PROGRAM", config.codex_program.clone()),
            ("MOORLINE_SPECKIT_PROGRAM", config.speckit_program.clone()),
            ("DEFAULT_EMBEDDING_PROVIDER", config.embedding.provider.name().to_owned()),
            ("MOORLINE_CODEX_CONFIG", config.codex_config.join("\n")),
            ("MOORLINE_CODEX_ISSUER", self.issuer.url()),
            ("CODEX_ENV", agent.join("\n")),
            ("MOORLINE_GIT_PROTOCOLS", config.git_protocols.clone()),
        ];
        own.into_iter().chain(options.programs.clone()).collect()
    }

    /// The queue of the shard that has the volume.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Name of the volume.
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// Its folder, with local processes.
    pub fn volume_folder(&self) -> PathBuf {
        self.config.volume_root.join(&self.volume)
    }

    /// The processes of server and workers.
    pub fn processes(&self) -> Vec<u32> {
        let programs = std::iter::once(&self.server).chain(&self.workers);
        programs.filter_map(Program::id).collect()
    }

    /// How the database is reached.
    pub fn database(&self) -> &str {
        self.postgres.url()
    }

    /// For clients.
    pub fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    /// For operators.
    pub fn shards(&self) -> ShardServiceClient<Channel> {
        ShardServiceClient::new(self.channel.clone())
    }

    /// Logs the volume in by device code, and returns the check of the new login.
    pub async fn log_in(&self) -> Result<v1::Preflight, Status> {
        self.log_in_by(v1::LoginMethod::Device, "").await
    }

    /// The same by an API key.
    pub async fn log_in_with(&self, api_key: &str) -> Result<v1::Preflight, Status> {
        self.log_in_by(v1::LoginMethod::ApiKey, api_key).await
    }

    async fn log_in_by(&self, method: v1::LoginMethod, api_key: &str) -> Result<v1::Preflight, Status> {
        let request = v1::LoginVolumeRequest {
            volume: self.volume.clone(),
            method: method.into(),
            api_key: api_key.to_owned(),
        };
        let mut steps = self.shards().login_volume(request).await?.into_inner();
        let mut checked = None;
        while let Some(step) = steps.message().await? {
            checked = step.preflight.or(checked);
        }
        checked.ok_or_else(|| Status::internal("the login ended without a check"))
    }

    /// Stops everything in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            worker.terminate()?;
        }
        for worker in &mut self.workers {
            worker.ended().await?;
        }
        self.server.terminate()?;
        self.server.ended().await?;
        self.postgres.stop(Stop::Fast).await
    }

    async fn listens(&mut self, port: SocketAddr) -> anyhow::Result<()> {
        /// For a start on an empty database, on a busy machine.
        const LIMIT: Duration = Duration::from_secs(120);
        let end = Instant::now() + LIMIT;
        while TcpStream::connect(port).await.is_err() {
            // One that ended, because something was in its way, is started again, as a supervisor does.
            self.server.mend().await?;
            anyhow::ensure!(Instant::now() < end, "the server does not listen:\n{}", self.server.last_words());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the server knows the worker that has the volume.
    async fn is_held(&self) -> anyhow::Result<()> {
        let held = async || {
            let request = v1::GetShardRequest { queue: self.queue.clone() };
            let shard = self
                .shards()
                .get_shard(request)
                .await
                .ok()
                .and_then(|shard| shard.into_inner().shard);
            shard.is_some_and(|shard| shard.status() == v1::ShardStatus::Active)
        };
        eventually("the shard is active", held).await
    }
}

fn queue(options: &Options) -> String {
    format!("codex-{}", options.shard)
}

fn volume(options: &Options) -> String {
    format!("{}{}", options.volumes, options.shard)
}

fn config(options: &Options, model: &ScriptedModel, root: &Path, server: SocketAddr) -> anyhow::Result<Config> {
    let variable = |name: &str, default: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())
    };
    Ok(Config {
        server: format!("http://{server}"),
        name: "shard".to_owned(),
        queues: vec![queue(options)],
        volume: Some(volume(options)),
        work_root: root.to_owned(),
        volume_root: root.join("volumes"),
        engine: options.engine,
        skills_root: match options.engine {
            EngineChoice::Docker => "/opt/moorline".into(),
            _ => crate::skills::root(),
        },
        job_image: variable("MOORLINE_TEST_JOB_IMAGE", "moorline-job"),
        codex_program: match options.engine {
            EngineChoice::Docker => "codex".to_owned(),
            _ => variable("MOORLINE_CODEX_PROGRAM", "codex"),
        },
        speckit_program: match options.engine {
            EngineChoice::Docker => "specify".to_owned(),
            _ => variable("MOORLINE_SPECKIT_PROGRAM", "specify"),
        },
        embedding: moorline_worker::embedding::Settings::none(),
        codex_config: vec![
            format!("openai_base_url={:?}", model.base_url(options.mode)),
            format!("chatgpt_base_url={:?}", model.chatgpt_url()),
        ],
        git_protocols: "file:http".to_owned(),
        ..Config::try_parse_from(["moorline-worker"])?
    })
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, so: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    let end = Instant::now() + LIMIT;
    while !so().await {
        anyhow::ensure!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
