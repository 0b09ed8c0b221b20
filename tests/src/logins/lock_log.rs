//! The log that a volume's lock keeps of its uses, and whether two of them ever met.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where it is in a volume.
pub const PATH: &str = ".moorline/lock.log";

/// What a lock log says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uses {
    /// How many there were.
    pub uses: usize,
    /// How many of each kind.
    pub kinds: BTreeMap<String, usize>,
    /// Uses that ended without a word, which the next one found.
    pub broken: Vec<String>,
    /// What must not be: two uses at once, a use that ends twice, a line that can't be read.
    pub wrong: Vec<String>,
}

/// Reads a lock log.
pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Uses {
    let (mut uses, mut held, mut last) = (Uses::default(), None::<&str>, 0.0_f64);
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.first().and_then(|at| at.parse().ok()).unwrap_or(f64::NAN);
        if at < last {
            uses.wrong.push(format!("{line:?} is older than the line before"));
        }
        last = at.max(last);
        match words.get(1..).unwrap_or_default() {
            ["acquire", by, kind, _generation, _worker] if !at.is_nan() => {
                if let Some(holder) = held.replace(by) {
                    uses.wrong.push(format!("{line:?} while {holder} has it"));
                }
                uses.uses += 1;
                *uses.kinds.entry((*kind).to_owned()).or_default() += 1;
            }
            ["release", by, _code] if !at.is_nan() => {
                if held.take() != Some(*by) {
                    uses.wrong.push(format!("{line:?} by one that doesn't have it"));
                }
            }
            ["broken", by] if !at.is_nan() => {
                if held.take() != Some(*by) {
                    uses.wrong.push(format!("{line:?} of one that doesn't have it"));
                }
                uses.broken.push((*by).to_owned());
            }
            _ => uses.wrong.push(format!("{line:?} can't be read")),
        }
    }
    uses
}

/// Follows a lock log, which is cut when it has grown.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins to follow the log of the volume in this folder.
    pub fn start(volume: &Path) -> Self {
        const LOOK: Duration = Duration::from_millis(200);
        let (path, lines, stop) = (volume.join(PATH), Arc::<Mutex<Vec<String>>>::default(), CancellationToken::new());
        let (file, kept, stopped) = (path.clone(), lines.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while stopped.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
                take(&file, &kept);
            }
        });
        Self { path, lines, stop, task }
    }

    /// All that it said since then.
    pub async fn finish(self) -> Vec<String> {
        self.stop.cancel();
        // It only reads a file.
        let _ = self.task.await;
        take(&self.path, &self.lines);
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn take(file: &Path, kept: &Mutex<Vec<String>>) {
    let content = std::fs::read_to_string(file).unwrap_or_default();
    // What stands after the last line end is still being written.
    let whole = content.rfind('\n').map_or("", |end| &content[..end]);
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<&str> = whole.lines().collect();
    let known = kept.last().and_then(|last| lines.iter().rposition(|line| line == last));
    kept.extend(lines[known.map_or(0, |at| at + 1)..].iter().map(|line| (*line).to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_one_after_the_other_are_counted() {
        let uses = read([
            "1.5 acquire a check 3 w",
            "1.7 release a 0",
            "2.0 acquire b agent 3 w",
            "3.0 broken b",
            "3.0 acquire c probe 3 w",
        ]);
        assert_eq!(
            (uses.uses, uses.broken.as_slice(), uses.wrong.as_slice()),
            (3, &["b".to_owned()][..], &[][..])
        );
        assert_eq!(uses.kinds["agent"], 1);
    }

    #[test]
    fn two_uses_at_once_are_found() {
        let wrong = |lines: &[&str]| read(lines.iter().copied()).wrong.len();
        assert_eq!(wrong(&["1.0 acquire a agent 1 w", "2.0 acquire b agent 1 w"]), 1);
        assert_eq!(wrong(&["1.0 acquire a agent 1 w", "2.0 release b 0"]), 1);
        assert_eq!(wrong(&["1.0 acquire a agent 1 w", "0.5 release a 0"]), 1);
        assert_eq!(wrong(&["1.0 acquire a agent"]), 1);
    }

    #[tokio::test]
    async fn a_log_that_is_cut_meanwhile_is_followed_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".moorline")).unwrap();
        let (log, kept) = (folder.path().join(PATH), Mutex::default());
        for (content, count) in [("a\nb\nc", 2), ("a\nb\nc\nd\n", 4), ("c\nd\ne\n", 5), ("e\n", 5)] {
            std::fs::write(&log, content).unwrap();
            take(&log, &kept);
            assert_eq!(kept.lock().unwrap().len(), count, "{content:?}");
        }
    }
}
