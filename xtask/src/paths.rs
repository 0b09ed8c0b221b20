//! Where things are: the checkout, what is built, and what is kept between runs.

use std::{
    env,
    fs::{self, File, TryLockError},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::interrupt;

/// The folders that every command works with.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The checkout.
    pub root: PathBuf,
    /// Where cargo puts programs, such as `target/debug`.
    pub programs: PathBuf,
    /// Where reports, logs and the demo's sample repository are left to look at: `target/xtask`.
    pub output: PathBuf,
    /// What is fetched once for this machine.
    pub cache: PathBuf,
}

impl Paths {
    /// Finds them, and makes those that are missing.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is not in a workspace")?;
        let programs = env::current_exe()?.parent().context("xtask is in no folder")?.to_owned();
        let output = programs.parent().unwrap_or(&programs).join("xtask");
        let paths = Self {
            root: root.to_owned(),
            programs,
            output,
            cache: cache()?,
        };
        for folder in [&paths.output, &paths.cache] {
            fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        }
        Ok(paths)
    }

    /// Waits until no other process on this machine does `what`; the returned file holds that right until it is dropped.
    pub fn lock(&self, what: &str) -> Result<File> {
        let path = self.cache.join(format!("{what}.lock"));
        let file = File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error).context("could not lock the cache"),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        eprintln!("waiting: another {what} of this machine is at work ({})", path.display());
                        told = true;
                    }
                    interrupt::check()?;
                    thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets everybody enter a folder and read what is in it: jobs and the embedded Postgres run as other users than root.
pub fn open_to_all(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).with_context(|| format!("could not open {}", folder.display()))
}

/// Root's home is closed to the users that jobs run as, so root's cache is elsewhere.
fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("MOORLINE_CACHE_DIR") {
        return Ok(folder.into());
    }
    if is_root() {
        return Ok("/var/cache/moorline".into());
    }
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set: set it, or MOORLINE_CACHE_DIR")?).join(".cache"),
    };
    Ok(base.join("moorline"))
}
