//! The folder that a call of git fills, and whether it has become too large.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Error, Git};
use crate::disk;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Room for one call.
pub(super) struct Room {
    folder: Option<PathBuf>,
    most: u64,
}

impl Room {
    pub(super) fn of(git: &Git, folder: Option<&Path>) -> Self {
        Self {
            folder: folder.filter(|_| git.most > 0).map(Path::to_owned),
            most: git.most,
        }
    }

    /// Passes when the folder has become too large.
    pub(super) async fn overflow(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_full().await {
                return;
            }
        }
    }

    pub(super) async fn is_full(&self) -> bool {
        let Some(folder) = self.folder.clone() else { return false };
        let most = self.most;
        let taken = tokio::task::spawn_blocking(move || disk::taken(&folder, most)).await;
        // A folder that can't be measured can't be filled either, and git says why.
        matches!(taken, Ok(Ok(taken)) if taken > most)
    }

    pub(super) fn error(&self) -> Error {
        Error::TooLarge { mib: self.most >> 20 }
    }
}
