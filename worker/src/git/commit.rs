//! Commits without a work tree, and files of a commit.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Error, Git, command::condense};

/// What a commit is made of. The same parts give the same commit id on every machine.
#[derive(Debug, Clone)]
pub struct CommitSpec<'a> {
    /// Its parent.
    pub base_commit: &'a str,
    /// Its message.
    pub message: &'a str,
    /// Author and committer, as `Name <address>`.
    pub author: &'a str,
    /// Author and committer date in seconds since 1970, at UTC.
    pub seconds: i64,
}

/// Whether a commit merges into a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// Without conflict.
    Clean,
    /// With conflicts in these files.
    Conflict(Vec<String>),
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blob {
    /// Its content.
    Content(Vec<u8>),
    /// There is none.
    Missing,
    /// There is something else under that name: a folder, a symbolic link, or too many bytes.
    NotAFile(&'static str),
}

/// Largest file that is read from a commit, in bytes.
const LARGEST_BLOB: u64 = 4 << 20;

impl Git {
    /// Applies a patch to its base commit. Returns the tree and what `git apply` printed.
    pub async fn apply(
        &self,
        git_dir: &Path,
        base_commit: &str,
        patch: &Path,
        stop: &CancellationToken,
    ) -> Result<(String, String), Error> {
        let index = git_dir.join("moorline-publish-index");
        let call = |doing| self.call(doing).git_dir(git_dir).env("GIT_INDEX_FILE", &index);
        call("read the base commit").args(["read-tree", base_commit]).ok(stop).await?;
        let applied = call("apply the patch")
            .args(["apply", "--cached", "--verbose", "--whitespace=nowarn", "--"])
            .arg(patch)
            .run(stop)
            .await?;
        if applied.code != 0 && UNSAFE.iter().any(|mark| applied.stderr.contains(mark)) {
            return Err(Error::PatchUnsafe {
                said: condense(&applied.stderr, applied.code),
            });
        }
        if applied.code != 0 {
            return Err(match refused_files(&applied.stderr) {
                files if files.is_empty() => Error::Other {
                    doing: "apply the patch".to_owned(),
                    said: condense(&applied.stderr, applied.code),
                },
                files => Error::PatchConflict {
                    files,
                    output: applied.stderr,
                },
            });
        }
        let tree = text(&call("write the tree").arg("write-tree").ok(stop).await?.stdout);
        Ok((tree, applied.stderr))
    }

    /// Commits a tree. Returns the commit.
    pub async fn commit_tree(&self, git_dir: &Path, tree: &str, spec: &CommitSpec<'_>, stop: &CancellationToken) -> Result<String, Error> {
        let (name, address) = spec.author.split_once('<').unwrap_or((spec.author, "moorline@localhost>"));
        let (name, address) = (name.trim(), address.trim().trim_end_matches('>'));
        let date = format!("@{} +0000", spec.seconds);
        let output = self
            .call("commit")
            .git_dir(git_dir)
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", address)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", address)
            .env("GIT_COMMITTER_DATE", &date)
            .args(["commit-tree", tree, "-p", spec.base_commit, "-F", "-"])
            .input(spec.message)
            .ok(stop)
            .await?;
        Ok(text(&output.stdout))
    }

    /// Whether `commit`, whose parent is `base_commit`, merges into `tip`. Only the three trees are needed, no history: the tip's
    /// tree is set on the base commit as if it were one step from it.
    pub async fn merge(
        &self,
        git_dir: &Path,
        commit: &str,
        tip: &str,
        spec: &CommitSpec<'_>,
        stop: &CancellationToken,
    ) -> Result<Merge, Error> {
        if tip == spec.base_commit {
            return Ok(Merge::Clean);
        }
        let theirs = self.commit_tree(git_dir, &format!("{tip}^{{tree}}"), spec, stop).await?;
        let output = self
            .call("try the merge")
            .git_dir(git_dir)
            .args(["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", &theirs, commit])
            .run(stop)
            .await?;
        match output.code {
            0 => Ok(Merge::Clean),
            1 => {
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                let files = printed.split('\0').skip(1).filter(|file| !file.is_empty());
                Ok(Merge::Conflict(files.map(str::to_owned).collect()))
            }
            code => Err(Error::Other {
                doing: "try the merge".to_owned(),
                said: condense(&output.stderr, code),
            }),
        }
    }

    /// The message of a commit.
    pub async fn message(&self, git_dir: &Path, commit: &str, stop: &CancellationToken) -> Result<String, Error> {
        let output = self
            .call("read a commit")
            .git_dir(git_dir)
            .args(["show", "--no-patch", "--format=%B", "--end-of-options", commit])
            .ok(stop)
            .await?;
        Ok(text(&output.stdout))
    }

    /// Names of the files in one folder of a commit, not of what lies deeper. Links, folders and names that are no text are left out; without the folder
    /// there are none.
    pub async fn files(&self, git_dir: &Path, commit: &str, folder: &str, stop: &CancellationToken) -> Result<Vec<String>, Error> {
        let prefix = format!("{folder}/");
        let listed = self
            .call("list a folder")
            .git_dir(git_dir)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .args(["ls-tree", "-z", "--full-tree", commit, "--", &prefix])
            .ok(stop)
            .await?;
        let entries = listed
            .stdout
            .split(|byte| *byte == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok());
        let files = entries.filter(|entry| entry.starts_with("100644 ") || entry.starts_with("100755 "));
        let names = files.filter_map(|entry| entry.split_once('\t')?.1.strip_prefix(&prefix));
        Ok(names.map(str::to_owned).collect())
    }

    /// Reads a file of a commit.
    pub async fn file(&self, git_dir: &Path, commit: &str, path: &str, stop: &CancellationToken) -> Result<Blob, Error> {
        let entry = self
            .call("look a file up")
            .git_dir(git_dir)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .args(["ls-tree", "-z", "--full-tree", commit, "--", path])
            .ok(stop)
            .await?;
        let entry = text(&entry.stdout);
        let mut columns = entry.split([' ', '\t']);
        let (mode, id) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
        match mode {
            "" => return Ok(Blob::Missing),
            "100644" | "100755" => {}
            "120000" => return Ok(Blob::NotAFile("a symbolic link")),
            _ => return Ok(Blob::NotAFile("a folder or a submodule")),
        }
        let size = self
            .call("read a file")
            .git_dir(git_dir)
            .args(["cat-file", "-s", id])
            .ok(stop)
            .await?;
        if text(&size.stdout).parse::<u64>().unwrap_or(u64::MAX) > LARGEST_BLOB {
            return Ok(Blob::NotAFile("a file of more than 4 MiB"));
        }
        let content = self
            .call("read a file")
            .git_dir(git_dir)
            .args(["cat-file", "blob", id])
            .ok(stop)
            .await?;
        Ok(Blob::Content(content.stdout))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The files that `git apply` names in its errors, each once.
fn refused_files(stderr: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for line in stderr.lines().filter_map(|line| line.strip_prefix("error: ")) {
        let file = match line.strip_prefix("patch failed: ") {
            Some(place) => place.rsplit_once(':').map(|(file, _)| file),
            None => REFUSALS.iter().find_map(|refusal| line.strip_suffix(refusal)),
        };
        if let Some(file) = file.filter(|file| !files.iter().any(|known| known == file)) {
            files.push(file.to_owned());
        }
    }
    files
}

/// What git says of files that are not in the repository.
const UNSAFE: [&str; 2] = ["beyond a symbolic link", "invalid path"];

const REFUSALS: [&str; 5] = [
    ": patch does not apply",
    ": already exists in index",
    ": does not exist in index",
    ": does not match index",
    ": wrong type",
];
