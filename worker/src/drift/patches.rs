//! Two patches on the same commit: which files they change, and which hunks only one of them has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use diffy::{
    Hunk, Line,
    binary::{BinaryBlockKind, BinaryPatch},
    patch_set::{FileOperation, FilePatch, ParseOptions, PatchKind, PatchSet},
};
use serde::Serialize;

use crate::redact::one_line;

/// Largest patch that is compared, in bytes and in lines: what it takes of memory is a multiple of both.
const LARGEST: (u64, usize) = (16 << 20, 400_000);
/// Longest name of a file that is told, in characters.
const NAME: usize = 200;

/// Why two patches can't be compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// One is too large.
    #[error("the patches differ and are too large to compare (over {} MiB or {} lines): read both, which are stored", LARGEST.0 >> 20, LARGEST.1)]
    TooLarge,
    /// One can't be read.
    #[error("a patch can't be read ({0}): see to the space and owner of MOORLINE_WORK_ROOT")]
    Io(#[from] io::Error),
    /// One is no patch of git's.
    #[error("a patch can't be understood ({0}): read both, which are stored")]
    Malformed(String),
}

/// One file that either patch changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDrift {
    /// Its name, cut where it is long.
    pub path: String,
    /// What the way that counted changes in it; `null` for nothing.
    pub primary: Option<Lines>,
    /// What the shadow changes in it.
    pub shadow: Option<Lines>,
    /// Hunks that the shadow does not have.
    pub hunks_only_primary: u64,
    /// Hunks that only the shadow has.
    pub hunks_only_shadow: u64,
    /// Whether both change it alike.
    pub same: bool,
    #[serde(skip)]
    hunks: u64,
}

/// Lines that a patch adds to a file and removes from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// Added.
    pub insertions: u64,
    /// Removed.
    pub deletions: u64,
}

impl FileDrift {
    /// Hunks of both.
    pub(super) fn hunks(&self) -> u64 {
        self.hunks
    }

    /// Hunks that one has and the other has not.
    pub(super) fn only_one_has(&self) -> u64 {
        self.hunks_only_primary + self.hunks_only_shadow
    }
}

/// What one patch does to one file: its hunks by what they say and where, and what it does beside them.
#[derive(Default)]
struct Change {
    lines: Lines,
    /// How often each is there.
    hunks: HashMap<u64, u64>,
}

type Changes = BTreeMap<Vec<u8>, Change>;

/// Compares two patches; files that are in neither are in no list.
pub(super) fn compare(primary: &Path, shadow: &Path) -> Result<Vec<FileDrift>, Error> {
    let same = alike(primary, shadow)?;
    let (primary, shadow) = match (text(primary)?, text(shadow)?) {
        (Some(primary), Some(shadow)) => (primary, shadow),
        // Byte for byte the same, however much it is.
        _ if same => return Ok(Vec::new()),
        _ => return Err(Error::TooLarge),
    };
    let hasher = RandomState::new();
    let (primary, shadow) = (changes(&primary, &hasher)?, changes(&shadow, &hasher)?);
    let files: BTreeSet<&Vec<u8>> = primary.keys().chain(shadow.keys()).collect();
    Ok(files
        .into_iter()
        .map(|file| drift(file, primary.get(file), shadow.get(file)))
        .collect())
}

fn alike(one: &Path, other: &Path) -> Result<bool, Error> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let most = left.len().min(right.len());
        if most == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..most] != right[..most] {
            return Ok(false);
        }
        one.consume(most);
        other.consume(most);
    }
}

/// A patch that is small enough.
fn text(patch: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut text = Vec::new();
    File::open(patch)?.take(LARGEST.0 + 1).read_to_end(&mut text)?;
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let fits = text.len() as u64 <= LARGEST.0 && lines <= LARGEST.1;
    Ok(fits.then_some(text))
}

fn changes(patch: &[u8], hasher: &RandomState) -> Result<Changes, Error> {
    let mut changes = Changes::new();
    if patch.is_empty() {
        return Ok(changes);
    }
    for file in PatchSet::parse_bytes(patch, ParseOptions::gitdiff()) {
        let file = file.map_err(|error| Error::Malformed(one_line(&error.to_string(), NAME)))?;
        // A file that becomes a link is there twice: it goes, and it comes.
        let change = changes.entry(name(&file)).or_default();
        change.take(&file, hasher);
    }
    Ok(changes)
}

fn name(file: &FilePatch<'_, [u8]>) -> Vec<u8> {
    let stripped = file.operation().strip_prefix(1);
    let name = match &stripped {
        FileOperation::Delete(name) | FileOperation::Create(name) => name,
        FileOperation::Modify { modified, .. } => modified,
        FileOperation::Rename { to, .. } | FileOperation::Copy { to, .. } => to,
    };
    name.to_vec()
}

impl Change {
    fn take(&mut self, file: &FilePatch<'_, [u8]>, hasher: &RandomState) {
        let modes = format!("{:?} {:?}", file.old_mode(), file.new_mode());
        // To remove a file is not to empty it, and to make a program not to make a text.
        let whole = match file.operation() {
            FileOperation::Delete(_) => "delete".to_owned(),
            FileOperation::Create(_) => format!("create {modes}"),
            FileOperation::Modify { .. } => String::new(),
            FileOperation::Rename { .. } => "rename".to_owned(),
            FileOperation::Copy { .. } => "copy".to_owned(),
        };
        let mut parts = Vec::new();
        if whole.is_empty() && file.new_mode().is_some() {
            parts.push(hasher.hash_one(("mode", modes)));
        }
        match file.patch() {
            PatchKind::Text(patch) => parts.extend(patch.hunks().iter().map(|hunk| self.hunk(&whole, hunk, hasher.build_hasher()))),
            PatchKind::Binary(BinaryPatch::Full { forward, .. }) => {
                let literal = forward.kind == BinaryBlockKind::Literal;
                parts.push(hasher.hash_one((&whole, literal, forward.data.data, forward.data.size)));
            }
            PatchKind::Binary(BinaryPatch::Marker) => {}
        }
        if parts.is_empty() {
            parts.push(hasher.hash_one(&whole));
        }
        for part in parts {
            *self.hunks.entry(part).or_default() += 1;
        }
    }

    /// Where a hunk is in the old file, and what it says.
    fn hunk(&mut self, whole: &str, hunk: &Hunk<'_, [u8]>, mut hash: impl Hasher) -> u64 {
        let old = hunk.old_range();
        (whole, old.start(), old.len()).hash(&mut hash);
        for line in hunk.lines() {
            let (mark, text) = match line {
                Line::Context(text) => (' ', text),
                Line::Delete(text) => ('-', text),
                Line::Insert(text) => ('+', text),
            };
            self.lines.insertions += u64::from(mark == '+');
            self.lines.deletions += u64::from(mark == '-');
            (mark, text).hash(&mut hash);
        }
        hash.finish()
    }
}

fn drift(file: &[u8], primary: Option<&Change>, shadow: Option<&Change>) -> FileDrift {
    let none = HashMap::new();
    let only = |one: &HashMap<u64, u64>, other: &HashMap<u64, u64>| -> u64 {
        one.iter()
            .map(|(hunk, count)| count.saturating_sub(other.get(hunk).copied().unwrap_or_default()))
            .sum()
    };
    let (of_primary, of_shadow) = (
        primary.map_or(&none, |change| &change.hunks),
        shadow.map_or(&none, |change| &change.hunks),
    );
    let (only_primary, only_shadow) = (only(of_primary, of_shadow), only(of_shadow, of_primary));
    FileDrift {
        path: one_line(&String::from_utf8_lossy(file), NAME),
        primary: primary.map(|change| change.lines),
        shadow: shadow.map(|change| change.lines),
        hunks_only_primary: only_primary,
        hunks_only_shadow: only_shadow,
        same: only_primary == 0 && only_shadow == 0,
        hunks: of_primary.values().sum::<u64>() + of_shadow.values().sum::<u64>(),
    }
}
