//! The skills of the root: the one that every worker with an agent needs, and the others.

use std::sync::Arc;

use moorline_proto::v1::StartupCheck;
use tokio::time::Instant;

use super::{Check, kind::Kind, missing, passed};
use crate::{
    config::Config,
    engine::Engine,
    redact::one_line,
    skill::{Error, Found, MIRRORS, Registry},
};

/// The skill that carries stages where no other is chosen.
const NEEDED: &str = "speckit";

/// Longest that is said of all skills together, in characters.
const SAID: usize = 2000;

/// Looks at all of them. Only the one that is needed stops a start, and only that of a worker with an agent.
pub(super) async fn check(config: &Config, engine: &Arc<dyn Engine>, kind: Kind) -> (Vec<Check>, Arc<Registry>) {
    let began = Instant::now();
    let registry = Registry::scan(config, engine).await;
    let took = began.elapsed();
    for (name, found) in registry.found() {
        let remarks = found.remarks.iter();
        remarks.for_each(|remark| tracing::warn!(skill = %name, %remark, "a skill is odd"));
    }
    let mut checks = Vec::new();
    if kind != Kind::Default {
        checks.push(Check::new(needed(config, &registry), took));
    }
    checks.extend(others(&registry, kind).map(|check| Check::new(check, took).stopping(false)));
    (checks, Arc::new(registry))
}

fn needed(config: &Config, registry: &Registry) -> StartupCheck {
    let name = "speckit_skill";
    match registry.get(NEEDED) {
        Ok(skill) => passed(
            name,
            format!("{} in {}", [NEEDED, &skill.version].join(" ").trim(), registry.root().display()),
        ),
        Err(error @ Error::Invalid { .. }) => missing(name, error.to_string()),
        Err(Error::Missing { place, .. }) => missing(
            name,
            format!(
                "the skill {NEEDED} is not in {place}: take a job image that has it (now {}; with local processes it is this machine), put it into \
                 {} and {} there, or set MOORLINE_SKILLS_ROOT to the folder that has these",
                config.job_image, MIRRORS[0], MIRRORS[1]
            ),
        ),
    }
}

/// What is said of those that a worker can do without; nothing where there is nothing to say.
fn others(registry: &Registry, kind: Kind) -> Option<StartupCheck> {
    let name = "skills";
    if let Some(trouble) = registry.trouble() {
        let root = registry.root().display();
        // Of a worker with an agent that is said of the one that it needs.
        return (kind == Kind::Default).then(|| missing(name, format!("the worker's root {root} could not be looked through ({trouble})")));
    }
    let told = |(_, found): &(&String, &Found)| kind == Kind::Default || found.skill.name != NEEDED;
    let all: Vec<(&String, &Found)> = registry.found().iter().filter(told).collect();
    let broken = all.iter().filter(|(_, found)| !found.is_ready());
    let broken: Vec<String> = broken.map(|(name, found)| format!("{name}: {}", found.told().join("; "))).collect();
    if !broken.is_empty() {
        return Some(missing(name, one_line(&broken.join(" | "), SAID)));
    }
    let ready: Vec<String> = all
        .iter()
        .map(|(name, found)| format!("{name} {}", found.skill.version).trim().to_owned())
        .collect();
    match (ready.is_empty(), kind) {
        (false, _) => Some(passed(name, one_line(&ready.join(", "), SAID))),
        (true, Kind::Default) => Some(missing(
            name,
            format!(
                "there are none in {} where jobs run: stages that go by skills are left to other workers; set MOORLINE_SKILLS_ROOT, or take a job image \
                 that has some",
                registry.root().display()
            ),
        )),
        (true, _) => None,
    }
}
