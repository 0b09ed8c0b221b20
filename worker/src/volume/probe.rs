//! One container that mends what it can, asks the CLI for its login, and looks at the volume.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Place, guard::Kind, state::State};
use crate::{
    agent::{Agent, CredentialFile},
    config::Config,
    engine::{Engine, Error, Exit},
    redact::{chain, one_line},
};

/// `$1` is the agent's home, `$2` its credential file, then patterns of its conversations and logs; the rest is the status command, whose own
/// output all goes to standard error. What follows that must not keep its answer back: `du` has a limit of its own.
const CHECK: &str = concat!(include_str!("facts.sh"), include_str!("check.sh"));

/// What was found.
#[derive(Debug, Default)]
pub struct Probe {
    /// Exit code of the status command; `None` when it didn't end.
    pub status: Option<i32>,
    /// All that it printed.
    pub output: String,
    /// Whether the time limit passed before the status command had ended.
    pub timed_out: bool,
    /// Owner of the volume's root, `uid:gid`.
    pub owner: Option<String>,
    /// Permissions of the volume's root, octal.
    pub mode: Option<String>,
    /// The credential file, if the job's user can see it.
    pub credential: Option<CredentialFacts>,
    /// Its SHA-256, hex; empty when there is none.
    pub digest: String,
    /// When a good one was put aside, and the SHA-256 of that.
    pub snapshot: Option<(Option<DateTime<Utc>>, String)>,
    /// Whether a process may have died between the issuer's answer and the disk.
    pub doubt: bool,
    /// What was noted of the login.
    pub state: State,
    /// Bytes that are free where the volume lies.
    pub free: Option<i64>,
    /// Bytes of conversations, of logs, of what is the worker's own, and of all.
    pub sessions: i64,
    /// Of logs.
    pub logs: i64,
    /// Of what is the worker's own.
    pub own: i64,
    /// Of all files.
    pub bytes: Option<i64>,
    /// What was put right.
    pub mended: Vec<String>,
    /// Whether the credential was still what had been judged.
    pub kept: bool,
    /// Bytes that a clean-up has freed; `None` when there was none.
    pub freed: Option<i64>,
}

/// The credential file from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFacts {
    /// Permissions, octal.
    pub mode: String,
    /// When it was last written.
    pub modified_at: Option<DateTime<Utc>>,
    /// Its size.
    pub bytes: i64,
}

/// Runs the status command in the login-check image, and reads the credential file beside it.
pub async fn probe(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    place: &Place,
    generation: i64,
) -> Result<(Probe, CredentialFile), Error> {
    let mut argv = place.script(agent, CHECK);
    argv.extend(agent.status_command());
    let spec = place.command(config, agent, Kind::Check, generation, argv);
    let reading = read(engine, place, place.credential);
    let (captured, file) = tokio::join!(place.run(engine, &spec, None), reading);
    let captured = captured?;
    let mut probe = Probe::parse(&captured.stdout);
    probe.timed_out = captured.exit == Exit::TimedOut && probe.status.is_none();
    probe.output = captured.stderr;
    if fingerprint(&file) == probe.digest {
        return Ok((probe, file));
    }
    // It was read before it was mended, or while somebody else had it.
    let file = read(engine, place, place.credential).await;
    Ok((probe, file))
}

/// Reads a file of the volume that may hold a credential.
pub async fn read(engine: &dyn Engine, place: &Place, path: &str) -> CredentialFile {
    match engine.read_volume_file(&place.volume, path).await {
        Ok(None) => CredentialFile::Missing,
        Ok(Some(content)) => CredentialFile::Content(content),
        Err(error) => CredentialFile::Unusable(one_line(&chain(&error), 300)),
    }
}

/// The SHA-256 of a file's content, hex; empty when there is none.
pub fn fingerprint(file: &CredentialFile) -> String {
    use secrecy::ExposeSecret;
    match file {
        CredentialFile::Content(content) => hex::encode(Sha256::digest(content.expose_secret())),
        CredentialFile::Missing | CredentialFile::Unusable(_) => String::new(),
    }
}

impl Place {
    /// A script of this module, with what all of them begin with.
    pub(super) fn script(&self, agent: &dyn Agent, script: &str) -> Vec<String> {
        let mut argv: Vec<String> = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        let piles = agent.piles();
        argv.extend([self.home.display().to_string(), self.credential.to_owned()]);
        argv.extend([piles.sessions.to_owned(), piles.logs.to_owned()]);
        argv
    }
}

impl Probe {
    /// Reads what the scripts print.
    pub(super) fn parse(stdout: &str) -> Self {
        let mut probe = Self::default();
        for line in stdout.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            let time = |seconds: &str| seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            match (what, rest.split_whitespace().collect::<Vec<_>>().as_slice()) {
                ("status", [code]) => probe.status = code.parse().ok(),
                ("root", [owner, mode]) => (probe.owner, probe.mode) = (Some((*owner).to_owned()), Some(octal(mode))),
                ("credential", [mode, modified, bytes]) => {
                    probe.credential = Some(CredentialFacts {
                        mode: octal(mode),
                        modified_at: time(modified),
                        bytes: bytes.parse().unwrap_or(0),
                    });
                }
                ("digest", [digest]) => probe.digest = (*digest).to_owned(),
                ("snapshot", [at]) => probe.snapshot = Some((time(at), String::new())),
                ("snapshot_digest", [digest]) => {
                    if let Some((_, of)) = &mut probe.snapshot {
                        *of = (*digest).to_owned();
                    }
                }
                ("doubt", []) => probe.doubt = true,
                ("state", _) => probe.state = State::read(rest),
                ("mended", _) => probe.mended.push(rest.to_owned()),
                ("kept", []) => probe.kept = true,
                (what, [number]) => probe.count(what, number.parse().ok()),
                _ => (),
            }
        }
        probe
    }

    fn count(&mut self, what: &str, number: Option<i64>) {
        match what {
            "free" => self.free = number,
            "freed" => self.freed = number,
            "sessions" => self.sessions = number.unwrap_or(0),
            "logs" => self.logs = number.unwrap_or(0),
            "own" => self.own = number.unwrap_or(0),
            "bytes" => self.bytes = number,
            _ => (),
        }
    }

    /// Whether a real call has worked with the credential of this SHA-256 within `freshness`.
    pub fn is_proven(&self, digest: &str, now: DateTime<Utc>, freshness: Duration) -> bool {
        let proven = self.state.proven.as_ref().filter(|proven| proven.digest == digest);
        proven.is_some_and(|proven| proven.at <= now && now < proven.at + freshness)
    }
}

/// `600` as `0600`.
fn octal(mode: &str) -> String {
    format!("{mode:0>4}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_missing_leave_gaps_and_no_errors() {
        let probe = Probe::parse("status 1\nroot 1000:1000 700\nbytes \ndigest \nstate {half\nfree x\n");
        assert_eq!(
            (probe.status, probe.mode.as_deref(), probe.credential, probe.bytes),
            (Some(1), Some("0700"), None, None)
        );
        assert_eq!((probe.digest.as_str(), probe.doubt, probe.free), ("", false, None));
        let probe = Probe::parse("status 0\ncredential 600 1800000000 79\nsnapshot 1800000001\nsnapshot_digest ab\ndoubt\nbytes 4096\n");
        let credential = probe.credential.unwrap();
        assert_eq!((credential.mode.as_str(), credential.bytes, probe.bytes), ("0600", 79, Some(4096)));
        assert_eq!(credential.modified_at.unwrap().timestamp(), 1_800_000_000);
        assert_eq!((probe.snapshot.unwrap().1.as_str(), probe.doubt), ("ab", true));
    }
}
