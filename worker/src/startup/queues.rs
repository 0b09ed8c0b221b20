//! Whether queues and volume fit together.

use moorline_proto::v1::StartupCheck;

use super::{missing, passed};
use crate::config::{Config, shard_index};

const NAME: &str = "queues";
/// Names of volumes by default, before the number.
const USUAL: &str = "codex_auth_";

/// Whether the names are names of queues, at most one needs a login, and the volume is of the same number.
pub(super) fn check(config: &Config) -> StartupCheck {
    let known = |queue: &&String| matches!(queue.as_str(), "default" | "gemini") || shard_index(queue).is_some();
    if let Some(unknown) = config.queues.iter().find(|queue| !known(queue)) {
        return missing(
            NAME,
            format!("there is no queue `{unknown}`: set MOORLINE_QUEUES to default, gemini or codex-<n>"),
        );
    }
    let of_logins: Vec<&str> = config
        .queues
        .iter()
        .map(String::as_str)
        .filter(|queue| *queue != "default")
        .collect();
    let all = config.queues.join(", ");
    match of_logins[..] {
        [] if config.queues.is_empty() => missing(NAME, "none is set: set CODEX_QUEUE, or MOORLINE_QUEUES"),
        [] => passed(NAME, all),
        [queue] => bound(config, queue, &all),
        _ => missing(
            NAME,
            format!("{all} need more than one login: start one worker for each, since a worker holds one volume"),
        ),
    }
}

fn bound(config: &Config, queue: &str, all: &str) -> StartupCheck {
    let Some(index) = shard_index(queue) else {
        return passed(NAME, all);
    };
    let Some(volume) = &config.volume else {
        return missing(
            NAME,
            format!("{queue} needs its login: set CODEX_VOLUME_NAME to the volume that holds it"),
        );
    };
    match number(volume) {
        Some((before, number)) if number != index && before == USUAL => missing(
            NAME,
            format!(
                "{queue} and the volume {volume} are of two shards: set CODEX_VOLUME_NAME={USUAL}{index}, or CODEX_QUEUE=codex-{number}"
            ),
        ),
        // Names of one's own may mean anything; the server knows which volume is the shard's.
        Some((_, number)) if number != index => passed(
            NAME,
            format!("{all} with the volume {volume}, whose number is another: see that it is the volume of {queue}"),
        ),
        _ => passed(NAME, format!("{all} with the volume {volume}")),
    }
}

/// The number at the end of a name, and what is before it.
fn number(volume: &str) -> Option<(&str, u32)> {
    let before = volume.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((before, volume[before.len()..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(queues: &[&str], volume: Option<&str>) -> String {
        let config = Config {
            queues: queues.iter().map(ToString::to_string).collect(),
            volume: volume.map(str::to_owned),
            ..Config::try_parse_from(["moorline-worker"]).unwrap()
        };
        let check = check(&config);
        format!("{}: {}", check.ok, check.detail)
    }

    #[test]
    fn queues_and_volume_are_of_one_shard() {
        let said = [
            said(&["default"], None),
            said(&["codex-2", "default"], Some("codex_auth_2")),
            said(&["codex-2"], Some("logins-of-ada")),
            said(&["codex-2"], Some("team_7")),
            said(&["codex-2"], Some("codex_auth_1")),
            said(&["codex-2"], None),
            said(&["codex-2", "gemini"], Some("codex_auth_2")),
            said(&["gemini"], None),
            said(&["fast"], None),
            said(&[], None),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
        true: default
        true: codex-2, default with the volume codex_auth_2
        true: codex-2 with the volume logins-of-ada
        true: codex-2 with the volume team_7, whose number is another: see that it is the volume of codex-2
        false: codex-2 and the volume codex_auth_1 are of two shards: set CODEX_VOLUME_NAME=codex_auth_2, or CODEX_QUEUE=codex-1
        false: codex-2 needs its login: set CODEX_VOLUME_NAME to the volume that holds it
        false: codex-2, gemini need more than one login: start one worker for each, since a worker holds one volume
        true: gemini
        false: there is no queue `fast`: set MOORLINE_QUEUES to default, gemini or codex-<n>
        false: none is set: set CODEX_QUEUE, or MOORLINE_QUEUES
        ");
    }
}
