//! How much of an agent's output people were told of, so that a worker that goes on with the agent doesn't tell it again.

use std::{fs, io, path::PathBuf};

use crate::stage::RunFolder;

/// A place in the raw output: all lines of progress before it were passed on, or kept back for good.
#[derive(Debug)]
pub(super) struct Told {
    file: PathBuf,
    upto: u64,
}

impl Told {
    /// Nothing yet, or, with an agent that was `adopted`, what an earlier process has noted.
    pub(super) fn open(folder: &RunFolder, adopted: bool) -> Self {
        let file = folder.private().join("told");
        let noted = || fs::read_to_string(&file).ok()?.trim().parse().ok();
        let upto = adopted.then(noted).flatten().unwrap_or(0);
        Self { file, upto }
    }

    /// Whether a line that ends here is news.
    pub(super) fn is_news(&self, end: u64) -> bool {
        end > self.upto
    }

    /// Notes how far it went, before it is told: a line that is lost does less harm than one that comes twice. It need not outlast the
    /// machine, since the agent doesn't.
    pub(super) fn note(&mut self, upto: u64) -> io::Result<()> {
        if upto <= self.upto {
            return Ok(());
        }
        self.upto = upto;
        let new = self.file.with_extension("new");
        fs::write(&new, upto.to_string())?;
        fs::rename(&new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_goes_on_knows_what_was_told() {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = RunFolder::below(dir.path(), "run", "job");
        folder.create_private().unwrap();
        let mut told = Told::open(&folder, true);
        assert!(told.is_news(1));
        told.note(10).unwrap();
        told.note(5).unwrap();
        let adopted = Told::open(&folder, true);
        assert!(!adopted.is_news(10) && adopted.is_news(11));
        assert!(Told::open(&folder, false).is_news(1));
    }
}
