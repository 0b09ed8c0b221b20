//! Until when this worker's leases may be relied on, for the next process of its name.
//!
//! A process that finds an agent at work and reaches no server must stop it before another worker may have its login. How much time there
//! is only the process before it could know.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{boot::Moment, config::Config};

/// What a process that has found agents at work gives the server in any case to say what becomes of them.
const GRACE: Duration = Duration::from_secs(10);

/// The note of one worker.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    file: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    renewed: Moment,
    relied_on: Duration,
}

impl Contact {
    pub(super) fn of(config: &Config) -> Self {
        // A worker's name may hold what a file's name may not.
        let name = hex::encode(config.name.as_bytes());
        Self {
            file: config.work_root.join("contact").join(name),
        }
    }

    /// Notes when the leases were renewed last, and how long that is relied on. It need not outlast the machine.
    pub(super) fn note(&self, renewed: Instant, relied_on: Duration) {
        let noted = Noted {
            renewed: Moment::ago(renewed.elapsed()),
            relied_on,
        };
        if let Err(error) = write(&self.file, &noted) {
            tracing::warn!(file = %self.file.display(), %error, "the last contact with the server can't be noted: set MOORLINE_WORK_ROOT to a folder that the worker may write");
        }
    }

    /// When what an earlier process has left at work must be stopped, unless the server lets it go on.
    pub(super) fn due(&self) -> Instant {
        let noted = fs::read(&self.file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Noted>(&text).ok());
        let left = noted.and_then(|noted| Some(noted.relied_on.saturating_sub(noted.renewed.elapsed()?)));
        Instant::now() + left.unwrap_or_default().max(GRACE)
    }
}

fn write(file: &Path, noted: &Noted) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(noted)?)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_knows_how_long_the_lease_may_be_relied_on() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut config = Config::try_parse_from(["moorline-worker"]).unwrap();
        (config.work_root, config.name) = (dir.path().to_owned(), "../w".to_owned());
        let left = |contact: &Contact| contact.due().saturating_duration_since(Instant::now()).as_secs();
        let contact = Contact::of(&config);
        assert!(left(&contact) <= 10, "nothing is known");
        let renewed = Instant::now() - Duration::from_secs(20);
        contact.note(renewed, Duration::from_secs(80));
        assert!((50..=60).contains(&left(&Contact::of(&config))), "{}", left(&contact));
        contact.note(renewed, Duration::from_secs(10));
        assert!((8..=10).contains(&left(&contact)), "the server is asked in any case");
        assert!(dir.path().join("contact").is_dir());
    }
}
