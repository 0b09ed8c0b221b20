//! What must be in reach before a process is started, so that a refusal says what to change.

use std::{
    ffi::OsStr,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{ProcessEngine, User, other};
use crate::engine::{ContainerSpec, Error};

impl ProcessEngine {
    /// Refuses a spec whose program or volume is missing, or whose folder the job user can't enter.
    pub(super) fn check(&self, spec: &ContainerSpec) -> Result<(), Error> {
        if let Some(program) = spec.argv.first() {
            find(program)?;
        }
        if let Some(mount) = &spec.volume
            && self.volume_facts(&mount.volume)?.is_none()
        {
            return Err(Error::VolumeMissing {
                volume: mount.volume.clone(),
            });
        }
        let folders = spec.run_dir.iter().chain(&spec.workdir);
        match self.user.and_then(|user| folders.filter_map(|folder| closed(folder, user)).next()) {
            Some((folder, user)) => Err(other("start a process", closed_error(&folder, user))),
            None => Ok(()),
        }
    }
}

/// Finds a program on the worker's `PATH`.
pub(super) fn find(program: &str) -> Result<PathBuf, Error> {
    let missing = || Error::ProgramMissing {
        program: program.to_owned(),
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| executable(path)).ok_or_else(missing);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(OsStr::new(program)));
    candidates.find(|path| executable(path)).ok_or_else(missing)
}

fn executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The first folder on the way to `path` that `user` can't enter.
fn closed(path: &Path, user: User) -> Option<(PathBuf, User)> {
    let mut ways: Vec<&Path> = path.ancestors().collect();
    ways.reverse();
    let closed = ways.into_iter().find(|folder| !enterable(folder, user))?;
    Some((closed.to_owned(), user))
}

fn enterable(folder: &Path, user: User) -> bool {
    // A folder that isn't there is for the start itself to report.
    let Ok(found) = folder.metadata() else { return true };
    let bit = match found {
        _ if user.uid == 0 => return true,
        ref found if found.uid() == user.uid => 0o100,
        ref found if found.gid() == user.gid => 0o010,
        _ => 0o001,
    };
    found.mode() & bit != 0
}

fn closed_error(folder: &Path, user: User) -> io::Error {
    let folder = folder.display();
    io::Error::other(format!(
        "the job user {user} can't enter {folder}: chmod o+x {folder}, or set MOORLINE_WORK_ROOT to a folder that it can reach"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_the_job_user_cannot_enter_is_named() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let stranger = User { uid: 4242, gid: 4242 };
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(closed(&inner, stranger), Some((root.path().to_owned(), stranger)));
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o711)).unwrap();
        assert_eq!(closed(&inner, stranger), None);
    }

    #[test]
    fn a_program_that_is_not_on_the_path_is_missing() {
        assert!(find("sh").is_ok());
        assert!(matches!(find("no-such-program"), Err(Error::ProgramMissing { program }) if program == "no-such-program"));
    }
}
