//! One container that asks the CLI for its login and looks at the volume.

use chrono::{DateTime, Utc};

use super::{Place, guard::Kind};
use crate::{
    agent::{Agent, CredentialFile},
    config::Config,
    engine::{Engine, Error, Exit},
    redact::{chain, one_line},
};

/// `$1` is the agent's home, `$2` its credential file, the rest the status command, whose own output all goes to standard error.
/// What follows it must not keep its answer back: `du` has a limit of its own.
const SCRIPT: &str = r#"
root=$1 file=$2; shift 2
"$@" </dev/null >&2
echo "status $?"
stat -L -c 'root %u:%g %a' -- "$root/." 2>/dev/null
stat -c 'credential %a %Y %s' -- "$root/$file" 2>/dev/null
echo "bytes $(timeout 10 du -sb -- "$root/." 2>/dev/null | cut -f1)"
exit 0
"#;

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
    /// Bytes of all files.
    pub bytes: Option<i64>,
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

/// Runs the status command in the login-check image with the volume mounted read-only, and reads the credential file beside it.
pub async fn probe(engine: &dyn Engine, agent: &dyn Agent, config: &Config, place: &Place) -> Result<(Probe, CredentialFile), Error> {
    let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    argv.extend([place.home.display().to_string(), agent.credential_file().to_owned()]);
    argv.extend(agent.status_command());
    let spec = place.command(config, agent, Kind::Check, 0, argv);
    let reading = engine.read_volume_file(&place.volume, agent.credential_file());
    let (captured, file) = tokio::join!(place.run(engine, &spec, None), reading);
    let captured = captured?;
    let file = match file {
        Ok(None) => CredentialFile::Missing,
        Ok(Some(content)) => CredentialFile::Content(content),
        Err(error) => CredentialFile::Unusable(one_line(&chain(&error), 300)),
    };
    let mut probe = Probe::parse(&captured.stdout);
    probe.timed_out = captured.exit == Exit::TimedOut && probe.status.is_none();
    probe.output = captured.stderr;
    Ok((probe, file))
}

impl Probe {
    fn parse(stdout: &str) -> Self {
        let mut probe = Self::default();
        for line in stdout.lines() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["status", code] => probe.status = code.parse().ok(),
                ["root", owner, mode] => (probe.owner, probe.mode) = (Some(owner.to_owned()), Some(octal(mode))),
                ["credential", mode, modified, bytes] => {
                    probe.credential = Some(CredentialFacts {
                        mode: octal(mode),
                        modified_at: modified.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
                        bytes: bytes.parse().unwrap_or(0),
                    });
                }
                ["bytes", bytes] => probe.bytes = bytes.parse().ok(),
                _ => (),
            }
        }
        probe
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
        let probe = Probe::parse("status 1\nroot 1000:1000 700\nbytes \n");
        assert_eq!(
            (probe.status, probe.mode.as_deref(), probe.credential, probe.bytes),
            (Some(1), Some("0700"), None, None)
        );
        let probe = Probe::parse("status 0\ncredential 600 1800000000 79\nbytes 4096\n");
        let credential = probe.credential.unwrap();
        assert_eq!((credential.mode.as_str(), credential.bytes, probe.bytes), ("0600", 79, Some(4096)));
        assert_eq!(credential.modified_at.unwrap().timestamp(), 1_800_000_000);
    }
}
