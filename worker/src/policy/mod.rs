//! Codex must never ask, since nobody is there to answer: that, and what a template says, is merged into its settings in the volume.

mod merge;
mod template;

use std::path::Path;

use toml_edit::DocumentMut;

pub use self::template::Unusable;
use self::{
    merge::merge,
    template::{NEVER, template, what},
};
use crate::{
    agent::{Agent, CredentialFile},
    config::Config,
    engine::{Engine, Error as EngineError},
    redact::chain,
    volume::{Place, fingerprint, guard::Kind, read},
};

const SCRIPT: &str = include_str!("write.sh");
const FILE: &str = "config.toml";
/// How often settings are merged anew that have changed under the worker's eyes.
const TRIES: u32 = 3;

/// Why the policy can't be enforced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template can't be used.
    #[error(transparent)]
    Template(#[from] Unusable),
    /// The settings in the volume aren't TOML.
    #[error("config.toml in the volume {volume} is no TOML ({why}): mend the file in the volume, or remove it")]
    NoToml {
        /// The volume.
        volume: String,
        /// What is wrong, and in which line.
        why: String,
    },
    /// The settings in the volume can't be had.
    #[error("config.toml in the volume {volume} can't be used ({why}): mend the file in the volume, or remove it")]
    Unusable {
        /// The volume.
        volume: String,
        /// Why not.
        why: String,
    },
    /// The settings in the volume change all the time.
    #[error("config.toml in the volume {volume} is written by something else all the time: let nothing but this worker use the volume")]
    Contended {
        /// The volume.
        volume: String,
    },
    /// They could not be written.
    #[error("config.toml in the volume {volume} could not be written: see that the job user owns the volume and that there is room")]
    Write {
        /// The volume.
        volume: String,
    },
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// The settings say so already.
    Already,
    /// They were written.
    Written,
}

/// Whether the template can be used, where there is no volume to merge it into.
///
/// # Errors
///
/// Why not.
pub fn usable(config: &Config) -> Result<(), Unusable> {
    template(config.template_path.as_deref()).map(drop)
}

/// The value that is enforced.
pub fn approval() -> &'static str {
    NEVER
}

/// What is merged: the template's path, or `built-in`.
pub fn source(config: &Config) -> String {
    let path = config.template_path.as_deref().map(Path::display);
    path.map_or_else(|| "built-in".to_owned(), |path| path.to_string())
}

/// Merges the template into the settings in a volume. Writes only where that changes something, under the volume's lock, and whole or not at
/// all; what is written is the job user's alone.
///
/// # Errors
///
/// Why not. [`EngineError::VolumeInUse`] where somebody else is at work in the volume.
pub async fn enforce(engine: &dyn Engine, agent: &dyn Agent, config: &Config, volume: &str, generation: i64) -> Result<Enforced, Error> {
    let template = template(config.template_path.as_deref())?;
    let missing = || EngineError::VolumeMissing { volume: volume.to_owned() };
    let place = Place::find(engine, agent, volume).await?.ok_or_else(missing)?;
    for _ in 0..TRIES {
        let file = read(engine, &place, FILE).await;
        let mut settings = settings(&file, volume)?;
        if !merge(&mut settings, &template) {
            return Ok(Enforced::Already);
        }
        let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
        argv.extend([place.home.display().to_string(), FILE.to_owned(), fingerprint(&file)]);
        let spec = place.command(config, agent, Kind::Policy, generation, argv);
        let captured = place.run(engine, &spec, Some(&settings.to_string().into())).await?;
        match captured.stdout.trim() {
            "written" => return Ok(Enforced::Written),
            "changed" => {}
            _ => return Err(Error::Write { volume: volume.to_owned() }),
        }
    }
    Err(Error::Contended { volume: volume.to_owned() })
}

fn settings(file: &CredentialFile, volume: &str) -> Result<DocumentMut, Error> {
    use secrecy::ExposeSecret as _;
    let volume = || volume.to_owned();
    let content = match file {
        CredentialFile::Missing => return Ok(DocumentMut::new()),
        CredentialFile::Unusable(why) => {
            return Err(Error::Unusable {
                volume: volume(),
                why: why.clone(),
            });
        }
        CredentialFile::Content(content) => std::str::from_utf8(content.expose_secret()),
    };
    let text = content.map_err(|error| Error::Unusable {
        volume: volume(),
        why: chain(&error),
    })?;
    text.parse().map_err(|error| Error::NoToml {
        volume: volume(),
        why: what(&error, text),
    })
}

#[cfg(test)]
mod tests;
