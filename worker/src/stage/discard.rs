//! Taking a folder of a run away from under everybody's eyes.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{Owner, owner::Mark};

/// Where folders go that are being removed, in one step: what is removed slowly must not be found half there.
pub(crate) fn trash(work_root: &Path) -> PathBuf {
    work_root.join("trash")
}

/// Whose a run's folder is.
pub(crate) fn owner_of(work_root: &Path, run_id: &str) -> io::Result<Option<Owner>> {
    Mark::lock(work_root, run_id)?.read()
}

/// Moves a folder of a run to the trash, and returns where it is then; `None` where it is gone, or `in_hand` says that somebody has it. That is
/// asked under the lock that a job takes before it makes its folders.
pub(crate) fn set_aside(
    work_root: &Path,
    run_id: &str,
    folder: &Path,
    in_hand: impl FnOnce(Option<&Owner>) -> io::Result<bool>,
) -> io::Result<Option<PathBuf>> {
    let mark = Mark::lock(work_root, run_id)?;
    if in_hand(mark.read()?.as_ref())? {
        return Ok(None);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(trash(work_root))?;
    let aside = trash(work_root).join(uuid::Uuid::now_v7().to_string());
    match fs::rename(folder, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        moved => moved?,
    }
    if folder == work_root.join("runs").join(run_id) {
        mark.remove()?;
    }
    Ok(Some(aside))
}
