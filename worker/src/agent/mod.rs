//! The agent CLIs: what they are called with, what they print, and which files they keep.
//!
//! All of that changes between their versions, so it is here and nowhere else, with recorded answers as fixtures. An answer that isn't
//! known is [`v1::PreflightRung::Unknown`] or a failure, never a success.

pub mod codex;
mod ending;
pub mod gemini;
mod hint;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moorline_proto::v1;
use secrecy::SecretString;

use crate::{
    config::Config,
    engine::{Exit, SecretVec},
};

/// A credential file, as far as it could be had.
#[derive(Debug)]
pub enum CredentialFile {
    /// There is none.
    Missing,
    /// Its content.
    Content(SecretVec),
    /// It can't be read as a file; why.
    Unusable(String),
}

/// Whose login it is. Only ever compared, by fingerprints; never shown.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The issuer's id of the account.
    pub account: Option<SecretString>,
    /// The refresh token, which only one volume may have.
    pub refresh_token: Option<SecretString>,
}

/// What is known of a stored login.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where on the ladder it is.
    pub rung: v1::PreflightRung,
    /// What was found, in words that fit into a message; on failure also the CLI's own.
    pub detail: String,
    /// `api_key`, `chatgpt` or `google`; empty when unknown.
    pub method: &'static str,
    /// When the stored token expires, if it says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whose it is.
    pub identity: Identity,
}

impl Login {
    /// Whether the next use renews the token, or would have to by `within`, so that the issuer takes no older one afterwards: what it answers
    /// then, the volume must keep. Google's refresh tokens stay good.
    pub fn refresh_is_due(&self, now: DateTime<Utc>, within: Duration) -> bool {
        let due = |at: DateTime<Utc>| at <= now + within;
        self.method == "chatgpt" && self.expires_at.is_none_or(due)
    }
}

/// Files that an agent piles up in its home, as patterns of the shell below it, with blanks between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piles {
    /// Its conversations.
    pub sessions: &'static str,
    /// Its logs.
    pub logs: &'static str,
    /// What it can make again.
    pub caches: &'static str,
}

/// What an agent has reported so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Its own name for the conversation.
    pub thread_id: String,
    /// Events that were understood as such, known or not.
    pub events: u64,
    /// How its turn ended; `None` while it works, and for ever if it was cut off.
    pub turn: Option<Turn>,
    /// The latest error that it told of; not the end by itself, since agents try again.
    pub last_error: Option<String>,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The agent says that it is done, which doesn't mean that the work is.
    Completed,
    /// It gave up, for this reason.
    Failed(String),
}

/// Why an agent failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable upper-case name.
    pub code: &'static str,
    /// Whose failure it is.
    pub class: v1::FailureClass,
    /// What happened and, where the login isn't the cause, what to do; may hold secrets until it is redacted.
    pub detail: String,
    /// For a rate limit: how long the account is to be left alone, where the agent said so.
    pub retry_after: Option<Duration>,
}

/// What a person does to log in by device code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// Page to open, on any machine.
    pub verification_url: String,
    /// Code to enter there.
    pub user_code: String,
    /// How long the code is good.
    pub expires_in: Duration,
}

/// Why a login by device code came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRefusal {
    /// The person, or the issuer, said no.
    Denied,
    /// Nobody entered the code in time.
    Expired,
    /// Anything else.
    Failed,
}

/// One agent CLI.
pub trait Agent: Send + Sync + std::fmt::Debug {
    /// For people, such as `Codex`.
    fn name(&self) -> &'static str;

    /// Its program.
    fn program(&self) -> &str;

    /// The worker's setting that names it.
    fn program_variable(&self) -> &'static str;

    /// The worker's setting that names its volume.
    fn volume_variable(&self) -> &'static str;

    /// Folder of its files in images, where its volume is mounted for short commands.
    fn image_home(&self) -> &'static Path;

    /// Folder of its files below `HOME` in jobs.
    fn home_folder(&self) -> &'static str;

    /// Variable that tells it where that folder is.
    fn home_variable(&self) -> &'static str;

    /// File in that folder that holds the login.
    fn credential_file(&self) -> &'static str;

    /// Another one that may hold it, where the first doesn't.
    fn other_credential_file(&self) -> Option<&'static str> {
        None
    }

    /// Whether the first file holds the login, so that the other doesn't count.
    fn holds_login(&self, first: &CredentialFile) -> bool {
        !matches!(first, CredentialFile::Missing)
    }

    /// The secrets in a credential file, for what must not show them.
    fn secrets(&self, file: &CredentialFile) -> Vec<SecretString>;

    /// What it is given of the worker's own settings where the volume holds no login.
    fn spare_credential(&self) -> Option<&SecretString> {
        None
    }

    /// Command that tells whether a login is stored. Must not need the network.
    fn status_command(&self) -> Vec<String>;

    /// Command that stores an API key from standard input.
    fn api_key_command(&self) -> Vec<String>;

    /// Command that logs in by device code: it prints page and code, and waits for the person. `None` where there is no such login.
    fn device_command(&self) -> Option<Vec<String>>;

    /// Page and code in what that command has printed so far, once both are there.
    fn device_code(&self, printed: &str) -> Option<DeviceCode>;

    /// Why that command stored no login, by what it printed to standard error.
    fn device_refusal(&self, printed: &str) -> DeviceRefusal;

    /// Command that forgets the login, here and with its issuer.
    fn logout_command(&self) -> Vec<String>;

    /// What the status command's exit code and output, and the credential file, say together.
    fn login(&self, code: i32, output: &str, file: &CredentialFile, now: DateTime<Utc>) -> Login;

    /// What the credential file says by itself, whatever the CLI says.
    fn judge(&self, file: &CredentialFile, now: DateTime<Utc>) -> Login;

    /// Whether `damaged` is what is left of `snapshot`, so that putting that back loses nothing.
    fn restorable(&self, damaged: &CredentialFile, snapshot: &CredentialFile) -> bool;

    /// Command that makes one small real call, in its working directory.
    fn probe_command(&self) -> Vec<String>;

    /// Files that it piles up.
    fn piles(&self) -> Piles;

    /// Environment of every container of it, jobs and login commands alike.
    fn environment(&self) -> BTreeMap<String, SecretString>;

    /// Environment that it must have for a call, with `home` for what it needs no longer than that, instead of the volume.
    fn work_environment(&self, home: &Path) -> BTreeMap<String, SecretString>;

    /// Command that works on the prompt from standard input, in the repository at `repo`, without asking anything.
    fn work_command(&self, repo: &Path, home: &Path) -> Vec<String>;

    /// Takes one line of its output into the transcript, and returns what of it people may want to see at once.
    fn read_line(&self, line: &str, repo: &Path, transcript: &mut Transcript) -> Option<String>;

    /// Whether the agent has done its turn, by how its container ended and by what it has said.
    fn verdict(&self, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault>;

    /// The issuer's refusal to renew the login, which an agent may survive for as long as its token is good.
    fn refresh_fault(&self, stderr: &str) -> Option<Fault>;
}

/// The agent that a run asks for.
pub fn of(agent: v1::Agent, config: &Config) -> Arc<dyn Agent> {
    match agent {
        v1::Agent::Unspecified | v1::Agent::Codex => Arc::new(codex::Codex::new(config)),
        v1::Agent::Gemini => Arc::new(gemini::Gemini::new(config)),
    }
}

/// The agent whose login a worker of these settings holds: that of its queue; Codex where it has none.
pub fn of_worker(config: &Config) -> Arc<dyn Agent> {
    of(config.agent(), config)
}
