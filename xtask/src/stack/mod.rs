//! `cargo xtask stack`: the stack file for Docker Swarm, made from docker-compose.yaml.
//!
//! Swarm reads an older form of the same language: it refuses some keys, ignores others in silence, and has words of its own for where and how a service
//! runs. What each service becomes is in [`service`].

mod service;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::paths::Paths;

const FROM: &str = "docker-compose.yaml";
const TO: &str = "deploy/swarm/stack.yaml";

/// The last version of the format, which Swarm still wants to be told.
const VERSION: &str = "3.9";

const HEAD: &str = "\
# Moorline on a Docker Swarm. Made from docker-compose.yaml by `cargo xtask stack`, which a test holds it to: change that file, and make this one again.
#
# docs/deployment.md tells when to choose it. On each node that gets a service, once: deploy/swarm/node.sh. Then, on a manager:
#
#   set -a; . ./.env; set +a                # Swarm reads no .env; MOORLINE_DOCKER_GID is the same on all nodes
#   docker secret create moorline_github_token FILE        # and so on, see the end; an unused one holds a line break
#   docker stack deploy --compose-file deploy/swarm/stack.yaml moorline
#
# A service runs where its node has a label, `docker node update --label-add moorline.shard-0=true NODE`: workers of logins and what else has a volume stay
# with that. No port is published, since Swarm would publish it to the world, and the server asks nobody for a name. Clients join its network:
#
#   docker run --rm --network moorline_default --entrypoint moorline moorline-server:local --server http://server:7420 run list
#
# Swarm knows no no-new-privileges: set it for all containers in each engine's daemon.json (\"no-new-privileges\": true).

";

/// What to do with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write nothing, and fail when the file is not what it would be.
    #[arg(long)]
    check: bool,
}

/// Writes the stack file, or checks it.
pub fn main(args: &Args) -> Result<()> {
    let root = Paths::find()?.root;
    let made = from_folder(&root)?;
    let path = root.join(TO);
    if !args.check {
        fs::write(&path, made).with_context(|| format!("could not write {}", path.display()))?;
        eprintln!("{TO} is made");
        return Ok(());
    }
    match fs::read_to_string(&path).is_ok_and(|found| found == made) {
        true => Ok(()),
        false => bail!("{TO} is not what {FROM} makes: run `cargo xtask stack`"),
    }
}

fn from_folder(root: &Path) -> Result<String> {
    let path = root.join(FROM);
    let compose = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    stack(&compose)
}

/// The stack file of a compose file.
fn stack(compose: &str) -> Result<String> {
    let mut compose: Value = serde_saphyr::from_str(compose).with_context(|| format!("{FROM} is no YAML"))?;
    let services = object(&mut compose, "services")?;
    // It prepares the one machine that compose is for, and ends. Here deploy/swarm/node.sh does.
    services.remove("prepare");
    let services: Map<String, Value> = services
        .iter()
        .map(|(name, service)| Ok((name.clone(), service::of(name, service)?)))
        .collect::<Result<_>>()?;
    let volumes = object(&mut compose, "volumes")?.clone();
    let secrets = object(&mut compose, "secrets")?;
    let secrets: Map<String, Value> = secrets
        .keys()
        .map(|name| {
            let outside = json!({"external": true, "name": format!("${{MOORLINE_SECRETS_PREFIX:-moorline}}_{name}")});
            (name.clone(), outside)
        })
        .collect();
    let stack = json!({
        "version": VERSION,
        "services": services,
        "volumes": volumes,
        "secrets": secrets,
        // Jobs have a network on each node; services have this one, which who manages the fleet can join.
        "networks": {"default": {"driver": "overlay", "attachable": true}},
    });
    let text = serde_saphyr::to_string(&sorted(stack)).context("the stack can't be written as YAML")?;
    Ok(format!("{HEAD}{text}"))
}

fn object<'a>(value: &'a mut Value, key: &str) -> Result<&'a mut Map<String, Value>> {
    let found = value.get_mut(key).and_then(Value::as_object_mut);
    found.with_context(|| format!("{FROM} has no {key}"))
}

/// The same with its keys in the order of the alphabet, however this program was built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_file_is_what_the_compose_file_makes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let found = fs::read_to_string(root.join(TO)).unwrap_or_default();
        assert!(found == from_folder(&root).unwrap(), "{TO} is out of date: run `cargo xtask stack`");
    }

    #[test]
    fn a_key_that_nobody_has_thought_of_is_refused() {
        let compose = "services: {codex-0: {image: a, devices: [b]}}\nvolumes: {}\nsecrets: {}\n";
        let refused = format!("{:#}", stack(compose).unwrap_err());
        assert!(refused.contains("codex-0") && refused.contains("devices"), "{refused}");
    }
}
