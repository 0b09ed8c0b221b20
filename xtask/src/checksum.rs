//! SHA-256 of files, and lists of them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// SHA-256 of a file, in lower-case hex.
pub fn of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    let mut hasher = Hashing(Sha256::new());
    io::copy(&mut file, &mut hasher).with_context(|| format!("could not read {}", path.display()))?;
    Ok(hex::encode(hasher.0.finalize()))
}

/// SHA-256 of texts one after the other, in lower-case hex.
pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

/// Writes the checksums of all files below `folder` to `list`, in the format of `sha256sum`.
pub fn record(folder: &Path, list: &Path) -> Result<()> {
    let mut lines = String::new();
    for file in files(folder)? {
        let name = file.strip_prefix(folder)?.display();
        lines.push_str(&format!("{}  {name}\n", of_file(&file)?));
    }
    fs::write(list, lines).with_context(|| format!("could not write {}", list.display()))
}

/// Fails unless every file of `list` is below `folder` with that checksum.
pub fn verify(folder: &Path, list: &Path) -> Result<()> {
    let lines = fs::read_to_string(list).with_context(|| format!("could not read {}", list.display()))?;
    for line in lines.lines() {
        let Some((expected, name)) = line.split_once("  ") else {
            bail!("{} has a line without a checksum", list.display())
        };
        let found = of_file(&folder.join(name))?;
        if found != expected {
            bail!("{name} has the checksum {found}, expected {expected}");
        }
    }
    if lines.is_empty() {
        bail!("{} is empty", list.display());
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_file_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        fs::write(&file, "abc").unwrap();
        // printf abc | sha256sum
        assert_eq!(
            of_file(&file).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_changed_file_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, list) = (folder.path().join("tree"), folder.path().join("list"));
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::write(tree.join("bin/tool"), "good").unwrap();
        record(&tree, &list).unwrap();
        verify(&tree, &list).unwrap();
        fs::write(tree.join("bin/tool"), "evil").unwrap();
        assert!(verify(&tree, &list).unwrap_err().to_string().contains("bin/tool"));
        fs::remove_file(tree.join("bin/tool")).unwrap();
        verify(&tree, &list).unwrap_err();
    }

    #[test]
    fn texts_are_kept_apart() {
        assert_ne!(of_texts(["ab", "c"]), of_texts(["a", "bc"]));
    }
}
