//! The two mirrors of a skill, compared byte for byte.

use std::collections::BTreeSet;

use super::{MIRRORS, files::Files, mistake::Mistake};

/// Files that are named at most.
const NAMED: usize = 5;

/// Where the mirrors differ: in what is there, what is in it, and what may be run.
pub(super) fn compare(mirrors: [&Files; 2]) -> Vec<Mistake> {
    let names: BTreeSet<&String> = mirrors.iter().flat_map(|mirror| mirror.files.keys()).collect();
    let mut mistakes = Vec::new();
    for name in names {
        let file = name.clone();
        mistakes.extend(match mirrors.map(|mirror| mirror.files.get(name)) {
            [Some(one), Some(other)] if one.digest != other.digest => Some(Mistake::MirrorDiffers(file)),
            [Some(one), Some(other)] if one.executable != other.executable => Some(Mistake::MirrorMode {
                file,
                mirror: MIRRORS[usize::from(other.executable)],
            }),
            [None, _] => Some(Mistake::MirrorLacks { file, mirror: MIRRORS[0] }),
            [_, None] => Some(Mistake::MirrorLacks { file, mirror: MIRRORS[1] }),
            _ => None,
        });
    }
    if mistakes.len() > NAMED {
        let more = mistakes.len() - NAMED;
        mistakes.truncate(NAMED);
        mistakes.push(Mistake::MoreDiffer(more));
    }
    mistakes
}
