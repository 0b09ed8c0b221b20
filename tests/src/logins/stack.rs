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

use super::RENEWED_AFTER;
use crate::{
    issuer::Issuer,
    model::ScriptedModel,
    soak::stack::{Postgres, Program, Stop, beside_this_one, free_ports},
};

/// The one volume.
pub const VOLUME: &str = "codex_auth_0";
/// The queue of the shard that has it.
pub const QUEUE: &str = "codex-0";

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
}

impl Stack {
    /// Starts everything, with a volume that nobody has logged in.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let issuer = Issuer::start().await?;
        issuer.approve_at_once();
        issuer.renew_after(RENEWED_AFTER);
        let model = ScriptedModel::of_issuer(SocketAddr::from(([127, 0, 0, 1], 0)), &issuer).await?;
        let root = tempfile::tempdir()?;
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
        let postgres = Postgres::start().await?;
        let port = *free_ports(1)?.first().context("a port")?;
        let config = config(&model, root.path(), port)?;
        let engine = engine::connect::choose(&config).await?;
        engine.create_volume(VOLUME, &config.job_user).await?;
        let server = [
            ("MOORLINE_LISTEN", port.to_string()),
            ("MOORLINE_DATABASE_URL", postgres.url().to_owned()),
            ("SPEC_WORKFLOW_ARTIFACT_ROOT", folder.join("artifacts").display().to_string()),
            ("CODEX_SHARDS", "1".to_owned()),
        ];
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
        };
        stack.listens(port).await?;
        for (name, queue, volume) in [("default", "default", ""), ("shard", QUEUE, VOLUME)] {
            let program = beside_this_one("moorline-worker-under-test")?;
            let worker = Program::start(name, program, &[], stack.environment(name, queue, volume), folder)?;
            stack.workers.push(worker);
        }
        stack.is_held().await?;
        Ok(stack)
    }

    /// Settings by which a worker of this stack, or an agent's command like those of its worker, is started.
    fn environment(&self, name: &str, queue: &str, volume: &str) -> Vec<(&'static str, String)> {
        let config = &self.config;
        vec![
            ("MOORLINE_SERVER", config.server.clone()),
            ("MOORLINE_WORKER_NAME", name.to_owned()),
            ("MOORLINE_QUEUES", queue.to_owned()),
            ("CODEX_VOLUME_NAME", volume.to_owned()),
            ("MOORLINE_WORK_ROOT", config.work_root.display().to_string()),
            ("MOORLINE_VOLUME_ROOT", config.volume_root.display().to_string()),
            ("MOORLINE_ENGINE", "process".to_owned()),
            ("MOORLINE_CODEX_PROGRAM", config.codex_program.clone()),
            ("MOORLINE_CODEX_CONFIG", config.codex_config.join("\n")),
            ("MOORLINE_CODEX_ISSUER", self.issuer.url()),
            (
                "CODEX_ENV",
                format!("CODEX_REFRESH_TOKEN_URL_OVERRIDE={}", self.issuer.refresh_url()),
            ),
            ("MOORLINE_GIT_PROTOCOLS", config.git_protocols.clone()),
        ]
    }

    /// Folder of the volume.
    pub fn volume(&self) -> PathBuf {
        self.config.volume_root.join(VOLUME)
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
        let request = v1::LoginVolumeRequest {
            volume: VOLUME.to_owned(),
            method: v1::LoginMethod::Device.into(),
            ..Default::default()
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
        let ready = async || TcpStream::connect(port).await.is_ok();
        eventually("the server listens", ready).await
    }

    /// Waits until the server knows the worker that has the volume.
    async fn is_held(&self) -> anyhow::Result<()> {
        let held = async || {
            let request = v1::GetShardRequest { queue: QUEUE.to_owned() };
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

fn config(model: &ScriptedModel, root: &Path, server: SocketAddr) -> anyhow::Result<Config> {
    let program = std::env::var("MOORLINE_CODEX_PROGRAM").unwrap_or_else(|_| "codex".to_owned());
    Ok(Config {
        server: format!("http://{server}"),
        name: "shard".to_owned(),
        queues: vec![QUEUE.to_owned()],
        volume: Some(VOLUME.to_owned()),
        work_root: root.to_owned(),
        volume_root: root.join("volumes"),
        engine: EngineChoice::Process,
        codex_program: program,
        codex_config: vec![
            format!("openai_base_url={:?}", model.base_url("work")),
            format!("chatgpt_base_url={:?}", model.chatgpt_url()),
        ],
        git_protocols: "file".to_owned(),
        ..Config::try_parse_from(["moorline-worker"])?
    })
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, so: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    const LOOK: Duration = Duration::from_millis(50);
    let end = Instant::now() + LIMIT;
    while !so().await {
        anyhow::ensure!(Instant::now() < end, "never came: {what}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
