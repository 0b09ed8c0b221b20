//! What folders hold, wherever they lie: in a folder here, or in an image, from where they come as an archive.
//!
//! Paths are relative to a root. Links are followed inside that root alone, name by name, and one that leads out of it is refused.

mod archive;
mod folder;

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path, PathBuf},
};

use self::{archive::Archive, folder::Folder};

/// Links on the way to one file at most, as many as the system follows itself.
const LINKS: usize = 40;

/// See the module.
#[derive(Debug)]
pub struct Tree {
    /// Where it lies for whoever uses it: links may name it in full.
    root: PathBuf,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Nothing,
    Folder(Folder),
    Archive(Archive),
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File {
        /// Whether its owner may run it.
        executable: bool,
        /// Bytes.
        size: u64,
    },
    /// A link that leads there.
    Link(PathBuf),
    /// A device, a pipe or a socket.
    Special,
    /// Nothing.
    Missing,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// All of it, for a file that is kept whole: one of the name that was given when the tree was made, and not too large.
    pub whole: Option<Vec<u8>>,
}

/// Which files are kept whole.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    /// Those of this name.
    pub name: &'static str,
    /// Up to so many bytes.
    pub most: u64,
}

impl Whole {
    fn wants(self, path: &Path, size: u64) -> bool {
        size <= self.most && path.file_name() == Some(OsStr::new(self.name))
    }
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It leads out.
    #[error("{} is a link to {}, which leads out of {}", .link.display(), .target.display(), .root.display())]
    Leaves {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// What it leads out of.
        root: PathBuf,
    },
    /// It goes round in a circle.
    #[error("{} leads through more than {LINKS} links", .0.display())]
    Circle(PathBuf),
    /// It can't be looked at.
    #[error("{} can't be read ({source})", .path.display())]
    Unreadable {
        /// What can't.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Tree {
    /// Nothing at all.
    pub fn empty(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            kept: Kept::Nothing,
        }
    }

    /// A folder here; nothing where there is none.
    ///
    /// # Errors
    ///
    /// When it is there and can't be opened.
    pub fn of_folder(root: &Path, whole: Whole) -> io::Result<Self> {
        let kept = match Folder::open(root, whole) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::Nothing,
            folder => Kept::Folder(folder?),
        };
        Ok(Self {
            root: root.to_owned(),
            kept,
        })
    }

    /// What archives hold, each of a folder at a path below `root`. Everything that isn't in them isn't there.
    ///
    /// # Errors
    ///
    /// When one is none, or they hold too much.
    pub fn of_archives<R: io::Read>(root: &Path, whole: Whole, archives: impl IntoIterator<Item = (PathBuf, R)>) -> io::Result<Self> {
        let mut kept = Archive::new(whole);
        for (at, archive) in archives {
            kept.add(&at, archive)?;
        }
        Ok(Self {
            root: root.to_owned(),
            kept: Kept::Archive(kept),
        })
    }

    /// Follows a path, through links too: the way to what it leads to, without any, and what that is; never a link.
    ///
    /// # Errors
    ///
    /// For links that lead out or round in a circle, and for what can't be looked at.
    pub fn follow(&self, path: &Path) -> Result<(PathBuf, Entry), Error> {
        let (mut at, mut links) = (PathBuf::new(), 0);
        let mut left: VecDeque<OsString> = names(path);
        while let Some(name) = left.pop_front() {
            if name == ".." {
                match at.pop() {
                    true => continue,
                    false => return Err(self.leaves(path, path)),
                }
            }
            at.push(name);
            match self.look(&at)? {
                Entry::Link(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Error::Circle(path.to_owned()));
                    }
                    let link = at.clone();
                    at.pop();
                    let further = match target.strip_prefix(&self.root) {
                        Ok(inside) => {
                            at = PathBuf::new();
                            names(inside)
                        }
                        Err(_) if target.is_absolute() => return Err(self.leaves(&link, &target)),
                        Err(_) => names(&target),
                    };
                    // Here, and not when its turn comes, since then nobody knows which link it was.
                    if leads_out(&at, &further) {
                        return Err(self.leaves(&link, &target));
                    }
                    further.into_iter().rev().for_each(|name| left.push_front(name));
                }
                Entry::Folder => {}
                found if left.is_empty() => return Ok((at, found)),
                _ => return Ok((at, Entry::Missing)),
            }
        }
        Ok((at, Entry::Folder))
    }

    fn leaves(&self, link: &Path, target: &Path) -> Error {
        Error::Leaves {
            link: link.to_owned(),
            target: target.to_owned(),
            root: self.root.clone(),
        }
    }

    fn look(&self, path: &Path) -> Result<Entry, Error> {
        let found = match &self.kept {
            Kept::Nothing => Ok(Entry::Missing),
            Kept::Folder(folder) => folder.look(path),
            Kept::Archive(archive) => Ok(archive.look(path)),
        };
        found.map_err(|source| unreadable(path, source))
    }

    /// Names of what is in a folder, `most` of them and one more at most, in their order. The path is one that [`Self::follow`] has given.
    ///
    /// # Errors
    ///
    /// When it can't be looked at.
    pub fn names(&self, path: &Path, most: usize) -> Result<Vec<OsString>, Error> {
        let mut names = match &self.kept {
            Kept::Nothing => Ok(Vec::new()),
            Kept::Folder(folder) => folder.names(path, most),
            Kept::Archive(archive) => Ok(archive.names(path, most)),
        }
        .map_err(|source| unreadable(path, source))?;
        names.sort();
        Ok(names)
    }

    /// What a file holds. The path is one that [`Self::follow`] has given.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn content(&self, path: &Path) -> Result<Content, Error> {
        let content = match &self.kept {
            Kept::Nothing => Err(io::ErrorKind::NotFound.into()),
            Kept::Folder(folder) => folder.content(path),
            Kept::Archive(archive) => archive.content(path),
        };
        content.map_err(|source| unreadable(path, source))
    }

    /// Opens a file. The path is one that [`Self::follow`] has given.
    ///
    /// # Errors
    ///
    /// When it can't be read, or is in an archive, which has no contents to copy.
    pub fn open(&self, path: &Path) -> Result<std::fs::File, Error> {
        let opened = match &self.kept {
            Kept::Folder(folder) => folder.open_file(path),
            Kept::Nothing | Kept::Archive(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        opened.map_err(|source| unreadable(path, source))
    }
}

/// Whether names lead above the root from a folder at this path, if none of them is a link.
fn leads_out(at: &Path, further: &VecDeque<OsString>) -> bool {
    let mut depth = at.components().count();
    further.iter().any(|name| match name == ".." {
        true if depth == 0 => true,
        true => {
            depth -= 1;
            false
        }
        false => {
            depth += 1;
            false
        }
    })
}

/// The names that a path goes through.
fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
