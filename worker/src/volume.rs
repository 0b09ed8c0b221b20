//! Auth volumes from outside: what short commands see of them, and how they look.

mod diagnostics;
pub mod guard;
mod probe;
mod state;
pub mod steward;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;

use crate::{
    agent::{Agent, CredentialFile},
    config::Config,
    engine::{Captured, ContainerSpec, Engine, Error, Limits, VolumeFacts, VolumeMount},
};

use self::guard::{Kind, Mode, Use};

pub(crate) use self::diagnostics::timestamp;
pub(crate) use self::probe::{fingerprint, read};
pub use self::{
    probe::{CredentialFacts, Probe, probe},
    state::{Proven, Refused, State},
};

/// A volume that exists, and where an agent's short commands find it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Name of the volume.
    pub volume: String,
    /// What the engine knows of it.
    pub facts: VolumeFacts,
    /// The agent's home folder, as its commands see it.
    pub home: PathBuf,
    /// File in it that holds the login, or would.
    pub credential: &'static str,
}

impl Place {
    /// Looks a volume up; `None` when it doesn't exist.
    pub async fn find(engine: &dyn Engine, agent: &dyn Agent, volume: &str) -> Result<Option<Self>, Error> {
        let Some(facts) = engine.volume(volume).await? else {
            return Ok(None);
        };
        let mut place = Self {
            volume: volume.to_owned(),
            home: match facts.in_place {
                true => facts.mountpoint.clone(),
                false => agent.image_home().to_owned(),
            },
            credential: agent.credential_file(),
            facts,
        };
        if let Some(other) = agent.other_credential_file()
            && !agent.holds_login(&read(engine, &place, place.credential).await)
            && !matches!(read(engine, &place, other).await, CredentialFile::Missing)
        {
            place.credential = other;
        }
        Ok(Some(place))
    }

    /// A short command of the agent on this volume, under its lock and without a network. [`Place::run`] runs it.
    pub fn command(&self, config: &Config, agent: &dyn Agent, kind: Kind, generation: i64, argv: Vec<String>) -> ContainerSpec {
        let name = format!("moorline-{}-{}", kind.name(), uuid::Uuid::now_v7().simple());
        let mut lock = Use::new(&name, kind, generation, &config.name);
        // Half of the command's own limit: what then remains is for the command.
        lock.patience = lock.patience.min(config.preflight_timeout / 2);
        let writes = matches!(kind, Kind::Login | Kind::Logout | Kind::Mend | Kind::Policy);
        if config.api_key_capacity > 1 && !writes {
            // What others may share with it depends on the login, which isn't known yet. What puts a file in an agent's place is shared with nobody.
            lock.mode = Mode::Either;
        }
        ContainerSpec {
            name,
            image: login_image(config).to_owned(),
            argv: lock.guard(&self.home, argv),
            env: environment(agent, &self.home),
            labels: BTreeMap::from([
                ("moorline.worker".to_owned(), config.name.clone()),
                ("moorline.volume".to_owned(), self.volume.clone()),
            ]),
            run_dir: None,
            workdir: None,
            volume: Some(VolumeMount {
                volume: self.volume.clone(),
                target: self.home.clone(),
                read_only: false,
            }),
            limits: Limits {
                memory_bytes: 512 << 20,
                cpu_millis: 1000,
                pids: 128,
                time: config.preflight_timeout,
            },
            network: "none".to_owned(),
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    /// Runs such a command to its end. Fails with [`Error::VolumeInUse`] or [`Error::Fenced`] where it could not begin.
    pub async fn run(&self, engine: &dyn Engine, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        guard::begun(&self.volume, engine.capture(spec, input).await?)
    }
}

/// The image that login commands run in.
pub fn login_image(config: &Config) -> &str {
    config.login_check_image.as_deref().unwrap_or(&config.job_image)
}

fn environment(agent: &dyn Agent, home: &Path) -> BTreeMap<String, SecretString> {
    let path = |path: &Path| SecretString::from(path.display().to_string());
    let mut environment = agent.environment();
    environment.extend([
        (agent.home_variable().to_owned(), path(home)),
        ("HOME".to_owned(), path(home.parent().unwrap_or(home))),
    ]);
    environment
}

/// What an engine may need beyond a command's own limit before it is taken for stuck.
pub(crate) const ENGINE_SLACK: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests;
