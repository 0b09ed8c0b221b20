//! What goes wrong with git, told apart by what can be done about it.

use std::path::{Path, PathBuf};

use moorline_proto::v1::{Failure, FailureClass};

use crate::stage::{FILES, named};

/// Why git could not do it. Texts of git in here are one line, without credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program isn't there.
    #[error("git was not found: install git 2.39 or later, or put it on the worker's PATH")]
    ProgramMissing,
    /// It took longer than one call may take.
    #[error(
        "git could not {doing} within {seconds} s: see whether the repository's host answers, or raise MOORLINE_GIT_TIMEOUT_SECONDS, then retry the run"
    )]
    TimedOut {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The job was told to stop.
    #[error("stopped on request")]
    Stopped,
    /// Nothing answers, or there is no such repository.
    #[error(
        "the repository {repository} can't be reached: check its name, that it exists and that this worker may see it (git said: {said})"
    )]
    Unreachable {
        /// As a URL without credentials.
        repository: String,
        /// Git's own words.
        said: String,
    },
    /// It answers, but not to us.
    #[error(
        "the repository {repository} refused the worker's credentials: set GITHUB_TOKEN to a token with access to it (git said: {said})"
    )]
    Auth {
        /// As a URL without credentials.
        repository: String,
        /// Git's own words.
        said: String,
    },
    /// Its protocol isn't allowed.
    #[error(
        "the repository {repository} is reached by a protocol that this worker doesn't allow: use an https or ssh URL, or add the protocol to MOORLINE_GIT_PROTOCOLS (git said: {said})"
    )]
    Protocol {
        /// As a URL without credentials.
        repository: String,
        /// Git's own words.
        said: String,
    },
    /// There is more of it than the worker takes.
    #[error(
        "the repository takes more than {mib} MiB when it is fetched or checked out: raise MOORLINE_GIT_MAX_MIB on the worker, or take what is large out of the branch"
    )]
    TooLarge {
        /// The limit.
        mib: u64,
    },
    /// It has no commit.
    #[error("the repository {repository} is empty: push a first commit with the feature's specs, then start the run again")]
    Empty {
        /// As a URL without credentials.
        repository: String,
    },
    /// It has no such branch.
    #[error("the repository {repository} has no branch {branch}: give an existing branch as base_ref, or none for the default branch")]
    BaseRefMissing {
        /// As a URL without credentials.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// The commit that the run started from is gone.
    #[error("the repository {repository} no longer has the commit {commit} that the run started from: start a new run (git said: {said})")]
    BaseCommitMissing {
        /// As a URL without credentials.
        repository: String,
        /// The commit.
        commit: String,
        /// Git's own words.
        said: String,
    },
    /// The agent has put something else in the place of its checkout.
    #[error(
        "the agent left no folder at {work_tree}, but something else in the place of its checkout, which was not read ({said}): read its log, then retry the run"
    )]
    WorkTreeReplaced {
        /// Where the checkout was.
        work_tree: PathBuf,
        /// The system's own words.
        said: String,
    },
    /// What the agent changed is more than a patch may hold.
    #[error(
        "what the agent changed takes more than {mib} MiB, which is too much for a patch; the largest: {}. Name in .gitignore what is no work, then retry the run",
        named(files, 10, ", ")
    )]
    PatchTooLarge {
        /// The limit.
        mib: u64,
        /// The largest files, with their sizes.
        files: Vec<String>,
    },
    /// The patch doesn't fit the commit that it was made from.
    #[error(
        "the patch does not apply to its base commit ({}): retry the run from discovery",
        named(files, 10, ", ")
    )]
    PatchConflict {
        /// Files that don't fit.
        files: Vec<String>,
        /// All that git printed.
        output: String,
    },
    /// The patch would write elsewhere than in the repository.
    #[error(
        "the patch leads out of the repository, and nothing of it was applied ({said}): read the agent's log, then retry the run from discovery"
    )]
    PatchUnsafe {
        /// Git's own words.
        said: String,
    },
    /// The push was refused.
    #[error("the push of {branch} was refused: {said}")]
    PushRejected {
        /// The branch.
        branch: String,
        /// Why, in the remote's words or ours.
        said: String,
    },
    /// Something else.
    #[error("git could not {doing}: {said}")]
    Other {
        /// What was being done, as a verb phrase.
        doing: String,
        /// Git's own words, or the system's.
        said: String,
    },
}

impl Error {
    /// A file or folder could not be handled.
    pub(super) fn io(doing: &str, path: &Path, error: std::io::Error) -> Self {
        Self::Other {
            doing: format!("{doing} {}", path.display()),
            said: error.to_string(),
        }
    }

    /// What a failed call to a remote means. Git has one exit code for all of it, so its words (in the C locale) decide.
    pub(super) fn of_remote(repository: &str, doing: &str, said: String) -> Self {
        let repository = repository.to_owned();
        let has = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
        if has(&["not allowed"]) && has(&["transport", "protocol"]) {
            Self::Protocol { repository, said }
        } else if has(&AUTH) {
            Self::Auth { repository, said }
        } else if has(&UNREACHABLE) {
            Self::Unreachable { repository, said }
        } else {
            Self::Other {
                doing: doing.to_owned(),
                said,
            }
        }
    }

    /// Stable name of the case, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProgramMissing => "GIT_MISSING",
            Self::TimedOut { .. } => "GIT_TIMED_OUT",
            Self::Stopped => "STOPPED",
            Self::Unreachable { .. } => "REPOSITORY_UNREACHABLE",
            Self::Auth { .. } => "REPOSITORY_AUTH",
            Self::Protocol { .. } => "REPOSITORY_PROTOCOL",
            Self::TooLarge { .. } => "REPOSITORY_TOO_LARGE",
            Self::PatchUnsafe { .. } => "PATCH_UNSAFE",
            Self::Empty { .. } => "REPOSITORY_EMPTY",
            Self::BaseRefMissing { .. } => "BASE_REF_MISSING",
            Self::BaseCommitMissing { .. } => "BASE_COMMIT_MISSING",
            Self::WorkTreeReplaced { .. } => "WORK_TREE_REPLACED",
            Self::PatchTooLarge { .. } => "PATCH_TOO_LARGE",
            Self::PatchConflict { .. } => "PATCH_CONFLICT",
            Self::PushRejected { .. } => "PUSH_REJECTED",
            Self::Other { .. } => "GIT_FAILED",
        }
    }

    /// The failure that the server records.
    pub fn failure(&self) -> Failure {
        let class = match self {
            Self::ProgramMissing | Self::TimedOut { .. } | Self::Other { .. } => FailureClass::Environment,
            _ => FailureClass::Job,
        };
        let mut failure = crate::stage::failure(self.code(), class, self.to_string());
        if let Self::PatchConflict { files, .. } = self {
            failure.details.insert("conflicting_files".to_owned(), named(files, FILES, ","));
        }
        failure
    }
}

impl From<Error> for crate::stage::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Stopped => Self::Stopped("stopped"),
            error => Self::Failed(error.failure()),
        }
    }
}

const AUTH: [&str; 9] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "terminal prompts disabled",
    "Permission denied (",
    "Invalid username or",
    "error: 401",
    "error: 403",
    "Host key verification failed",
];

const UNREACHABLE: [&str; 14] = [
    "ould not resolve host",
    "unable to access",
    "not found",
    "does not appear to be a git repository",
    "does not exist",
    "No such file or directory",
    "Connection refused",
    "Connection timed out",
    "Could not read from remote repository",
    "unable to connect",
    "dubious ownership",
    "early EOF",
    "strange pathname",
    "strange hostname",
];
