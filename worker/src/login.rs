//! Logging a volume in.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    agent::{Agent, codex::Codex},
    config::Config,
    engine::{self, Engine, Exit},
    redact::Redactor,
    volume::{Place, guard::Kind},
};

/// Why a volume could not be logged in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing in the key.
    #[error("the API key is empty: pass one")]
    Empty,
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The CLI would not.
    #[error("the login in volume {volume} was not stored ({exit:?}): {said}")]
    Refused {
        /// The volume.
        volume: String,
        /// How the CLI ended.
        exit: Exit,
        /// Its own words, without secrets.
        said: String,
    },
}

/// Stores an API key in an existing volume, by the CLI's own login. The key goes through standard input alone, and isn't checked with its issuer.
pub async fn with_api_key(engine: &dyn Engine, config: &Config, volume: &str, key: &SecretString) -> Result<(), Error> {
    if key.expose_secret().trim().is_empty() {
        return Err(Error::Empty);
    }
    let agent = Codex::new(config);
    let missing = || engine::Error::VolumeMissing { volume: volume.to_owned() };
    let place = Place::find(engine, &agent, volume).await?.ok_or_else(missing)?;
    let spec = place.command(config, &agent, Kind::Login, 0, agent.api_key_command());
    let captured = place.run(engine, &spec, Some(key)).await?;
    match captured.exit {
        Exit::Code(0) => Ok(()),
        exit => Err(Error::Refused {
            volume: volume.to_owned(),
            exit,
            said: Redactor::new([key.clone()]).line(&captured.stderr, 300),
        }),
    }
}
