//! The command that mends a login, as it is to be typed.

use moorline_proto::v1::PreflightRung as Rung;

use super::message::Subject;
use crate::volume::login_image;

/// What to do about a failed check.
pub(super) fn of(subject: &Subject<'_>, rung: Rung) -> String {
    let volume = subject.volume;
    match rung {
        Rung::EnvironmentBroken => "Mend the cause on the worker's machine, then retry the run.".to_owned(),
        Rung::TimedOut => {
            "See whether the engine or its disk is overloaded, or raise MOORLINE_PREFLIGHT_TIMEOUT_SECONDS, then retry the run.".to_owned()
        }
        Rung::RateLimited => "Wait until the account's limit is lifted, then retry the run.".to_owned(),
        Rung::Unreadable => format!("Give it to that user: {}", own(subject)),
        Rung::Unknown => format!(
            "Look again with: moorline volume check --probe {volume}; if that does not help, log in with: moorline volume login {volume}"
        ),
        // Never the CLI by hand: it would not take the volume's lock.
        _ => format!("Log in with: moorline volume login {volume}"),
    }
}

fn own(subject: &Subject<'_>) -> String {
    let user = &subject.config.job_user;
    match subject.folder.as_ref().map(|folder| folder.display()) {
        Some(folder) => format!("chown -R {user} {folder} && chmod -R u+rwX {folder}"),
        None => {
            let image = login_image(subject.config);
            let command = format!("chown -R {user} /volume && chmod -R u+rwX /volume");
            format!(
                "docker run --rm --user 0 --entrypoint sh -v {}:/volume {image} -c '{command}'",
                subject.volume
            )
        }
    }
}
