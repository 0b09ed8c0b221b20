//! The files of one skill in one mirror, counted before they are read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::mistake::Mistake;
use crate::{
    redact::one_line,
    tree::{Entry, Tree, Whole},
};

/// The file that makes a folder a skill.
pub(super) const SKILL: &str = "SKILL.md";

/// What of a tree is kept whole.
pub(super) const WHOLE: Whole = Whole {
    name: SKILL,
    most: 256 << 10,
};

/// Files and folders of a skill at most.
const ENTRIES: usize = 2000;

/// Bytes of a skill at most.
const BYTES: u64 = 16 << 20;

/// Folders within folders at most.
const DEEPEST: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By their paths in the skill's folder.
    pub(super) files: BTreeMap<String, File>,
    /// What is in [`SKILL`].
    pub(super) text: Option<Vec<u8>>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) executable: bool,
    pub(super) digest: [u8; 32],
    /// Where it lies in the tree, whatever links lead there.
    pub(super) at: PathBuf,
}

/// A folder that has to be looked through.
struct Left {
    at: PathBuf,
    /// Its path in the skill's folder, with a slash at its end unless it is that folder.
    inside: String,
    depth: usize,
}

impl Files {
    /// Those of the skill at a path; `None` where nothing is.
    pub(super) fn gather(tree: &Tree, base: &Path) -> Result<Option<Self>, Mistake> {
        let shown = |inside: &str| {
            let path = if inside.is_empty() { base.to_owned() } else { base.join(inside) };
            one_line(&path.display().to_string(), 200)
        };
        let at = match tree.follow(base).map_err(unreadable)? {
            (_, Entry::Missing) => return Ok(None),
            (at, Entry::Folder) => at,
            _ => return Err(Mistake::NoFolder(shown(""))),
        };
        let mut gathered = Self::default();
        let (mut entries, mut bytes) = (0, 0_u64);
        let mut left = vec![Left {
            at,
            inside: String::new(),
            depth: 0,
        }];
        while let Some(folder) = left.pop() {
            for name in tree.names(&folder.at, ENTRIES).map_err(unreadable)? {
                entries += 1;
                if entries > ENTRIES {
                    return Err(Mistake::TooMany(shown("")));
                }
                let name = match name.to_str() {
                    Some(name) if !name.chars().any(char::is_control) => name,
                    _ => {
                        let said = format!("{}{:?}", folder.inside, name.to_string_lossy());
                        return Err(Mistake::FileName(shown(&said)));
                    }
                };
                let inside = format!("{}{name}", folder.inside);
                match tree.follow(&folder.at.join(name)).map_err(unreadable)? {
                    (_, Entry::Missing) => return Err(Mistake::Dangling(shown(&inside))),
                    (_, Entry::Special | Entry::Link(_)) => return Err(Mistake::Special(shown(&inside))),
                    (_, Entry::Folder) if folder.depth >= DEEPEST => return Err(Mistake::TooDeep(shown(&inside))),
                    (at, Entry::Folder) => left.push(Left {
                        at,
                        inside: inside + "/",
                        depth: folder.depth + 1,
                    }),
                    (_, Entry::File { size, .. }) if inside == SKILL && size > WHOLE.most => {
                        return Err(Mistake::FileTooLarge(shown(&inside)));
                    }
                    (at, Entry::File { executable, size }) => {
                        bytes = bytes.saturating_add(size);
                        if bytes > BYTES {
                            return Err(Mistake::TooLarge(shown("")));
                        }
                        gathered.file(tree, inside, executable, at)?;
                    }
                }
            }
        }
        Ok(Some(gathered))
    }

    fn file(&mut self, tree: &Tree, inside: String, executable: bool, at: PathBuf) -> Result<(), Mistake> {
        let content = tree.content(&at).map_err(unreadable)?;
        if inside == SKILL {
            self.text = content.whole;
        }
        let digest = content.digest;
        self.files.insert(inside, File { executable, digest, at });
        Ok(())
    }

    /// SHA-256 over names, modes and contents, in lower-case hex.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (path, file) in &self.files {
            digest.update(if file.executable { b"x" } else { b"-" });
            digest.update(file.digest);
            digest.update((path.len() as u64).to_be_bytes());
            digest.update(path);
        }
        hex::encode(digest.finalize())
    }
}

fn unreadable(error: crate::tree::Error) -> Mistake {
    Mistake::Unreadable(one_line(&error.to_string(), 300))
}
