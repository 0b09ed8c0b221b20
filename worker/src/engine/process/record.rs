//! What is written down about a container, so that a worker that starts anew can wait for it, stop it and read how it ended.
//!
//! `record.json`: labels, limit, link, boot · `supervisor`: the supervisor's own `/proc` line · `alive`: a pipe that it holds open
//! · `exit`: the exit code.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};
use serde::{Deserialize, Serialize};
use tokio::{net::unix::pipe, time::timeout};

use super::members::{self, Stat};
use crate::engine::{Container, ContainerSpec, Exit, limit};

/// How often a supervisor is looked at whose pipe says nothing.
const LOOK: Duration = Duration::from_secs(1);

/// The folder of one container.
#[derive(Debug, Clone)]
pub(super) struct Record(PathBuf);

#[derive(Debug, Serialize, Deserialize)]
struct About {
    labels: BTreeMap<String, String>,
    limit_seconds: f64,
    link: Option<PathBuf>,
    /// The kernel's id of the boot that it was started in.
    #[serde(default)]
    boot: String,
}

impl Record {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Writes what is known before the start. The folder must be new: its name is the container's.
    pub(super) fn create(&self, spec: &ContainerSpec, link: Option<PathBuf>) -> io::Result<()> {
        let about = About {
            labels: spec.labels.clone(),
            limit_seconds: spec.limits.time.as_secs_f64(),
            link,
            boot: boot(),
        };
        self.0.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::create_dir(&self.0)?;
        mkfifoat(CWD, self.0.join("alive"), Mode::RUSR | Mode::WUSR)?;
        fs::write(self.0.join("record.json"), serde_json::to_vec(&about)?)
    }

    fn about(&self) -> io::Result<About> {
        Ok(serde_json::from_slice(&fs::read(self.0.join("record.json"))?)?)
    }

    /// The supervisor, while it lives. A process that has its number now, in this boot or another, is somebody else.
    pub(super) fn supervisor(&self) -> Option<Stat> {
        self.noted().filter(Stat::alive).filter(|_| self.of_this_boot())
    }

    /// The supervisor as it was noted, whether it lives or not.
    fn noted(&self) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(self.0.join("supervisor")).ok()?)
    }

    /// Kills what the container has left running, but for a supervisor that lives.
    pub(super) fn kill_members(&self) {
        // A process of an earlier boot is another's by now, and so is its session.
        members::kill_session(&self.0, self.noted().filter(|_| self.of_this_boot()));
    }

    fn of_this_boot(&self) -> bool {
        self.about().is_ok_and(|about| about.boot == boot())
    }

    /// Asks the job to end: its first process passes the signal on.
    pub(super) fn terminate(&self) {
        if let Some(supervisor) = self.supervisor() {
            let children = members::all().filter(|stat| stat.parent == supervisor.pid);
            children.for_each(|stat| members::signal(stat.pid, Signal::TERM));
        }
    }

    /// Waits until the supervisor is gone, whoever its parent is: it holds a pipe open for as long as it lives.
    pub(super) async fn ended(&self) -> io::Result<()> {
        while self.supervisor().is_some() {
            let mut pipe = pipe::OpenOptions::new().open_receiver(self.0.join("alive"))?;
            // Nothing is ever written to it: reading ends when nobody holds it any more. A process lets go of its files a moment before it
            // counts as ended, and a pipe that is opened in that moment tells of no end: hence another look after a while.
            let mut nowhere = tokio::io::sink();
            if let Ok(read) = timeout(LOOK, tokio::io::copy(&mut pipe, &mut nowhere)).await {
                read?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }

    /// Whether it ended at least `age` ago. Its folder changes last when the end is noted.
    pub(super) fn has_ended(&self, age: Duration) -> bool {
        let changed = fs::metadata(&self.0).and_then(|found| found.modified()).ok();
        let since = changed.and_then(|at| at.elapsed().ok());
        self.supervisor().is_none() && since.is_some_and(|since| since >= age)
    }

    /// How it ended. Without a note of it somebody has killed the supervisor.
    pub(super) fn exit(&self) -> io::Result<Exit> {
        let about = self.about()?;
        let code = match fs::read_to_string(self.0.join("exit")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Exit::Signal(9)),
            code => code?.trim().parse().map_err(io::Error::other)?,
        };
        let time = |file: &str| fs::metadata(self.0.join(file))?.modified();
        let ran = time("exit")?.duration_since(time("supervisor")?).unwrap_or_default();
        Ok(limit::exit(code, ran, Duration::from_secs_f64(about.limit_seconds)))
    }

    /// Forgets the container, and takes the link to its volume away. The volume stays.
    pub(super) fn remove(&self) {
        if let Ok(About { link: Some(link), .. }) = self.about()
            && link.is_symlink()
        {
            let _ = fs::remove_file(link);
        }
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(container = %self.0.display(), %error, "the record of a container could not be removed");
        }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Containers whose records bear all of these labels.
pub(super) fn list(folder: &Path, labels: &BTreeMap<String, String>) -> io::Result<Vec<Container>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A record that is being made or removed just now isn't a container's.
        let Ok(about) = Record(entry.path()).about() else { continue };
        if labels.iter().all(|(key, value)| about.labels.get(key) == Some(value)) {
            found.push(Container {
                id: entry.file_name().to_string_lossy().into_owned(),
                labels: about.labels,
            });
        }
    }
    Ok(found)
}
