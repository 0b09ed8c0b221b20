//! One server per data directory, by a held file lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::Path,
};

use super::Error;

/// The lock of a data directory. What counts is that it is held, not that the file exists: the kernel lets go of it however the
/// server ends. Postgres does not inherit it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("server.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The holder may be between locking and writing; it is named as well as can be.
                let _ = file.read_to_string(&mut pid);
                let holder = if pid.trim().is_empty() {
                    "just starting".to_owned()
                } else {
                    format!("pid {}", pid.trim())
                };
                return Err(Error::InUse {
                    data_dir: data_dir.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write the lock file", &path))?;
        Ok(Self { _file: file })
    }
}
