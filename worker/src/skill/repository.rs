//! Skills of a run's own repository. Whether they may be used is the server's to say, by its decision.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::{
    Error, Skill, Source,
    files::{Files, WHOLE},
    format,
    judge::mirrored,
};
use crate::{redact::one_line, tree::Tree};

/// Where they lie, in words.
const PLACE: &str = "the repository";

/// Looks a skill up in a checkout. Both mirrors are compared, and links that leave the checkout are refused.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Invalid`].
pub fn find(checkout: &Path, name: &str) -> Result<Skill, Error> {
    look(checkout, name).map(|(skill, ..)| skill)
}

/// The same, and copies its files to `folder`, which must not exist yet: from there containers read them, whatever becomes of the checkout. All
/// users may read it and nobody may write it. The skill's folder is that one.
///
/// # Errors
///
/// Those of [`find`]; [`Error::Invalid`] also for what can't be copied, or has changed meanwhile.
pub fn copy(checkout: &Path, name: &str, folder: &Path) -> Result<Skill, Error> {
    let (skill, files, tree) = look(checkout, name)?;
    let invalid = |why: String| Error::Invalid {
        name: name.to_owned(),
        place: PLACE.to_owned(),
        mistakes: vec![why],
    };
    write(&tree, &files, folder).map_err(|error| invalid(format!("it can't be copied ({error}): see that the worker's disk has room")))?;
    let copied = Tree::of_folder(folder, WHOLE).map_err(|error| invalid(error.to_string()))?;
    let copied = Files::gather(&copied, Path::new("")).map_err(|mistake| invalid(mistake.to_string()))?;
    match copied.unwrap_or_default().digest() == skill.digest {
        true => Ok(Skill {
            folder: folder.to_owned(),
            ..skill
        }),
        false => Err(invalid("it changed while it was read: retry the stage".to_owned())),
    }
}

fn look(checkout: &Path, name: &str) -> Result<(Skill, Files, Tree), Error> {
    let missing = || Error::Missing {
        name: one_line(name, 80),
        place: PLACE.to_owned(),
    };
    if !format::is_name(name) {
        return Err(missing());
    }
    let invalid = |mistakes: Vec<String>| Error::Invalid {
        name: name.to_owned(),
        place: PLACE.to_owned(),
        mistakes,
    };
    let tree = Tree::of_folder(checkout, WHOLE).map_err(|error| invalid(vec![format!("the checkout can't be read ({error})")]))?;
    let (judged, files) = mirrored(&tree, name, checkout, Source::Repository).ok_or_else(missing)?;
    match judged.mistakes.is_empty() {
        true => Ok((judged.skill, files, tree)),
        false => Err(invalid(judged.mistakes.iter().map(ToString::to_string).collect())),
    }
}

fn write(tree: &Tree, files: &Files, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    fs::create_dir(folder)?;
    for (path, file) in &files.files {
        let to = folder.join(path);
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        let mut from = tree.open(&file.at).map_err(io::Error::other)?;
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to)?;
        io::copy(&mut io::Read::take(&mut from, 16 << 20), &mut made)?;
        made.set_permissions(fs::Permissions::from_mode(if file.executable { 0o555 } else { 0o444 }))?;
    }
    shut(folder)
}

/// Folders that all may enter and nobody may write, whatever the worker's mask says.
fn shut(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            shut(&entry.path())?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555))
}
