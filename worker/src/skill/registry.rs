//! The skills of the root, as they were found at start.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use moorline_proto::v1;

use super::{
    Carrier, Error, MIRRORS, Skill, Source,
    files::WHOLE,
    format, health,
    judge::mirrored,
    mistake::{Mistake, Remark},
};
use crate::{
    config::Config,
    engine::Engine,
    redact::{chain, one_line},
    tree::{self, Entry, Tree},
};

/// Skills that are looked at, at most.
const MOST: usize = 200;
/// Longest description and longest detail that are told, in characters.
const TOLD: usize = 1024;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// The folder that the mirrors lie in, as containers see it.
    root: PathBuf,
    found: BTreeMap<String, Found>,
    /// Why nothing could be looked at.
    trouble: Option<String>,
}

/// A skill of the root, usable or not.
#[derive(Debug, Clone)]
pub struct Found {
    /// As far as it could be read.
    pub skill: Skill,
    /// For what it can't be used; nothing where it can.
    pub mistakes: Vec<Mistake>,
    /// What is odd about it.
    pub remarks: Vec<Remark>,
}

impl Registry {
    /// Looks through the root where jobs run, and asks skills there whether they are well. With an engine that
    /// is slow it takes some minutes: two at most to read, and little more than one to ask.
    pub async fn scan(config: &Config, engine: &Arc<dyn Engine>) -> Self {
        let root = &config.skills_root;
        let tree = engine.read_folders(&config.job_image, root, &MIRRORS, WHOLE).await;
        let looked = match tree {
            Err(error) => Err(chain(&error)),
            Ok(tree) => {
                let at = root.clone();
                let looked = tokio::task::spawn_blocking(move || look(&tree, &at)).await;
                looked.unwrap_or_else(|error| Err(format!("looking through it broke: {error}")))
            }
        };
        let mut registry = Self::of(root, looked);
        health::ask(config, engine, &mut registry.found).await;
        registry
    }

    /// Looks through a root on this machine, without running anything of it.
    pub fn read(root: &Path) -> Self {
        let looked = Tree::of_folder(root, WHOLE).map_err(|error| error.to_string());
        Self::of(root, looked.and_then(|tree| look(&tree, root)))
    }

    fn of(root: &Path, looked: Result<BTreeMap<String, Found>, String>) -> Self {
        let (found, trouble) = match looked {
            Ok(found) => (found, None),
            Err(trouble) => (BTreeMap::new(), Some(one_line(&trouble, TOLD))),
        };
        Self {
            root: root.to_owned(),
            found,
            trouble,
        }
    }

    /// A skill that can be used.
    pub fn find(&self, name: &str) -> Option<&Skill> {
        self.found.get(name).filter(|found| found.is_ready()).map(|found| &found.skill)
    }

    /// The same, or why not.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] and [`Error::Invalid`].
    pub fn get(&self, name: &str) -> Result<&Skill, Error> {
        let (name_of, place) = (|| one_line(name, 80), || format!("the worker's root {}", self.root.display()));
        match self.found.get(name) {
            Some(found) if found.is_ready() => Ok(&found.skill),
            Some(found) => Err(Error::Invalid {
                name: name_of(),
                place: place(),
                mistakes: found.told(),
            }),
            None => Err(Error::Missing {
                name: name_of(),
                place: match &self.trouble {
                    None => place(),
                    Some(trouble) => format!("{}, which could not be looked through ({trouble})", place()),
                },
            }),
        }
    }

    /// All that was found, by name.
    pub fn found(&self) -> &BTreeMap<String, Found> {
        &self.found
    }

    /// Why nothing could be looked at, if so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The folder that the mirrors lie in, as containers see it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the server is told.
    pub fn profile(&self) -> Vec<v1::StartupSkill> {
        self.found.values().map(Found::profile).collect()
    }
}

impl Found {
    /// Whether it can be used.
    pub fn is_ready(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// What is wrong with it, in words.
    pub fn told(&self) -> Vec<String> {
        self.mistakes.iter().map(ToString::to_string).collect()
    }

    fn profile(&self) -> v1::StartupSkill {
        let skill = &self.skill;
        let stage = |(stage, carrier): (&v1::Stage, &Carrier)| v1::SkillStage {
            stage: (*stage).into(),
            kind: match carrier {
                Carrier::Instructions => v1::SkillKind::Instructions,
                Carrier::Executable(_) => v1::SkillKind::Executable,
            }
            .into(),
        };
        v1::StartupSkill {
            name: skill.name.clone(),
            description: one_line(&skill.description, TOLD),
            version: skill.version.clone(),
            digest: skill.digest.clone(),
            stages: skill.stages.iter().map(stage).collect(),
            ready: self.is_ready(),
            detail: one_line(&self.told().join("; "), TOLD),
        }
    }
}

/// Judges everything in both mirrors.
fn look(tree: &Tree, root: &Path) -> Result<BTreeMap<String, Found>, String> {
    let mut names = BTreeSet::new();
    for mirror in MIRRORS {
        names.extend(folders(tree, Path::new(mirror)).map_err(|error| error.to_string())?);
    }
    if names.len() > MOST {
        return Err(format!("it holds more than {MOST} skills: take out those that nobody uses"));
    }
    let judged = |name: String| {
        let (judged, _) = mirrored(tree, &name, root, Source::Root)?;
        let mut found = Found {
            skill: judged.skill,
            mistakes: judged.mistakes,
            remarks: judged.remarks,
        };
        if !format::is_name(&name) && found.is_ready() {
            found.mistakes.push(Mistake::Name(one_line(&name, 80)));
        }
        Some((name, found))
    };
    Ok(names.into_iter().filter_map(judged).collect())
}

/// Names of the skills in one mirror. What begins with a full stop is an agent's own, and files are for people.
fn folders(tree: &Tree, mirror: &Path) -> Result<BTreeSet<String>, tree::Error> {
    let (at, Entry::Folder) = tree.follow(mirror)? else {
        return Ok(BTreeSet::new());
    };
    let names = tree.names(&at, 5 * MOST)?.into_iter();
    let shown = names.map(|name| one_line(&name.to_string_lossy(), 200));
    let hidden = |name: &String| name.starts_with('.') || name.is_empty();
    let is_file = |name: &String| matches!(tree.follow(&at.join(name)), Ok((_, Entry::File { .. })));
    Ok(shown.filter(|name| !hidden(name) && !is_file(name)).collect())
}
