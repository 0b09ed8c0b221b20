//! A skill in a tree, judged by its files in both mirrors, or in one folder.

use std::path::{Path, PathBuf};

use super::{
    MIRRORS, Source,
    files::Files,
    format::{self, Judged},
    mirrors,
    mistake::Mistake,
};
use crate::tree::Tree;

/// The skill of this name, which lies in both mirrors; `None` where none has it. Its folder is that of the first mirror below `root`.
pub(super) fn mirrored(tree: &Tree, name: &str, root: &Path, source: Source) -> Option<(Judged, Files)> {
    let mut judged = format::unread(name, root.join(MIRRORS[0]).join(name), source);
    let mut found = MIRRORS.map(|mirror| {
        Files::gather(tree, &Path::new(mirror).join(name)).unwrap_or_else(|mistake| {
            judged.mistakes.push(mistake);
            None
        })
    });
    // One that can't be read is there all the same.
    let unread = !judged.mistakes.is_empty();
    match &found {
        [Some(one), Some(other)] => {
            let differ = mirrors::compare([one, other]);
            judged.mistakes.extend(differ);
        }
        [None, None] if !unread => return None,
        [None, Some(_)] if !unread => judged.mistakes.push(Mistake::MirrorMissing { mirror: MIRRORS[0] }),
        [Some(_), None] if !unread => judged.mistakes.push(Mistake::MirrorMissing { mirror: MIRRORS[1] }),
        _ => {}
    }
    let files = found.iter_mut().find_map(Option::take);
    if let Some(files) = &files {
        judged.read(files);
    }
    Some((judged, files.unwrap_or_default()))
}

/// The skill that a folder of this name is.
pub(super) fn alone(tree: &Tree, name: &str, folder: PathBuf) -> Judged {
    let mut judged = format::unread(name, folder, Source::Root);
    match Files::gather(tree, Path::new("")) {
        Ok(Some(files)) => judged.read(&files),
        Ok(None) => judged.mistakes.push(Mistake::NoFolder(name.to_owned())),
        Err(mistake) => judged.mistakes.push(mistake),
    }
    judged
}
