//! Rules for the compose files: only what docker-compose 1.29 and Compose v2 both read, nothing open to others, nothing secret, nothing without a limit.
//!
//! Contract: 007/FR-048.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::{JOB, MAIN, OVERLAY, entries, keys, parsed, text, with_defaults};

/// Keys of a service that both read and mean the same by.
const SERVICE: [&str; 29] = [
    "build",
    "cap_add",
    "cap_drop",
    "command",
    "cpus",
    "depends_on",
    "environment",
    "group_add",
    "healthcheck",
    "image",
    "init",
    "logging",
    "mem_limit",
    "network_mode",
    "networks",
    "pids_limit",
    "ports",
    "profiles",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "tmpfs",
    "user",
    "volumes",
    "hostname",
    "labels",
];
const BUILD: [&str; 4] = ["args", "context", "dockerfile", "target"];
const HEALTHCHECK: [&str; 5] = ["interval", "retries", "start_period", "test", "timeout"];

fn beyond<'a>(found: &BTreeSet<&'a str>, known: &[&str]) -> Vec<&'a str> {
    found.iter().copied().filter(|key| !known.contains(key)).collect()
}

#[test]
fn the_files_hold_only_what_both_composes_read() {
    for file in [MAIN, JOB, OVERLAY] {
        let compose = parsed(file);
        let top: BTreeSet<&str> = compose
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|key| !key.starts_with("x-"))
            .collect();
        assert_eq!(beyond(&top, &["services", "volumes", "networks", "secrets"]), [""; 0], "{file}");
        for (name, service) in entries(&compose, "services") {
            let all: BTreeSet<&str> = service.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(beyond(&all, &SERVICE), [""; 0], "{file}: {name}");
            assert_eq!(beyond(&keys(service, "build"), &BUILD), [""; 0], "{file}: build of {name}");
            assert_eq!(
                beyond(&keys(service, "healthcheck"), &HEALTHCHECK),
                [""; 0],
                "{file}: healthcheck of {name}"
            );
            for (other, condition) in entries(service, "depends_on") {
                assert_eq!(
                    keys(&service["depends_on"], other),
                    ["condition"].into(),
                    "{file}: {name} on {other}: {condition}"
                );
            }
            let short = service["volumes"]
                .as_array()
                .into_iter()
                .chain(service["secrets"].as_array())
                .flatten();
            assert!(
                short.clone().all(Value::is_string),
                "{file}: {name} mounts something in the long form"
            );
        }
        for kind in ["volumes", "networks", "secrets"] {
            for (name, definition) in entries(&compose, kind) {
                let known: &[&str] = if kind == "secrets" { &["file"] } else { &["name", "driver_opts"] };
                let all: BTreeSet<&str> = definition.as_object().unwrap().keys().map(String::as_str).collect();
                assert_eq!(beyond(&all, known), [""; 0], "{file}: {name}");
                assert!(
                    kind == "secrets" || definition["name"].is_string(),
                    "{file}: {name} has no name of its own"
                );
            }
        }
        // `${A:-${B}}` is one variable to 1.29.
        assert!(!text(file).contains(":-${"), "{file} has a variable within a variable");
    }
}

#[test]
fn ports_are_open_on_loopback_alone() {
    let mut ports = 0;
    for file in [MAIN, JOB, OVERLAY] {
        for (name, service) in entries(&parsed(file), "services") {
            assert_ne!(service["network_mode"], "host", "{file}: {name}");
            for port in service["ports"].as_array().into_iter().flatten() {
                let port = with_defaults(port.as_str().unwrap());
                let parts: Vec<&str> = port.split(':').collect();
                assert!(parts.len() == 3 && parts[0] == "127.0.0.1", "{file}: {name} publishes {port}");
                ports += 1;
            }
        }
    }
    assert_eq!(ports, 3, "gRPC, HTTP and Postgres");
}

#[test]
fn images_have_a_tag_that_says_what_they_are() {
    for file in [MAIN, JOB] {
        for (name, service) in entries(&parsed(file), "services") {
            let image = with_defaults(service["image"].as_str().unwrap());
            let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
            assert!(
                tag.is_some_and(|tag| !tag.is_empty() && tag != "latest"),
                "{file}: {name} runs {image}"
            );
        }
    }
}

#[test]
fn secrets_are_named_by_file_and_never_written_down() {
    let secret = |name: &str| {
        ["TOKEN", "KEY", "PASSWORD", "SECRET", "DATABASE_URL", "CODEX_ENV", "GEMINI_ENV"]
            .iter()
            .any(|word| name.contains(word))
    };
    // A number, whatever its name says.
    let harmless = ["MOORLINE_API_KEY_CAPACITY"];
    for file in [MAIN, JOB, OVERLAY] {
        let compose = parsed(file);
        for (name, service) in entries(&compose, "services") {
            for (variable, value) in
                entries(service, "environment").filter(|(variable, _)| secret(variable) && !harmless.contains(variable))
            {
                assert!(
                    variable.ends_with("_FILE"),
                    "{file}: {name} gets {variable}, which has to be given by file"
                );
                let mounted = value.as_str().and_then(|path| path.strip_prefix("/run/secrets/"));
                let listed = service["secrets"].as_array().unwrap().iter().filter_map(Value::as_str);
                assert!(
                    listed.clone().any(|secret| Some(secret) == mounted),
                    "{file}: {name} doesn't mount the file of {variable}"
                );
            }
        }
        let inline = text(file)
            .lines()
            .find(|line| line.contains("://") && line.contains('@'))
            .map(str::to_owned);
        assert_eq!(inline, None, "{file}");
    }
}

#[test]
fn what_runs_has_limits_a_health_check_and_bounded_logs() {
    for (name, service) in entries(&parsed(MAIN), "services") {
        for key in ["mem_limit", "pids_limit", "logging"] {
            assert!(!service[key].is_null(), "{name} has no {key}");
        }
        let ends_at_once = name == "prepare";
        assert_eq!(service["restart"] == "unless-stopped", !ends_at_once, "{name}: restart");
        assert_eq!(service["healthcheck"].is_object(), !ends_at_once, "{name}: healthcheck");
        if name != "postgres" {
            assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        }
    }
    for (name, service) in entries(&parsed(JOB), "services") {
        assert!(!service["mem_limit"].is_null() && service["network_mode"] == "none", "{name}");
    }
}

#[test]
fn each_shard_has_one_worker_one_queue_and_one_volume_of_the_same_number() {
    let compose = parsed(MAIN);
    let mut shards = 0;
    for (name, service) in entries(&compose, "services") {
        let Some(number) = name.strip_prefix("codex-") else { continue };
        let (environment, volume) = (&service["environment"], format!("codex_auth_{number}"));
        assert_eq!(
            (&environment["CODEX_QUEUE"], &environment["MOORLINE_WORKER_NAME"]),
            (&name.into(), &name.into())
        );
        assert_eq!(with_defaults(environment["CODEX_VOLUME_NAME"].as_str().unwrap()), volume);
        assert_eq!(
            environment["CODEX_VOLUME_NAME"], compose["volumes"][&volume]["name"],
            "the volume that is mounted is the one that is named"
        );
        let path = environment["CODEX_VOLUME_PATH"].as_str().unwrap();
        let mount = format!("{volume}:{path}");
        assert!(
            service["volumes"].as_array().unwrap().iter().any(|volume| *volume == *mount),
            "{name} doesn't mount {mount}"
        );
        shards += 1;
    }
    assert_eq!(shards, 3);
    let gemini = &compose["services"]["gemini"];
    let path = gemini["environment"]["CODEX_VOLUME_PATH"].as_str();
    let mount = format!("gemini_auth:{}", path.expect("its volume's place is checked, too"));
    assert!(gemini["volumes"].as_array().unwrap().iter().any(|volume| *volume == *mount));
}
