//! What is done for a login after each use: a good one is put aside, a refused one noted, and what the agent has piled up cleaned away.

use std::time::Duration;

use chrono::Utc;
use moorline_proto::v1::{PreflightRung as Rung, VolumeDiagnostics};
use sha2::{Digest, Sha256};

use super::{
    Place, Probe,
    guard::Kind,
    probe::{fingerprint, read},
    state::{Proven, Refused, State},
};
use crate::{
    agent::{Agent, CredentialFile, Login},
    config::Config,
    engine::{Engine, Error},
    preflight::passes,
    redact::Redactor,
};

const KEEP: &str = concat!(include_str!("facts.sh"), include_str!("keep.sh"));
const RESTORE: &str = include_str!("restore.sh");
/// How often a credential is judged anew that has changed under the worker's eyes.
const TRIES: u32 = 3;
/// Longest words that are noted, in characters.
const WORDS: usize = 300;
/// How long a call that worked counts.
pub(crate) const PROVEN_FOR: Duration = Duration::from_secs(24 * 3600);

/// What a use has shown of the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it was stopped, or failed for reasons of its own, or was a new login.
    Unknown,
    /// It worked.
    Worked,
    /// It was refused for good, in these words.
    Refused(Rung, String),
    /// It can't have been renewed, so that nothing can have been lost.
    Untouched,
}

/// Looks after the volume once a use of it has ended. Safe to repeat.
pub async fn settle(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    volume: &str,
    generation: i64,
    outcome: &Outcome,
) -> Result<(), Error> {
    let place = find(engine, agent, volume).await?;
    let quota = (config.volume_quota_bytes > 0).then_some(config.volume_quota_bytes);
    let kept = keep(engine, agent, config, &place, generation, Kind::Snapshot, outcome, quota).await?;
    if let Some(freed) = kept.0.freed {
        tracing::info!(%volume, freed_bytes = freed, "the volume was over MOORLINE_VOLUME_QUOTA_MIB and was cleaned up");
    }
    Ok(())
}

/// Removes conversations, logs and caches. Returns how many bytes that has freed, and the volume as it is then.
pub async fn clean(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    volume: &str,
    generation: i64,
) -> Result<(i64, VolumeDiagnostics), Error> {
    let place = find(engine, agent, volume).await?;
    let (probe, login) = keep(engine, agent, config, &place, generation, Kind::Clean, &Outcome::Unknown, Some(0)).await?;
    let diagnostics = probe.describe(&login, config, place.diagnostics());
    Ok((probe.freed.unwrap_or(0).max(0), diagnostics))
}

/// Puts a damaged credential back from its snapshot, if nothing is lost by that. Returns whether it did.
pub(crate) async fn restore(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    place: &Place,
    generation: i64,
    damaged: &CredentialFile,
) -> Result<bool, Error> {
    let path = format!("{}/snapshot/{}", super::guard::OWN_FOLDER, place.credential);
    let snapshot = read(engine, place, &path).await;
    if !agent.restorable(damaged, &snapshot) {
        return Ok(false);
    }
    let mut argv: Vec<String> = ["sh", "-c", RESTORE, "sh"].map(str::to_owned).to_vec();
    argv.extend([place.home.display().to_string(), place.credential.to_owned()]);
    argv.extend([fingerprint(damaged), fingerprint(&snapshot)]);
    let spec = place.command(config, agent, Kind::Mend, generation, argv);
    let captured = place.run(engine, &spec, None).await?;
    Ok(captured.stdout.lines().any(|line| line == "restored"))
}

async fn find(engine: &dyn Engine, agent: &dyn Agent, volume: &str) -> Result<Place, Error> {
    let missing = || Error::VolumeMissing { volume: volume.to_owned() };
    Place::find(engine, agent, volume).await?.ok_or_else(missing)
}

/// Puts a good credential aside, notes what the `outcome` shows of it, and cleans up over `quota`; returns what was seen of the volume.
#[allow(clippy::too_many_arguments, reason = "what every use of a volume takes, and what this one is for")]
pub(crate) async fn keep(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    place: &Place,
    generation: i64,
    kind: Kind,
    outcome: &Outcome,
    quota: Option<u64>,
) -> Result<(Probe, Login), Error> {
    let mut tries = TRIES;
    loop {
        let noted = read(engine, place, &format!("{}/state.json", super::guard::OWN_FOLDER)).await;
        let file = read(engine, place, place.credential).await;
        let login = agent.judge(&file, Utc::now());
        let digest = fingerprint(&file);
        let used = used(agent, &digest);
        let good = passes(login.rung) && !matches!(outcome, Outcome::Refused(..));
        let sure = matches!(outcome, Outcome::Worked | Outcome::Untouched | Outcome::Refused(..));
        let flag = |yes: bool| if yes { "1" } else { "" }.to_owned();
        let mut argv = place.script(agent, KEEP);
        argv.extend([digest.clone(), flag(good), flag(sure)]);
        argv.extend([
            noted_with(&noted, &used, outcome),
            quota.map(|quota| quota.to_string()).unwrap_or_default(),
        ]);
        argv.push(agent.piles().caches.to_owned());
        let spec = place.command(config, agent, kind, generation, argv);
        let probe = Probe::parse(&place.run(engine, &spec, None).await?.stdout);
        tries -= 1;
        if probe.kept || tries == 0 {
            return Ok((probe, login));
        }
    }
}

/// The SHA-256 of what is used as the login: the file's or, where there is none, that of the worker's own key.
pub(crate) fn used(agent: &dyn Agent, digest: &str) -> String {
    use secrecy::ExposeSecret;
    match agent.spare_credential() {
        Some(spare) if digest.is_empty() => hex::encode(Sha256::digest(spare.expose_secret())),
        _ => digest.to_owned(),
    }
}

/// The notes with what the outcome adds; empty when it adds nothing.
fn noted_with(noted: &CredentialFile, digest: &str, outcome: &Outcome) -> String {
    use secrecy::ExposeSecret;
    let mut state = match noted {
        CredentialFile::Content(content) => State::read(&String::from_utf8_lossy(content.expose_secret())),
        _ => State::default(),
    };
    let (digest, at) = (digest.to_owned(), Utc::now());
    match outcome {
        Outcome::Unknown | Outcome::Untouched => return String::new(),
        Outcome::Worked => {
            state = State {
                refused: None,
                proven: Some(Proven { digest, at }),
            }
        }
        Outcome::Refused(rung, words) => {
            state.refused = Some(Refused {
                digest,
                rung: rung.as_str_name().trim_start_matches("PREFLIGHT_RUNG_").to_owned(),
                words: Redactor::default().line(words, WORDS),
                at,
            });
        }
    }
    serde_json::to_string(&state).unwrap_or_default()
}
