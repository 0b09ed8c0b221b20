//! What can be wrong with a skill, each with what to do about it.

use super::MIRRORS;

/// Something for which a skill can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It has nothing to say.
    #[error("its folder has no SKILL.md: write one, with front matter and text")]
    NoFile,
    /// The file itself is too large.
    #[error("{0} is larger than 256 KiB: move what is rarely needed to files beside it")]
    FileTooLarge(String),
    /// It isn't UTF-8.
    #[error("SKILL.md is no text: save it as UTF-8")]
    NotText,
    /// It begins with a mark that isn't seen.
    #[error("SKILL.md begins with a byte order mark: save it as UTF-8 without one")]
    ByteOrderMark,
    /// It begins otherwise.
    #[error("SKILL.md does not begin with front matter: begin it with a line `---`, then `name:` and `description:`, then a line `---`")]
    NoFrontMatter,
    /// The second line of dashes is missing.
    #[error("the front matter of SKILL.md never ends: put a line `---` behind it")]
    FrontMatterOpen,
    /// The YAML can't be read.
    #[error(
        "the front matter can't be read as YAML ({why}): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed"
    )]
    Yaml {
        /// What its reader said.
        why: String,
    },
    /// It is YAML and no map.
    #[error("the front matter is no map: write one `key: value` a line, beginning with `name:` and `description:`")]
    NoMap,
    /// A value isn't text.
    #[error("{0} is {1}: write text, in quotes if it is a number or a date")]
    NoText(String, &'static str),
    /// A value is nothing but blanks.
    #[error("{0} is blank: write some text, or leave it out where it is optional")]
    Blank(&'static str),
    /// A value is too long.
    #[error("{0} has {1} characters: shorten it to {2}")]
    TooLong(&'static str, usize, usize),
    /// `metadata` isn't a map.
    #[error("metadata is {0}: write `key: \"text\"` lines below it, indented")]
    MetadataNoMap(&'static str),
    /// A key that every skill has is missing.
    #[error("{0} is missing from the front matter: add a line `{0}: …`")]
    KeyMissing(&'static str),
    /// The name breaks the format's rule.
    #[error(
        "the name {0:?} can't be used: take 1 to 64 lower-case letters, digits and single dashes between them, and name the folder the same"
    )]
    Name(String),
    /// The name is another than the folder's.
    #[error("the name {name:?} is not that of its folder, {folder:?}: make them the same")]
    OtherName {
        /// In the front matter.
        name: String,
        /// Of the folder.
        folder: String,
    },
    /// A word that names no stage.
    #[error("moorline-stages has {0:?}: write discover, submit and publish, each as `stage=path/of/its/program`; submit also alone")]
    Stage(String),
    /// A stage is named twice.
    #[error("moorline-stages names {0} twice: keep one of them")]
    StageTwice(&'static str),
    /// Only the agent can be told.
    #[error("moorline-stages gives {0} no program, and no agent is there to follow instructions: write `{0}=path/of/its/program`")]
    NoProgram(&'static str),
    /// There are no instructions.
    #[error("submit goes by the text of SKILL.md, which has none: write it below the front matter, or give submit a program")]
    NoInstructions,
    /// A program's path leads elsewhere.
    #[error("{key} names {path:?}: give a path inside the skill's folder, without `..`")]
    ProgramPath {
        /// The key.
        key: String,
        /// The path.
        path: String,
    },
    /// A program isn't there.
    #[error("{key} names {path:?}, which is no file of the skill: add it, or correct the path")]
    ProgramMissing {
        /// The key.
        key: String,
        /// The path.
        path: String,
    },
    /// A program can't be run.
    #[error("{key} names {path:?}, which is not executable: chmod +x it, in both mirrors")]
    NotExecutable {
        /// The key.
        key: String,
        /// The path.
        path: String,
    },
    /// A file has a name that nobody could read.
    #[error("{0} has a name with control characters, or one that is no UTF-8: rename it")]
    FileName(String),
    /// A link leads nowhere.
    #[error("{0} is a link to something that is not there: remove it, or put a file in its place")]
    Dangling(String),
    /// A link leads out, or what is there can't be read.
    #[error("{0}: put a file in its place that every user may read")]
    Unreadable(String),
    /// Something that is neither file nor folder.
    #[error("{0} is neither a file nor a folder: remove it")]
    Special(String),
    /// Something in its place is no folder.
    #[error("{0} is no folder: put the skill's folder there")]
    NoFolder(String),
    /// It has too many files.
    #[error("{0} holds more than 2000 files and folders: remove what no agent needs")]
    TooMany(String),
    /// It is too large.
    #[error("{0} takes more than 16 MiB: remove what no agent needs")]
    TooLarge(String),
    /// Its folders go too deep.
    #[error("{0} lies more than 16 folders deep: move it up")]
    TooDeep(String),
    /// One mirror has nothing of it.
    #[error("it is missing from {mirror}: {}", copy(.mirror))]
    MirrorMissing {
        /// That mirror.
        mirror: &'static str,
    },
    /// A file is in one mirror alone.
    #[error("{file} is missing from {mirror}: {}", copy(.mirror))]
    MirrorLacks {
        /// The file.
        file: String,
        /// The mirror without it.
        mirror: &'static str,
    },
    /// A file differs.
    #[error("{0} is not the same in both mirrors: copy the one that is right to the other, with its modes")]
    MirrorDiffers(String),
    /// A file may be run in one mirror alone.
    #[error("{file} is executable in {mirror} alone: give it the same mode in both")]
    MirrorMode {
        /// The file.
        file: String,
        /// The mirror where it is.
        mirror: &'static str,
    },
    /// There is more of the kind.
    #[error("and {0} more files differ between the mirrors")]
    MoreDiffer(usize),
    /// Where jobs run, a program can't be run.
    #[error("{0} can't be run by the user of jobs: give it, and the folders around it, modes that let every user read and run it")]
    Closed(String),
    /// Nothing of it could be tried.
    #[error("its programs could not be tried where jobs run ({0}): look at the engine, and at the job image, which needs sh and coreutils")]
    Unasked(String),
    /// It says that it isn't well.
    #[error("its health check {program} {how}: mend what it says, or take the skill out of the root")]
    Unwell {
        /// The program.
        program: String,
        /// How it ended, and what it said.
        how: String,
    },
}

fn copy(to: &str) -> String {
    let from = MIRRORS.iter().find(|mirror| **mirror != to).unwrap_or(&MIRRORS[0]);
    format!("copy it there from {from}, with its modes")
}

/// Something odd about a skill that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// A key that the format doesn't have.
    #[error("the key {0} is not part of the format and is ignored: check its spelling, or move it below metadata")]
    UnknownKey(String),
    /// A key of Moorline's own that there isn't.
    #[error("the key metadata.{0} is not known and is ignored: there are moorline-stages and moorline-health")]
    UnknownMetadata(String),
    /// Agents would read a file that is of no use to them.
    #[error("SKILL.md has no text below its front matter: agents learn nothing from it")]
    NoText,
}
