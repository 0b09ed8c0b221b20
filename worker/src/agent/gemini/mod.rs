//! Google's Gemini CLI, as of 0.61.
//!
//! It has no command for logins: a key is a line in `.env` of its folder, its own login with Google the file `oauth_creds.json`, which takes a
//! terminal to make. So checks, logins and logouts are small shells here, and only work and probes run the CLI itself.

mod credential;
mod events;
mod verdict;

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use moorline_proto::v1::PreflightRung as Rung;
use secrecy::SecretString;

use self::credential::Credential;
use super::{Agent, CredentialFile, DeviceCode, DeviceRefusal, Fault, Login, Piles, Transcript};
use crate::{config::Config, engine::Exit};

/// Gives the CLI a home of its own and the login of the volume.
const WORK: &str = include_str!("work.sh");
/// Looks whether there is a CLI, and files that can be read.
const STATUS: &str = include_str!("status.sh");
/// Stores a key.
const STORE: &str = include_str!("store.sh");

/// What the CLI may not be told otherwise. `TYPE` is the kind of the login. With the CLI's own ten attempts an account without quota costs ten
/// minutes; variables in files of the repository are none of its business.
const SETTINGS: &str = r#"{"security":{"auth":{"selectedType":"TYPE"}},"general":{"maxAttempts":3,"enableAutoUpdate":false},"privacy":{"usageStatisticsEnabled":false},"telemetry":{"enabled":false},"advanced":{"ignoreLocalEnv":true}}"#;

/// Gemini with the settings that it is called with.
#[derive(Debug, Clone)]
pub struct Gemini {
    program: String,
    model: String,
    base_url: String,
    api_key: Option<SecretString>,
    environment: BTreeMap<String, SecretString>,
}

impl Gemini {
    /// Gemini as the worker's settings want it called.
    pub fn new(config: &Config) -> Self {
        Self {
            program: config.gemini_program.clone(),
            model: config.gemini_model.clone(),
            base_url: config.gemini_base_url.clone(),
            api_key: config.gemini_api_key.clone(),
            environment: config.gemini_env.clone(),
        }
    }

    /// The CLI's command line, in a home of its own.
    fn call<const N: usize>(&self, rest: [&str; N]) -> Vec<String> {
        let mut argv = ["sh", "-c", WORK, "moorline-gemini", SETTINGS, &self.program]
            .map(str::to_owned)
            .to_vec();
        // Nobody answers questions, the folder is the run's own, and without a model the CLI asks another one first which to take.
        let all = ["--approval-mode", "yolo", "--skip-trust", "-o", "stream-json", "-m", &self.model];
        argv.extend(all.into_iter().chain(rest).map(str::to_owned));
        argv
    }
}

impl Agent for Gemini {
    fn name(&self) -> &'static str {
        "Gemini"
    }

    fn program(&self) -> &str {
        &self.program
    }

    fn program_variable(&self) -> &'static str {
        "MOORLINE_GEMINI_PROGRAM"
    }

    fn volume_variable(&self) -> &'static str {
        "MOORLINE_GEMINI_VOLUME"
    }

    fn image_home(&self) -> &'static Path {
        Path::new("/home/app/.gemini")
    }

    fn home_folder(&self) -> &'static str {
        ".gemini"
    }

    fn home_variable(&self) -> &'static str {
        // The CLI's own variable names the folder above, whatever the volume is called.
        "MOORLINE_GEMINI_HOME"
    }

    fn credential_file(&self) -> &'static str {
        credential::KEY_FILE
    }

    fn other_credential_file(&self) -> Option<&'static str> {
        Some(credential::GOOGLE_FILE)
    }

    fn holds_login(&self, first: &CredentialFile) -> bool {
        credential::counts(first)
    }

    fn secrets(&self, file: &CredentialFile) -> Vec<SecretString> {
        credential::secrets(file)
    }

    fn spare_credential(&self) -> Option<&SecretString> {
        self.api_key.as_ref()
    }

    fn status_command(&self) -> Vec<String> {
        ["sh", "-c", STATUS, "moorline-gemini", &self.program].map(str::to_owned).to_vec()
    }

    fn api_key_command(&self) -> Vec<String> {
        ["sh", "-c", STORE, "moorline-gemini"].map(str::to_owned).to_vec()
    }

    fn device_command(&self) -> Option<Vec<String>> {
        None
    }

    fn device_code(&self, _printed: &str) -> Option<DeviceCode> {
        None
    }

    fn device_refusal(&self, _printed: &str) -> DeviceRefusal {
        DeviceRefusal::Failed
    }

    fn logout_command(&self) -> Vec<String> {
        // The files are taken away around it. A key is revoked where it was made, and nowhere else.
        vec!["true".to_owned()]
    }

    fn login(&self, code: i32, output: &str, file: &CredentialFile, now: DateTime<Utc>) -> Login {
        let said = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let failed = match code {
            0 => return self.judge(file, now),
            13 => (Rung::Unreadable, said.to_owned()),
            126 | 127 => {
                let program = &self.program;
                (
                    Rung::EnvironmentBroken,
                    format!("{program} can't be run in the login-check image (exit code {code}): {said}"),
                )
            }
            _ => (
                Rung::Unknown,
                format!("the look at the volume ended with code {code} and said: {said}"),
            ),
        };
        Credential::of(file).login(failed, file)
    }

    fn judge(&self, file: &CredentialFile, now: DateTime<Utc>) -> Login {
        let credential = Credential::of(file);
        match (&credential, &self.api_key) {
            (Credential::Missing, Some(_)) => Login {
                method: "api_key",
                ..credential.login(
                    (
                        Rung::Present,
                        "the worker's own GEMINI_API_KEY counts, as the volume holds no login".to_owned(),
                    ),
                    file,
                )
            },
            _ => credential.login(credential.judged(now), file),
        }
    }

    fn restorable(&self, damaged: &CredentialFile, snapshot: &CredentialFile) -> bool {
        credential::restorable(damaged, snapshot)
    }

    fn probe_command(&self) -> Vec<String> {
        self.call(["-p", "Answer with the single word ok. Use no tools."])
    }

    fn piles(&self) -> Piles {
        // What 0.61 leaves where people call it by hand; calls for runs have a home of their own.
        Piles {
            sessions: "tmp history",
            logs: "*.log",
            caches: "projects.json projects.json.*",
        }
    }

    fn environment(&self) -> BTreeMap<String, SecretString> {
        // Always said: a file in the repository could send the key elsewhere.
        let base_url = ("GOOGLE_GEMINI_BASE_URL".to_owned(), SecretString::from(self.base_url.clone()));
        // It would start itself a second time, to be given more memory than a container has.
        let once = ("GEMINI_CLI_NO_RELAUNCH".to_owned(), SecretString::from("true"));
        let api_key = self.api_key.clone().map(|key| ("GEMINI_API_KEY".to_owned(), key));
        let own = [base_url, once].into_iter().chain(api_key);
        self.environment.clone().into_iter().chain(own).collect()
    }

    fn work_environment(&self, _home: &Path) -> BTreeMap<String, SecretString> {
        BTreeMap::new()
    }

    fn work_command(&self, _repo: &Path, _home: &Path) -> Vec<String> {
        self.call([])
    }

    fn read_line(&self, line: &str, repo: &Path, transcript: &mut Transcript) -> Option<String> {
        events::read(line, repo, transcript)
    }

    fn verdict(&self, exit: Exit, transcript: &Transcript, stderr: &str) -> Result<(), Fault> {
        verdict::of(&self.program, exit, transcript, stderr)
    }

    fn refresh_fault(&self, _stderr: &str) -> Option<Fault> {
        // A refresh that Google refuses ends the CLI; its tokens are not used up by being used.
        None
    }
}

#[cfg(test)]
mod tests;
