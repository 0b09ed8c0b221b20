//! One small real call: the only proof that a login works.

use std::path::Path;

use crate::{
    agent::{Agent, Fault, Transcript},
    config::Config,
    engine::{Engine, Error},
    volume::{Place, guard::Kind},
};

/// Runs the call in an empty folder that is gone afterwards, where the agent's databases go as well.
const SCRIPT: &str = r#"
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'cd / && rm -rf "$dir"' EXIT
trap 'exit 143' TERM INT HUP
HOME=$dir CODEX_SQLITE_HOME=$dir TZ=UTC
export HOME CODEX_SQLITE_HOME TZ
"$@"
"#;

/// Makes the call, with the network of jobs. What it shows of the login is not noted yet.
pub(super) async fn make(
    engine: &dyn Engine,
    agent: &dyn Agent,
    config: &Config,
    place: &Place,
    generation: i64,
) -> Result<Result<(), Fault>, Error> {
    let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    argv.extend(agent.probe_command());
    let mut spec = place.command(config, agent, Kind::Probe, generation, argv);
    spec.network = config.job_network.clone();
    let captured = place.run(engine, &spec, None).await?;
    let mut transcript = Transcript::default();
    for line in captured.stdout.lines() {
        agent.read_line(line, Path::new("/"), &mut transcript);
    }
    let verdict = agent.verdict(captured.exit, &transcript, &captured.stderr);
    // It may have worked with a token that is about to run out.
    Ok(verdict.and_then(|()| agent.refresh_fault(&captured.stderr).map_or(Ok(()), Err)))
}
