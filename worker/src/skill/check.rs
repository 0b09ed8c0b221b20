//! A skill's folder, or a root, looked at on the desk of whoever writes skills. Nothing of it is run.

use std::{io, path::Path};

use super::{
    MIRRORS,
    files::{SKILL, WHOLE},
    judge::alone,
    registry::{Found, Registry},
};
use crate::tree::Tree;

/// What a folder turned out to be.
#[derive(Debug)]
pub enum Checked {
    /// One skill.
    Skill(Box<Found>),
    /// A root, or a repository, with skills in two mirrors.
    Root(Registry),
}

/// Why a folder can't be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is neither.
    #[error(
        "{folder} holds neither {SKILL} nor {} nor {}: give the folder of a skill, or one that has skills in both of these",
        MIRRORS[0],
        MIRRORS[1]
    )]
    Neither {
        /// The folder.
        folder: String,
    },
    /// It can't be read.
    #[error("{folder} can't be read ({source}): give a folder that is there, and that you may read")]
    Unreadable {
        /// The folder.
        folder: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Looks at a folder.
///
/// # Errors
///
/// When it can't be read, or holds nothing that could be checked.
pub fn check(folder: &Path) -> Result<Checked, Error> {
    let shown = || folder.display().to_string();
    let unreadable = |source| Error::Unreadable { folder: shown(), source };
    let folder = folder.canonicalize().map_err(unreadable)?;
    if MIRRORS.iter().any(|mirror| folder.join(mirror).is_dir()) {
        return Ok(Checked::Root(Registry::read(&folder)));
    }
    if folder.join(SKILL).symlink_metadata().is_err() {
        return Err(Error::Neither { folder: shown() });
    }
    let tree = Tree::of_folder(&folder, WHOLE).map_err(unreadable)?;
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let judged = alone(&tree, &name, folder.clone());
    Ok(Checked::Skill(Box::new(Found {
        skill: judged.skill,
        mistakes: judged.mistakes,
        remarks: judged.remarks,
    })))
}
