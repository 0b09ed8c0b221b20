//! The ready file: how another program learns that everything is up, and where.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
};

use serde::Serialize;

use crate::error::Error;

/// A ready file, removed when dropped: one that is left behind would tell of a server that is gone.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
}

/// What it says.
#[derive(Debug, Serialize)]
pub struct Ready<'a> {
    /// Where the server is.
    pub endpoint: &'a str,
    /// Process to signal for the end.
    pub pid: u32,
    /// Names of the workers, all of them welcomed.
    pub workers: &'a [String],
}

impl<'a> Ready<'a> {
    /// What is true of this process.
    pub fn now(endpoint: &'a str, workers: &'a [String]) -> Self {
        Self {
            endpoint,
            pid: process::id(),
            workers,
        }
    }
}

impl ReadyFile {
    /// Removes a file that an earlier process left behind when it was killed.
    pub fn clear(path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File {
                doing: format!("remove the old ready file {}", path.display()),
                source,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes the file so that a reader finds all of it or none.
    pub fn write(path: &Path, endpoint: &str, workers: &[String]) -> Result<Self, Error> {
        write(path, &serde_json::to_vec(&Ready::now(endpoint, workers))?).map_err(|source| Error::File {
            doing: format!("write the ready file {}", path.display()),
            source,
        })?;
        Ok(Self { path: path.to_owned() })
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "the ready file can't be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_as_long_as_everything_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ready");
        let file = ReadyFile::write(&path, "http://127.0.0.1:1", &["dev-default".to_owned()]).expect("a file");
        let text = fs::read_to_string(&path)
            .expect("the file")
            .replace(&process::id().to_string(), "PID");
        insta::assert_snapshot!(text, @r#"{"endpoint":"http://127.0.0.1:1","pid":PID,"workers":["dev-default"]}"#);
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
