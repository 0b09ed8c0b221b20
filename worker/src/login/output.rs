//! The files that a login writes its output to, in a folder that its container sees and nobody else.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{beneath, config::Config, engine::user::is_root, stage::hand_over};

/// Most that is read of a file, in bytes.
const MOST: u64 = 64 << 10;

/// The folder, until it is dropped.
#[derive(Debug)]
pub(super) struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes it below the work root, for the user of jobs.
    pub(super) fn create(config: &Config) -> Result<Self, (PathBuf, io::Error)> {
        let logins = config.work_root.join("logins");
        let folder = logins.join(uuid::Uuid::now_v7().to_string());
        match make(&logins, &folder, &config.job_user) {
            Ok(()) => Ok(Self { folder }),
            Err(error) => Err((logins, error)),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout")
    }

    pub(super) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    /// What has been written so far; nothing where it can't be read.
    pub(super) fn read(&self, file: &Path) -> String {
        let mut content = Vec::new();
        let mut read = || -> io::Result<()> {
            let inside = file.strip_prefix(&self.folder).map_err(io::Error::other)?;
            // Who runs there owns the folder, and may have put a link in the file's place.
            let file = fs::File::from(beneath::open(beneath::folder(&self.folder)?, inside)?);
            if file.metadata()?.is_file() {
                file.take(MOST).read_to_end(&mut content)?;
            }
            Ok(())
        };
        // It isn't there until the container has got that far.
        let _ = read();
        String::from_utf8_lossy(&content).into_owned()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the folder of a login could not be removed: remove it by hand");
        }
    }
}

fn make(logins: &Path, folder: &Path, job_user: &str) -> io::Result<()> {
    fs::create_dir_all(logins)?;
    // The user of jobs must be able to pass through.
    fs::set_permissions(logins, fs::Permissions::from_mode(if is_root() { 0o711 } else { 0o700 }))?;
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    hand_over(folder, job_user)
}
