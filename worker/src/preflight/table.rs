//! The ladder as a table for a runbook, from the same words as the messages.

use std::{fmt::Write, time::Duration};

use moorline_proto::v1::PreflightRung as Rung;

use super::{message::Subject, passes, remedy};
use crate::{agent::codex::Codex, config::Config};

/// Every rung that a check may end on, from the bottom.
const RUNGS: [Rung; 14] = [
    Rung::VolumeMissing,
    Rung::EnvironmentBroken,
    Rung::TimedOut,
    Rung::Unreadable,
    Rung::Corrupt,
    Rung::NotLoggedIn,
    Rung::Expired,
    Rung::Revoked,
    Rung::Duplicate,
    Rung::RateLimited,
    Rung::Unknown,
    Rung::Present,
    Rung::Unexpired,
    Rung::Proven,
];

/// The table in Markdown. Of `config` only what is no name of a place is used; names stand in capitals, since a page takes angle brackets for marks of its own.
pub fn table(config: &Config) -> String {
    let config = Config {
        name: "WORKER".to_owned(),
        job_user: "1000:1000".to_owned(),
        job_image: "JOB_IMAGE".to_owned(),
        login_check_image: None,
        codex_program: "codex".to_owned(),
        preflight_timeout: Duration::from_secs(60),
        ..config.clone()
    };
    let agent = Codex::new(&config);
    let subject = Subject {
        agent: &agent,
        config: &config,
        queue: "SHARD",
        volume: "VOLUME",
        folder: None,
    };
    let mut table = "| rung | a job may start | what it means | message | remedy |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for rung in RUNGS {
        let name = rung.as_str_name().trim_start_matches("PREFLIGHT_RUNG_");
        let (may, message, remedy) = match passes(rung) {
            true => ("yes", "login check passed".to_owned(), String::new()),
            false => ("no", subject.what(rung), remedy::of(&subject, rung)),
        };
        // A string takes whatever is written to it.
        let _ = writeln!(table, "| `{name}` | {may} | {} | {message} | {remedy} |", meaning(rung));
    }
    table
}

fn meaning(rung: Rung) -> &'static str {
    match rung {
        Rung::VolumeMissing => "The engine knows no volume of this name, or the folder is not there. It is never created by a check.",
        Rung::EnvironmentBroken => {
            "The login was not looked at: the engine, the image or the CLI is missing, the volume has no room, or its `config.toml` is broken."
        }
        Rung::TimedOut => "The CLI or the engine gave no answer in time.",
        Rung::Unreadable => "Files in the volume belong to another user, mostly because somebody logged in as root.",
        Rung::Corrupt => "The credential file is cut off, empty or no credential, and no snapshot of the same login could be put back.",
        Rung::NotLoggedIn => "No login is stored; or it was lost when a process was ended while it renewed the token.",
        Rung::Expired => "The token has run out and can't be renewed.",
        Rung::Revoked => {
            "The issuer refused the login while it was used. It stays so until the credential changes or a real call works, whatever the CLI's status says."
        }
        Rung::RateLimited => "A real call was refused because the account has used up its limit. The login itself is good.",
        Rung::Unknown => "The CLI or the issuer said something that this version does not know.",
        Rung::Present => "A login is stored, and nothing speaks against it.",
        Rung::Unexpired => "A login is stored, and by its own dates its token is valid.",
        Rung::Proven => "A real call has worked with this login within the last 24 hours.",
        Rung::Duplicate => "Another volume of the fleet had this login first. The server finds it by fingerprints of the tokens.",
        Rung::Unspecified => "Nothing was checked.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_has_its_row_with_a_remedy_where_one_is_needed() {
        let table = table(&Config::try_parse_from(["moorline-worker"]).unwrap());
        assert_eq!(table.lines().count(), 2 + RUNGS.len());
        for line in table.lines().skip(2) {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 5, "{line}");
            assert_eq!(cells[1] == "yes", cells[4].is_empty(), "{line}");
        }
    }
}
