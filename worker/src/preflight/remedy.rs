//! The command that mends a login, as it is to be typed.

use moorline_proto::v1::PreflightRung as Rung;

use super::message::Subject;
use crate::{
    engine::user::{User, is_root},
    volume::login_image,
};

/// What to do about a failed check.
pub(super) fn of(subject: &Subject<'_>, rung: Rung) -> String {
    match rung {
        Rung::EnvironmentBroken => "Mend the cause on the worker's machine, then retry the run.".to_owned(),
        Rung::TimedOut => {
            "See whether the engine or its disk is overloaded, or raise MOORLINE_PREFLIGHT_TIMEOUT_SECONDS, then retry the run.".to_owned()
        }
        Rung::RateLimited => "Wait until the account's limit is lifted, then retry the run.".to_owned(),
        Rung::Unreadable => format!("Give it to that user: {}", own(subject)),
        _ => format!("Log in with: {}", log_in(subject, rung == Rung::VolumeMissing)),
    }
}

fn log_in(subject: &Subject<'_>, create: bool) -> String {
    let command = subject.agent.login_command();
    let variable = subject.agent.home_variable();
    let user = &subject.config.job_user;
    let Some(folder) = subject.folder.as_ref().map(|folder| folder.display()) else {
        let (volume, home) = (subject.volume, subject.agent.image_home().display());
        let image = login_image(subject.config);
        return format!("docker run --rm -it --user {user} -e {variable}={home} -v {volume}:{home} {image} {command}");
    };
    // A login that root has made can't be read by a job that isn't.
    let (step_down, owner) = match user.parse::<User>() {
        Ok(user) if is_root() && user.uid != 0 => (
            format!("setpriv --reuid={} --regid={} --clear-groups env ", user.uid, user.gid),
            format!("-o {} -g {} ", user.uid, user.gid),
        ),
        _ => (String::new(), String::new()),
    };
    let make = match create {
        true => format!("install -d -m 0700 {owner}{folder} && "),
        false => String::new(),
    };
    format!("{make}{step_down}{variable}={folder} {command}")
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
