//! The skills of the root, as they were found at start.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{Error, Skill};
use crate::{config::Config, engine::Engine};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// The folder that the mirrors lie in, as containers see it.
    root: PathBuf,
    skills: BTreeMap<String, Skill>,
}

impl Registry {
    /// Looks through the root where jobs run.
    pub async fn scan(_config: &Config, _engine: &Arc<dyn Engine>) -> Self {
        Self::default()
    }

    /// A skill that can be used.
    pub fn find(&self, name: &str) -> Option<&Skill> {
        self.skills.get(name)
    }

    /// The same, or why not.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] and [`Error::Invalid`].
    pub fn get(&self, name: &str) -> Result<&Skill, Error> {
        self.find(name).ok_or_else(|| Error::Missing {
            name: name.to_owned(),
            place: format!("the worker's root {}", self.root.display()),
        })
    }
}
