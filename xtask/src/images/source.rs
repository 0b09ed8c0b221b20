//! What images are built from: the Dockerfile, all that it copies from `deploy/images`, and the skills.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{checksum, paths::Paths};

/// The folder, in the checkout and in the context of a build.
const FOLDER: &str = "deploy/images";
/// The skills. Every file of them is in the images, and what may be run stays so.
const SKILLS: &str = "deploy/skills";
/// What builds may find there and what isn't the project's: programs and wheels that somebody has put there.
const NOT_OURS: [&str; 2] = ["bin", "wheels"];
/// What Python leaves of a try.
const TRIED: &str = "__pycache__";

/// The files that images are built from.
#[derive(Debug)]
pub struct Source {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Source {
    /// Those of this checkout.
    pub fn find(paths: &Paths) -> Result<Self> {
        let mut files = Vec::new();
        // Text for people changes no image.
        let images = |name: &str, folder: bool| {
            if folder {
                !NOT_OURS.contains(&name)
            } else {
                !name.ends_with(".md")
            }
        };
        gather(&paths.root.join(FOLDER), &images, &mut files)?;
        gather(&paths.root.join(SKILLS), &|name, folder| !folder || name != TRIED, &mut files)?;
        files.sort();
        let root = paths.root.clone();
        Ok(Self { root, files })
    }

    /// The beginning of the checksum of these files, their names and further files that go into an image; it is good for a tag.
    pub fn digest(&self, further: &[&Path]) -> Result<String> {
        let mut all = Vec::new();
        for file in self.files.iter().map(PathBuf::as_path).chain(further.iter().copied()) {
            all.push(self.name(file));
            let mode = fs::metadata(file)
                .with_context(|| format!("could not look at {}", file.display()))?
                .permissions()
                .mode();
            all.push(if mode & 0o100 == 0 { "-" } else { "x" }.to_owned());
            all.push(checksum::of_file(file)?);
        }
        let mut digest = checksum::of_texts(all.iter().map(String::as_str));
        digest.truncate(12);
        Ok(digest)
    }

    /// A program's name doesn't say in whose folder it was built.
    fn name(&self, file: &Path) -> String {
        let own = self.files.iter().any(|own| own == file);
        let name = if own {
            file.strip_prefix(&self.root).ok()
        } else {
            file.file_name().map(Path::new)
        };
        name.unwrap_or(file).display().to_string()
    }

    /// A context of its own for one build, with these files and `further` ones below `deploy/images`. It is gone when it is dropped.
    pub fn context(&self, paths: &Paths, further: &[(PathBuf, String)]) -> Result<TempDir> {
        let context = tempfile::Builder::new().prefix(".image-").tempdir_in(&paths.cache)?;
        for file in &self.files {
            place(file, &context.path().join(file.strip_prefix(&self.root)?))?;
        }
        for (file, name) in further {
            place(file, &context.path().join(FOLDER).join(name))?;
        }
        Ok(context)
    }
}

/// Files below a folder, of those that are wanted by their names and by whether they are folders.
fn gather(folder: &Path, wanted: &impl Fn(&str, bool) -> bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let (name, is_folder) = (entry.file_name(), entry.file_type()?.is_dir());
        match wanted(&name.to_string_lossy(), is_folder) {
            true if is_folder => gather(&entry.path(), wanted, files)?,
            true => files.push(entry.path()),
            false => {}
        }
    }
    Ok(())
}

/// Puts a file there too, without a copy where that can be: wheels and programs are large.
fn place(from: &Path, to: &Path) -> Result<()> {
    let place = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
    };
    place().with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> Paths {
        Paths {
            root: root.into(),
            programs: "/".into(),
            output: "/".into(),
            cache: root.into(),
        }
    }

    #[test]
    fn the_tag_follows_every_file_that_can_change_an_image_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join(FOLDER);
        fs::create_dir_all(images.join("job/wheels")).unwrap();
        let skill = folder.path().join(SKILLS).join("a");
        fs::create_dir_all(skill.join("__pycache__")).unwrap();
        fs::write(skill.join("SKILL.md"), "1").unwrap();
        fs::write(images.join("Dockerfile"), "FROM a").unwrap();
        fs::write(images.join("job/codex.txt"), "1").unwrap();
        let digest = || Source::find(&paths(folder.path())).unwrap().digest(&[]).unwrap();
        let first = digest();
        assert_eq!(first.len(), 12);
        fs::write(images.join("README.md"), "read me").unwrap();
        fs::write(images.join("job/wheels/a.whl"), "verified by its checksum anyway").unwrap();
        fs::write(skill.join("__pycache__/a.pyc"), "tried").unwrap();
        assert_eq!(digest(), first);
        fs::write(images.join("job/codex.txt"), "2").unwrap();
        let second = digest();
        assert_ne!(second, first);
        fs::rename(images.join("job/codex.txt"), images.join("job/codecs.txt")).unwrap();
        let third = digest();
        assert_ne!(third, second);
        fs::write(skill.join("SKILL.md"), "2").unwrap();
        let fourth = digest();
        assert_ne!(fourth, third);
        fs::set_permissions(skill.join("SKILL.md"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(), fourth);
    }

    #[test]
    fn a_context_has_the_sources_and_what_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join(FOLDER);
        fs::create_dir_all(&images).unwrap();
        fs::create_dir_all(folder.path().join(SKILLS)).unwrap();
        fs::write(images.join("Dockerfile"), "FROM a").unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "binary").unwrap();
        let paths = paths(folder.path());
        let context = Source::find(&paths)
            .unwrap()
            .context(&paths, &[(program, "bin/moorline-server".to_owned())])
            .unwrap();
        let read = |name: &str| fs::read_to_string(context.path().join(FOLDER).join(name)).unwrap();
        assert_eq!(
            (read("Dockerfile").as_str(), read("bin/moorline-server").as_str()),
            ("FROM a", "binary")
        );
    }
}
