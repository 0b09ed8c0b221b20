//! An engine, an issuer and a model that its containers reach, and one volume for each kill.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use moorline_proto::v1::{PreflightRung, PreflightStatus};
use moorline_worker::{
    agent::{Agent as _, codex::Codex},
    config::{Config, EngineChoice},
    engine::{self, ContainerSpec, Engine, Exit},
    preflight,
    volume::{Place, guard::Kind},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tempfile::TempDir;

use super::{Case, Kill};
use crate::{
    issuer::{Issuer, RENEWED_BEFORE},
    logins::stack::eventually,
    model::ScriptedModel,
};

const QUEUE: &str = "codex-0";
/// Longest time of an agent.
const LONGEST: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug)]
pub struct Scene {
    /// The issuer.
    pub issuer: Issuer,
    model: ScriptedModel,
    engine: Arc<dyn Engine>,
    config: Config,
    _root: TempDir,
}

impl Scene {
    /// With Docker containers.
    ///
    /// # Errors
    ///
    /// When Docker doesn't answer.
    pub async fn docker() -> anyhow::Result<Self> {
        Self::new(EngineChoice::Docker, bridge().await?).await
    }

    /// With local processes.
    ///
    /// # Errors
    ///
    /// When a folder can't be made.
    pub async fn process() -> anyhow::Result<Self> {
        Self::new(EngineChoice::Process, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn new(choice: EngineChoice, listen: SocketAddr) -> anyhow::Result<Self> {
        let issuer = Issuer::start_on(listen).await?;
        let model = ScriptedModel::of_issuer(listen, &issuer).await?;
        let root = tempfile::tempdir()?;
        std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let config = config(choice, &issuer, &model, root.path())?;
        Ok(Self {
            engine: engine::connect::choose(&config).await?,
            issuer,
            model,
            config,
            _root: root,
        })
    }

    /// Logs a volume of its own in, kills its agent, checks, and works on.
    ///
    /// # Errors
    ///
    /// When the agent didn't come so far.
    pub async fn kill(&self, case: Case) -> anyhow::Result<Kill> {
        let volume = format!("moorline_test_{}", uuid::Uuid::now_v7().simple());
        self.engine.create_volume(&volume, &self.config.job_user).await?;
        let killed = self.kill_in(case, &volume).await;
        let removed = self.remove(&volume).await;
        let kill = killed.with_context(|| format!("killed {case}"))?;
        removed.map(|()| kill)
    }

    /// A volume with a login that lasts, for as long as `with` needs it.
    ///
    /// # Errors
    ///
    /// When it can't be made, and what `with` fails with.
    pub async fn with_volume<T>(&self, with: impl AsyncFnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let volume = format!("moorline_test_{}", uuid::Uuid::now_v7().simple());
        self.engine.create_volume(&volume, &self.config.job_user).await?;
        self.issuer.set_lifetime(Duration::from_secs(3600));
        let place = Place::find(&*self.engine, &Codex::new(&self.config), &volume)
            .await?
            .context("the volume")?;
        let done = match self.store(&place, self.issuer.credential()).await {
            Ok(()) => with(&volume).await,
            Err(error) => Err(error),
        };
        let removed = self.remove(&volume).await;
        let done = done?;
        removed.map(|()| done)
    }

    /// Settings of the worker.
    pub fn config(&self) -> &Config {
        &self.config
    }

    async fn kill_in(&self, case: Case, volume: &str) -> anyhow::Result<Kill> {
        let agent = Codex::new(&self.config);
        let place = Place::find(&*self.engine, &agent, volume).await?.context("the volume")?;
        // A login that has to be renewed; what it is renewed to lasts.
        self.issuer.set_lifetime(RENEWED_BEFORE - Duration::from_secs(60));
        self.store(&place, self.issuer.credential()).await?;
        self.issuer.set_lifetime(Duration::from_secs(3600));
        // As before every job.
        let before = self.check(volume).await;
        anyhow::ensure!(
            before.preflight.status() == PreflightStatus::Passed,
            "before: {}",
            before.preflight.message
        );
        let token = self.refresh_token(volume).await.context("a refresh token before")?;

        let mut pause = self.issuer.pause_at(case.point());
        let container = self.engine.start(&self.work(&place)).await?;
        pause.reached().await?;
        if case == Case::Stored {
            let stored = async || self.refresh_token(volume).await.is_some_and(|stored| stored != token);
            eventually("the new token on disk", stored).await?;
        }
        // With SIGKILL, whether or not it still runs.
        self.engine.remove(&container).await?;
        drop(pause);

        let counts = self.refresh_token(volume).await.is_some_and(|token| self.issuer.counts(&token));
        let mut checked = self.check(volume).await.preflight;
        if checked.rung() == PreflightRung::Unknown {
            // On a busy machine the CLI may not get to its call. It isn't ready then, and the message says to look again.
            checked = self.check(volume).await.preflight;
        }
        let worked = place.run(&*self.engine, &self.work(&place), None).await?;
        Ok(Kill {
            case,
            counts,
            rung: checked.rung(),
            passed: checked.status() == PreflightStatus::Passed,
            message: checked.message,
            works: worked.exit == Exit::Code(0),
        })
    }

    /// The worker's own check.
    pub async fn check(&self, volume: &str) -> preflight::Checked {
        let ask = preflight::Ask {
            queue: QUEUE,
            volume: Some(volume),
            generation: 0,
            probe: false,
        };
        preflight::check(&*self.engine, &Codex::new(&self.config), &self.config, &ask).await
    }

    /// An agent at work, as far as its login goes.
    fn work(&self, place: &Place) -> ContainerSpec {
        let agent = Codex::new(&self.config);
        let mut argv = agent.work_command(&place.home, &place.home);
        // The prompt is an argument: standard input is empty.
        argv.pop();
        argv.push("Say something.".to_owned());
        let mut spec = place.command(&self.config, &agent, Kind::Agent, 0, argv);
        spec.network = "bridge".to_owned();
        spec.limits.time = LONGEST;
        spec.limits.memory_bytes = self.config.job_memory_bytes;
        spec.limits.pids = self.config.job_pids;
        spec
    }

    async fn store(&self, place: &Place, credential: String) -> anyhow::Result<()> {
        let script = "umask 077; cat >\"$1/auth.json\"";
        let argv = ["sh", "-c", script, "sh", &place.home.display().to_string()]
            .map(str::to_owned)
            .to_vec();
        let spec = place.command(&self.config, &Codex::new(&self.config), Kind::Login, 0, argv);
        let stored = place.run(&*self.engine, &spec, Some(&SecretString::from(credential))).await?;
        anyhow::ensure!(stored.exit == Exit::Code(0), "{stored:?}");
        Ok(())
    }

    async fn refresh_token(&self, volume: &str) -> Option<String> {
        let file = self.engine.read_volume_file(volume, "auth.json").await.ok()??;
        let content: Value = serde_json::from_slice(file.expose_secret()).ok()?;
        content["tokens"]["refresh_token"].as_str().map(str::to_owned)
    }

    async fn remove(&self, volume: &str) -> anyhow::Result<()> {
        if self.config.engine == EngineChoice::Docker {
            let options = None::<bollard::query_parameters::RemoveVolumeOptions>;
            bollard::Docker::connect_with_defaults()?.remove_volume(volume, options).await?;
        }
        Ok(())
    }

    /// What the model was asked.
    pub fn model(&self) -> &ScriptedModel {
        &self.model
    }
}

fn config(choice: EngineChoice, issuer: &Issuer, model: &ScriptedModel, root: &Path) -> anyhow::Result<Config> {
    let variable = |name: &str, default: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())
    };
    let refresh = (
        "CODEX_REFRESH_TOKEN_URL_OVERRIDE".to_owned(),
        SecretString::from(issuer.refresh_url()),
    );
    Ok(Config {
        name: "kills".to_owned(),
        queues: vec![QUEUE.to_owned()],
        work_root: root.to_owned(),
        volume_root: root.join("volumes"),
        engine: choice,
        skills_root: match choice {
            EngineChoice::Docker => "/opt/moorline".into(),
            _ => crate::skills::root(),
        },
        job_image: variable("MOORLINE_TEST_JOB_IMAGE", "moorline-job"),
        codex_program: match choice {
            EngineChoice::Docker => "codex".to_owned(),
            _ => variable("MOORLINE_CODEX_PROGRAM", "codex"),
        },
        speckit_program: match choice {
            EngineChoice::Docker => "specify".to_owned(),
            _ => variable("MOORLINE_SPECKIT_PROGRAM", "specify"),
        },
        embedding: moorline_worker::embedding::Settings::none(),
        codex_config: vec![
            format!("openai_base_url={:?}", model.base_url("say")),
            format!("chatgpt_base_url={:?}", model.chatgpt_url()),
        ],
        codex_env: [refresh].into(),
        codex_issuer: Some(issuer.url()),
        ..Config::try_parse_from(["moorline-worker"])?
    })
}

/// An address of this machine that Docker containers reach, with a free port.
///
/// # Errors
///
/// When Docker doesn't answer.
pub async fn bridge() -> anyhow::Result<SocketAddr> {
    let docker = bollard::Docker::connect_with_defaults()?;
    let bridge = docker
        .inspect_network("bridge", None)
        .await
        .context("a Docker engine: start dockerd")?;
    let ipam = bridge.ipam.and_then(|ipam| ipam.config?.pop()).context("the bridge's addresses")?;
    // Older engines tell the subnet only; the host has its first address.
    let first = || Some(ipam.subnet?.split_once("0/")?.0.to_owned() + "1");
    let gateway = ipam.gateway.or_else(first).context("the bridge's gateway")?;
    Ok(SocketAddr::new(gateway.parse()?, 0))
}
