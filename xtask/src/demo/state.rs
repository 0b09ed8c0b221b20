//! What a demo has started, written down before and after each step, so that it can be stopped by another process too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{paths::Paths, service::Service};

/// What a demo has started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Whether it was left running on purpose.
    pub kept: bool,
    /// Folder of its database, artifacts and runs.
    pub folder: Option<PathBuf>,
    /// Programs, in the order in which they were started.
    pub services: Vec<Service>,
    /// Whether it uses the Docker engine.
    pub docker: bool,
    /// The Docker engine's own process, when the demo started it.
    pub engine: Option<Service>,
}

impl State {
    /// What the latest demo wrote down, if there is anything.
    pub fn load(paths: &Paths) -> Result<Option<Self>> {
        let file = file(paths);
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("{} is damaged: remove it", file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", file.display())),
        }
    }

    /// Writes it down.
    pub fn save(&self, paths: &Paths) -> Result<()> {
        let file = file(paths);
        let fresh = file.with_extension("json.new");
        fs::write(&fresh, serde_json::to_string_pretty(self)?)?;
        fs::rename(&fresh, &file).with_context(|| format!("could not write {}", file.display()))
    }

    /// Forgets it.
    pub fn forget(paths: &Paths) -> Result<()> {
        match fs::remove_file(file(paths)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("could not remove the demo's notes"),
            _ => Ok(()),
        }
    }

    /// Whether a program of it still runs.
    pub fn alive(&self) -> bool {
        self.services.iter().any(Service::alive)
    }
}

fn file(paths: &Paths) -> PathBuf {
    Path::new(&paths.cache).join("demo.json")
}
