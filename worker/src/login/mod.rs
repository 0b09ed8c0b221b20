//! Logging a volume in, and out.

mod device;
mod failure;
mod output;

use std::io;

use secrecy::{ExposeSecret, SecretString};

pub use self::device::{LONGEST, by_device_code};
pub(crate) use self::failure::code;
use crate::{
    agent::{self, Agent},
    config::Config,
    engine::{self, Captured, Engine, Exit},
    redact::Redactor,
    sealing,
    volume::{Place, guard::Kind},
};

/// Longest text of the CLI's in a message, in characters.
const SAID: usize = 300;

/// Runs a login command in a folder of its own in the volume, and puts what it has stored in the old login's place.
const ASIDE: &str = include_str!("aside.sh");

/// Takes the login out of the volume with all that was put aside and noted of it, and runs a logout on it.
const FORGET: &str = include_str!("forget.sh");

/// Why a volume could not be logged in or out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing in the key.
    #[error("the API key is empty: pass one")]
    Empty,
    /// The key can't be read.
    #[error("the API key can't be read: {0}")]
    Sealed(#[from] sealing::Error),
    /// The engine could not do it, or the volume is another's.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The folder of the login can't be used.
    #[error("the worker can't use its folder {folder}: set MOORLINE_WORK_ROOT to a folder that it may write")]
    Folder {
        /// The folder.
        folder: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The person, or the issuer, said no.
    #[error("the login in volume {volume} was refused ({said}): log in again, and allow it in the browser")]
    Denied {
        /// The volume.
        volume: String,
        /// The CLI's own words, without secrets.
        said: String,
    },
    /// Nobody entered the code in time.
    #[error("the code for volume {volume} ran out before anybody entered it: log in again")]
    Expired {
        /// The volume.
        volume: String,
    },
    /// It was told to stop.
    #[error("the login in volume {volume} was stopped; what was stored before is still there: log in again")]
    Stopped {
        /// The volume.
        volume: String,
    },
    /// It is over, and could not be ended.
    #[error("the login's container {container} can't be ended: remove it by hand")]
    StillRunning {
        /// The container.
        container: String,
    },
    /// This agent has no such login.
    #[error("{agent} has no login by device code: log in with an API key, by `moorline volume login {volume} --api-key-stdin`")]
    NoDevice {
        /// The volume.
        volume: String,
        /// The agent.
        agent: &'static str,
    },
    /// The CLI would not.
    #[error("the login in volume {volume} was not stored ({exit:?}): {said}{hint}")]
    Refused {
        /// The volume.
        volume: String,
        /// How the CLI ended.
        exit: Exit,
        /// Its own words, without secrets.
        said: String,
        /// What may mend it.
        hint: &'static str,
    },
    /// The CLI would not forget it.
    #[error("the volume {volume} was not logged out ({exit:?}): {said}")]
    NotForgotten {
        /// The volume.
        volume: String,
        /// How the CLI ended.
        exit: Exit,
        /// Its own words, without secrets.
        said: String,
    },
}

/// Stores an API key in an existing volume, as the agent of these settings' queue keeps one. The key goes through standard input alone, and isn't checked with its issuer.
pub async fn with_api_key(engine: &dyn Engine, config: &Config, volume: &str, key: &SecretString) -> Result<(), Error> {
    store_api_key(engine, config, volume, key, 0).await
}

/// The same under a generation of the volume's lease.
pub(crate) async fn store_api_key(
    engine: &dyn Engine,
    config: &Config,
    volume: &str,
    key: &SecretString,
    generation: i64,
) -> Result<(), Error> {
    if key.expose_secret().trim().is_empty() {
        return Err(Error::Empty);
    }
    let agent = agent::of_worker(config);
    let agent = agent.as_ref();
    let place = place(engine, agent, volume).await?;
    let argv = aside(&place, agent, agent.api_key_command());
    let spec = place.command(config, agent, Kind::Login, generation, argv);
    let captured = place.run(engine, &spec, Some(key)).await?;
    match captured.exit {
        Exit::Code(0) => Ok(()),
        exit => Err(Error::Refused {
            volume: volume.to_owned(),
            exit,
            said: Redactor::new([key.clone()]).line(&captured.stderr, SAID),
            hint: "",
        }),
    }
}

/// Forgets the login of an existing volume, by the agent's own logout, which also tells its issuer where it can.
pub(crate) async fn log_out(engine: &dyn Engine, config: &Config, volume: &str, generation: i64) -> Result<(), Error> {
    let agent = agent::of_worker(config);
    let agent = agent.as_ref();
    let place = place(engine, agent, volume).await?;
    let argv = on_files(FORGET, "moorline-logout", &place, agent, agent.logout_command());
    let mut spec = place.command(config, agent, Kind::Logout, generation, argv);
    spec.network.clone_from(&config.job_network);
    match place.run(engine, &spec, None).await? {
        Captured { exit: Exit::Code(0), .. } => Ok(()),
        Captured { exit, stderr, .. } => Err(Error::NotForgotten {
            volume: volume.to_owned(),
            exit,
            said: Redactor::of(config).line(&stderr, SAID),
        }),
    }
}

async fn place(engine: &dyn Engine, agent: &dyn Agent, volume: &str) -> Result<Place, Error> {
    let missing = || engine::Error::VolumeMissing { volume: volume.to_owned() };
    Ok(Place::find(engine, agent, volume).await?.ok_or_else(missing)?)
}

/// A login command that leaves the volume's login alone until it has a new one.
fn aside(place: &Place, agent: &dyn Agent, argv: Vec<String>) -> Vec<String> {
    on_files(ASIDE, "moorline-login", place, agent, argv)
}

/// A script of this module, with what both begin with, around a command.
fn on_files(script: &str, name: &str, place: &Place, agent: &dyn Agent, argv: Vec<String>) -> Vec<String> {
    let mut words: Vec<String> = ["sh", "-c", script, name].map(str::to_owned).to_vec();
    let other = agent.other_credential_file().unwrap_or_default();
    words.push(place.home.display().to_string());
    words.extend([agent.credential_file(), other, agent.home_variable()].map(str::to_owned));
    words.extend(argv);
    words
}
