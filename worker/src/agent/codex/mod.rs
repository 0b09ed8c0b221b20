//! OpenAI's Codex CLI, as of 0.163 and 0.169.

mod command;
mod credential;
mod device;
mod events;
mod status;
mod verdict;

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use secrecy::SecretString;

use self::credential::Credential;
use super::{Agent, CredentialFile, DeviceCode, DeviceRefusal, Fault, Login, Piles, Transcript};
use crate::{config::Config, engine::Exit};

/// Codex with the settings that it is called with.
#[derive(Debug, Clone)]
pub struct Codex {
    program: String,
    model: Option<String>,
    profile: Option<String>,
    settings: Vec<String>,
    issuer: Option<String>,
    environment: BTreeMap<String, SecretString>,
}

impl Codex {
    /// Codex as the worker's settings want it called.
    pub fn new(config: &Config) -> Self {
        Self {
            program: config.codex_program.clone(),
            model: config.codex_model.clone(),
            profile: config.codex_profile.clone(),
            settings: config.codex_config.clone(),
            issuer: config.codex_issuer.clone(),
            environment: config.codex_env.clone(),
        }
    }
}

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "Codex"
    }

    fn program(&self) -> &str {
        &self.program
    }

    fn program_variable(&self) -> &'static str {
        "MOORLINE_CODEX_PROGRAM"
    }

    fn volume_variable(&self) -> &'static str {
        "CODEX_VOLUME_NAME"
    }

    fn image_home(&self) -> &'static Path {
        Path::new("/home/app/.codex")
    }

    fn home_folder(&self) -> &'static str {
        ".codex"
    }

    fn home_variable(&self) -> &'static str {
        "CODEX_HOME"
    }

    fn credential_file(&self) -> &'static str {
        "auth.json"
    }

    fn secrets(&self, file: &CredentialFile) -> Vec<SecretString> {
        credential::secrets(file)
    }

    fn status_command(&self) -> Vec<String> {
        [&self.program, "login", "status"].map(str::to_owned).to_vec()
    }

    fn api_key_command(&self) -> Vec<String> {
        [&self.program, "login", "--with-api-key"].map(str::to_owned).to_vec()
    }

    fn device_command(&self) -> Option<Vec<String>> {
        let mut argv = [&self.program, "login", "--device-auth"].map(str::to_owned).to_vec();
        let issuer = self.issuer.iter().flat_map(|issuer| ["--experimental_issuer", issuer]);
        argv.extend(issuer.map(str::to_owned));
        Some(argv)
    }

    fn device_code(&self, printed: &str) -> Option<DeviceCode> {
        device::code(printed)
    }

    fn device_refusal(&self, printed: &str) -> DeviceRefusal {
        device::refusal(printed)
    }

    fn logout_command(&self) -> Vec<String> {
        [&self.program, "logout"].map(str::to_owned).to_vec()
    }

    fn login(&self, code: i32, output: &str, file: &CredentialFile, now: DateTime<Utc>) -> Login {
        let credential = Credential::of(file);
        match status::failed(code, output, &self.program) {
            Some(failed) => credential.login(failed, file),
            None => credential.login(credential.judged(now), file),
        }
    }

    fn judge(&self, file: &CredentialFile, now: DateTime<Utc>) -> Login {
        let credential = Credential::of(file);
        credential.login(credential.judged(now), file)
    }

    fn restorable(&self, damaged: &CredentialFile, snapshot: &CredentialFile) -> bool {
        credential::restorable(damaged, snapshot)
    }

    fn probe_command(&self) -> Vec<String> {
        command::probe(self)
    }

    fn piles(&self) -> Piles {
        // What 0.163 leaves after `exec`; config.toml, rules, prompts and the like are people's.
        Piles {
            sessions: "sessions archived_sessions shell_snapshots history.jsonl session_index.jsonl thread_history*.sqlite*",
            logs: "log *.log logs_*.sqlite*",
            caches: "tmp .tmp cache skills/.system thread-writer-locks goals_*.sqlite* memories_*.sqlite* queue_*.sqlite* state_*.sqlite*",
        }
    }

    fn environment(&self) -> BTreeMap<String, SecretString> {
        self.environment.clone()
    }

    fn work_environment(&self, home: &Path) -> BTreeMap<String, SecretString> {
        BTreeMap::from([
            ("CODEX_SQLITE_HOME".to_owned(), SecretString::from(home.display().to_string())),
            // It says until when an account is limited by the clock of this zone.
            ("TZ".to_owned(), SecretString::from("UTC")),
        ])
    }

    fn work_command(&self, repo: &Path, home: &Path) -> Vec<String> {
        command::work(self, repo, home)
    }

    fn read_line(&self, line: &str, repo: &Path, transcript: &mut Transcript) -> Option<String> {
        events::read(line, repo, transcript)
    }

    fn verdict(&self, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault> {
        verdict::of(&self.program, exit, transcript, stderr)
    }

    fn refresh_fault(&self, stderr: &str) -> Option<Fault> {
        verdict::refresh_fault(stderr)
    }
}

/// A rung with the words for it.
type Judged = (Rung, String);

#[cfg(test)]
mod tests;
