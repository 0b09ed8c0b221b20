//! What a service of docker-compose.yaml becomes for Swarm.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

/// What Swarm takes as it is.
const KEPT: [&str; 9] = [
    "image",
    "command",
    "cap_drop",
    "cap_add",
    "init",
    "logging",
    "read_only",
    "stop_grace_period",
    "volumes",
];
/// What has no meaning there, or none that is heeded: images are built beforehand; services that fail are started again until what they need is there; ports
/// can't be published on loopback alone; `deploy` has restarts and profiles in words of its own; and containers of services can't be told not to
/// gain privileges.
const DROPPED: [&str; 8] = [
    "build",
    "depends_on",
    "networks",
    "ports",
    "profiles",
    "restart",
    "security_opt",
    "group_add",
];
/// What is said under `deploy`, or as another kind of volume.
const ELSEWHERE: [&str; 9] = [
    "cpus",
    "environment",
    "healthcheck",
    "mem_limit",
    "pids_limit",
    "secrets",
    "shm_size",
    "tmpfs",
    "user",
];

/// The service of that name, rewritten.
pub fn of(name: &str, service: &Value) -> Result<Value> {
    let mut made = Map::new();
    for (key, value) in service.as_object().into_iter().flatten() {
        match key.as_str() {
            key if KEPT.contains(&key) => drop(made.insert(key.to_owned(), value.clone())),
            key if DROPPED.contains(&key) || ELSEWHERE.contains(&key) => {}
            key => bail!(
                "the service {name} has {key}, of which xtask/src/stack doesn't know what it becomes for Swarm: add it to one of its lists"
            ),
        }
    }
    let worker = !["postgres", "server"].contains(&name);
    if let Some(environment) = service["environment"].as_object() {
        made.insert("environment".to_owned(), self::environment(name, environment));
    }
    match (worker, &service["healthcheck"]) {
        // Swarm replaces what is unhealthy, and a worker without a server must keep its jobs.
        (true, _) => drop(made.insert("healthcheck".to_owned(), json!({"disable": true}))),
        (false, Value::Null) => {}
        (false, check) => drop(made.insert("healthcheck".to_owned(), check.clone())),
    }
    if let Some(user) = user(service) {
        made.insert("user".to_owned(), user);
    }
    let in_memory = in_memory(service);
    if !in_memory.is_empty() {
        let volumes = made.entry("volumes").or_insert_with(|| json!([]));
        volumes
            .as_array_mut()
            .into_iter()
            .for_each(|volumes| volumes.extend(in_memory.clone()));
    }
    if let Some(names) = service["secrets"].as_array() {
        let secret = |name: &Value| match service["user"].is_null() {
            true => name.clone(),
            false => json!({"source": name, "target": name, "uid": "1000", "gid": "1000", "mode": 0o400}),
        };
        made.insert("secrets".to_owned(), names.iter().map(secret).collect());
    }
    made.insert("deploy".to_owned(), deploy(name, service));
    Ok(Value::Object(made))
}

/// Where, how often and within which limits it runs, and how it is replaced.
fn deploy(name: &str, service: &Value) -> Value {
    let mut limits = Map::new();
    for (from, to) in [("mem_limit", "memory"), ("cpus", "cpus"), ("pids_limit", "pids")] {
        match &service[from] {
            Value::Null => {}
            // Swarm wants text for cores.
            Value::Number(number) if to == "cpus" => drop(limits.insert(to.to_owned(), json!(number.to_string()))),
            value => drop(limits.insert(to.to_owned(), value.clone())),
        }
    }
    // A login has one worker: the old one has gone before the new one comes. A server overlaps with the next.
    let (order, failure) = if name == "server" {
        ("start-first", "rollback")
    } else {
        ("stop-first", "pause")
    };
    let label = name.replace("codex-", "shard-");
    json!({
        // By names in turn rather than by an address that stands for all: streams live long, and not every kernel has IPVS.
        "endpoint_mode": "dnsrr",
        "replicas": replicas(name),
        "placement": {"constraints": [format!("node.labels.moorline.{label} == true")]},
        "resources": {"limits": limits},
        "restart_policy": {"condition": "any", "delay": "2s"},
        "update_config": {"parallelism": 1, "order": order, "failure_action": failure, "monitor": "15s"},
        "rollback_config": {"parallelism": 1, "order": order},
    })
}

fn replicas(name: &str) -> Value {
    match name {
        "server" | "default" => json!(format!("${{MOORLINE_{}_REPLICAS:-2}}", name.to_uppercase())),
        // In a profile of its own for compose.
        "gemini" => json!("${MOORLINE_GEMINI_REPLICAS:-0}"),
        _ => json!(1),
    }
}

/// A variable without a value is passed on from the shell: blank where it isn't set there, which counts as not set.
fn environment(name: &str, environment: &Map<String, Value>) -> Value {
    let passed_on = |(variable, value): (&String, &Value)| {
        let value = match (variable.as_str(), value) {
            // Each node has a work root of its own, so the numbers are a node's.
            ("MOORLINE_WORKER_NAME", Value::String(one_of_several)) if one_of_several.ends_with('*') => {
                json!(format!("{name}-{{{{.Node.Hostname}}}}-*"))
            }
            (_, Value::Null) => json!(format!("${{{variable}:-}}")),
            (_, value) => value.clone(),
        };
        (variable.clone(), value)
    };
    environment.iter().map(passed_on).collect()
}

/// Swarm adds no groups, so the one that may use the engine's socket is the user's own.
fn user(service: &Value) -> Option<Value> {
    let user = service["user"].as_str()?;
    let group = service["group_add"].as_array().and_then(|groups| groups.first()?.as_str());
    // Of a reason with a hyphen in it the engine's 20.10 makes a default.
    let set = |group: &str| match group.strip_prefix("${").and_then(|rest| rest.split_once(":?")) {
        Some((variable, _)) => format!("${{{variable}:?set it to the group of the socket of the engine}}"),
        None => group.to_owned(),
    };
    Some(match (group, user.split_once(':')) {
        (Some(group), Some((uid, _))) => json!(format!("{uid}:{}", set(group))),
        _ => json!(user),
    })
}

/// Folders in memory are volumes.
fn in_memory(service: &Value) -> Vec<Value> {
    let folders = service["tmpfs"].as_array().into_iter().flatten();
    let mut volumes: Vec<Value> = folders.map(|folder| json!({"type": "tmpfs", "target": folder})).collect();
    if service["shm_size"].is_string() {
        volumes.push(json!({"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": 256 << 20}}));
    }
    volumes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_goes_to_its_node_with_the_sockets_group_and_limits_of_its_own() {
        let worker = json!({
            "image": "a", "user": "1000:1000", "group_add": ["${GID:?see `stat -c %g`}"], "mem_limit": "1g", "cpus": 1.5, "pids_limit": 9,
            "environment": {"A": null, "B": "c"}, "secrets": ["key"], "tmpfs": ["/tmp"], "restart": "always", "profiles": ["x"],
        });
        let made = of("codex-7", &worker).unwrap();
        assert_eq!(made["user"], "1000:${GID:?set it to the group of the socket of the engine}");
        assert_eq!(made["environment"], json!({"A": "${A:-}", "B": "c"}));
        assert_eq!(made["volumes"], json!([{"type": "tmpfs", "target": "/tmp"}]));
        assert_eq!(made["secrets"][0]["mode"], 256);
        let deploy = &made["deploy"];
        assert_eq!(deploy["placement"]["constraints"][0], "node.labels.moorline.shard-7 == true");
        assert_eq!(deploy["resources"]["limits"], json!({"memory": "1g", "cpus": "1.5", "pids": 9}));
        assert_eq!(
            (&deploy["replicas"], &deploy["update_config"]["order"]),
            (&json!(1), &json!("stop-first"))
        );
        for gone in ["group_add", "mem_limit", "restart", "profiles"] {
            assert!(made.get(gone).is_none(), "{gone}");
        }
        assert_eq!(of("server", &json!({})).unwrap()["deploy"]["update_config"]["order"], "start-first");
    }
}
