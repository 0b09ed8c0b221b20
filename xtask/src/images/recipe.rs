//! What goes into an image beside the sources: a fetched wheel, and programs that are built already.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{build::Target, source::Source};
use crate::{install::codex::Codex, paths::Paths};

/// An image to be.
#[derive(Debug)]
pub struct Recipe {
    /// The target of the Dockerfile.
    pub target: Target,
    source: Source,
    /// Files, and their names below `deploy/images`.
    further: Vec<(PathBuf, String)>,
}

impl Recipe {
    /// Of a target with programs that are built already. The job image has none of them.
    pub fn new(paths: &Paths, target: Target, codex: &Codex, programs: &[PathBuf]) -> Result<Self> {
        let mut further = Vec::new();
        for program in programs {
            let name = name(program)?;
            if target.programs().contains(&name) {
                further.push((program.clone(), format!("bin/{name}")));
            }
        }
        // What is in the cache already isn't fetched again.
        if target != Target::Server {
            further.push((codex.wheel.clone(), format!("job/wheels/{}", name(&codex.wheel)?)));
        }
        let source = Source::find(paths)?;
        Ok(Self { target, source, further })
    }

    /// The name and a tag that tells what it is built from.
    pub fn image(&self) -> Result<String> {
        // The wheel is in the sources by its checksum.
        let programs = self.further.iter().filter(|(_, name)| name.starts_with("bin/"));
        let programs: Vec<&Path> = programs.map(|(file, _)| file.as_path()).collect();
        Ok(format!("{}:{}", self.target.image(), self.source.digest(&programs)?))
    }

    /// Everything that the build may read, in a folder of its own.
    pub fn context(&self, paths: &Paths) -> Result<tempfile::TempDir> {
        self.source.context(paths, &self.further)
    }
}

fn name(file: &Path) -> Result<&str> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{} has no name", file.display()))
}
