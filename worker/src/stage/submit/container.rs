//! The agent's container, and its start.

use std::{collections::BTreeMap, io::Write, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use moorline_telemetry::{
    step,
    trace::{self, Place},
};
use secrecy::SecretString;

use super::{AtWork, Submit, log};
use crate::{
    collect,
    engine::{ContainerSpec, Limits, VolumeMount},
    git::Base,
    stage::{Context, Error, Leg, attempt, running::Running},
    told::Told,
    volume::guard::{Kind, Mode, Use},
};

/// What lies between the agent's own limit and the stage's deadline, so that the limit comes first. Once the agent has ended there is no
/// deadline: its log and patch are stored whenever the server takes them.
pub const AFTERWARDS: Duration = Duration::from_secs(60);

impl Submit<'_> {
    /// Starts the agent. From here on another process of this worker could go on.
    pub(super) async fn start(&self, base: &Base, prompt: &str, capacity: u32, place: &Place) -> Result<(Running, AtWork), Error> {
        let ctx = self.ctx;
        if ctx.stop.is_cancelled() {
            return Err(Error::Stopped("not_started"));
        }
        self.write_prompt(prompt).map_err(|error| self.unusable(&error))?;
        let started = ctx.engine.start(&self.container(capacity, place)).await;
        let running = Running::new(ctx, started.map_err(|error| self.engine_fault(&error))?);
        let at_work = AtWork::new(ctx, base, self.leg, self.output_before);
        // Not before the start: a container that was made and never started would look like one that has ended. A shadow's is nobody's to go on with.
        if self.leg != Leg::Shadow
            && let Err(error) = at_work.write(&ctx.folder)
        {
            running.end().await;
            return Err(self.unusable(&error));
        }
        let told = self.told();
        step!(info, told.about(), status = "agent_started"; "agent started");
        let at = &base.commit[..base.commit.len().min(12)];
        ctx.outlet
            .progress(&format!("{} works on {} at {at}", self.agent.name(), base.branch))
            .await;
        Ok((running, at_work))
    }

    /// What lines about the agent bear: it is started after a check only.
    pub(super) fn told(&self) -> Told {
        let told = Told::of(&self.ctx.offer, &self.ctx.config.name);
        told.checked_before();
        told
    }

    fn container(&self, capacity: u32, place: &Place) -> ContainerSpec {
        let (ctx, config, folder) = (self.ctx, &self.ctx.config, &self.ctx.folder);
        let agent_home = folder.home.join(self.agent.home_folder());
        let text = |path: &std::path::Path| SecretString::from(path.display().to_string());
        let mut env = BTreeMap::from([
            ("LANG".to_owned(), SecretString::from("C.UTF-8")),
            // Nobody could answer.
            ("GIT_TERMINAL_PROMPT".to_owned(), SecretString::from("0")),
        ]);
        env.extend(self.agent.environment());
        env.extend(self.agent.work_environment(&folder.home));
        env.extend([
            ("HOME".to_owned(), text(&folder.home)),
            (self.agent.home_variable().to_owned(), text(&agent_home)),
        ]);
        if !place.is_none() {
            env.insert(trace::VARIABLE.to_owned(), SecretString::from(place.to_string()));
        }
        ContainerSpec {
            name: self.leg.container(&ctx.offer.job_id, ctx.offer.lease_token),
            image: config.job_image.clone(),
            argv: self.guarded(&agent_home, capacity),
            env,
            labels: labels(ctx, self.leg, self.volume.as_deref()),
            run_dir: Some(folder.root.clone()),
            workdir: Some(folder.repo.clone()),
            volume: self.volume.clone().map(|volume| VolumeMount {
                volume,
                target: agent_home,
                read_only: false,
            }),
            limits: Limits {
                memory_bytes: config.job_memory_bytes,
                cpu_millis: config.job_cpu_millis,
                pids: config.job_pids,
                time: time_left(ctx),
            },
            network: config.job_network.clone(),
            stdin: Some(folder.root.join("prompt.md")),
            stdout: Some(log::raw(folder)),
            stderr: Some(log::stderr(folder)),
        }
    }

    /// The agent under the lock of its volume; as it is where there is none.
    fn guarded(&self, agent_home: &Path, capacity: u32) -> Vec<String> {
        let (ctx, folder) = (self.ctx, &self.ctx.folder);
        let argv = self.agent.work_command(&folder.repo, &folder.home);
        if self.volume.is_none() {
            return argv;
        }
        let id = format!("{}-{}", ctx.offer.job_id, ctx.offer.lease_token);
        let mut lock = Use::new(id, Kind::Agent, self.generation(), &ctx.config.name);
        if capacity > 1 {
            lock.mode = Mode::Shared;
        }
        lock.guard(agent_home, argv)
    }

    fn write_prompt(&self, prompt: &str) -> std::io::Result<()> {
        // Made anew or not at all: nothing that is there already is written through.
        let mut file = std::fs::File::create_new(self.ctx.folder.root.join("prompt.md"))?;
        // The job user reads it, whatever the worker's umask; the folder around it keeps others out.
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.write_all(prompt.as_bytes())
    }
}

/// What is left of the job's time, less what comes after the agent: its own limit should be what ends it, with its log stored,
/// rather than the worker's.
pub(super) fn time_left(ctx: &Context) -> Duration {
    let left = attempt::left(ctx);
    left - AFTERWARDS.min(left / 10)
}

/// Labels that name run, job, attempt, lease and leg.
pub(crate) fn labels(ctx: &Context, leg: Leg, volume: Option<&str>) -> BTreeMap<String, String> {
    let label = |name: &str, value: String| (format!("moorline.{name}"), value);
    BTreeMap::from([
        label("run", ctx.offer.run_id.clone()),
        label("job", ctx.offer.job_id.clone()),
        label("attempt", ctx.offer.attempt.to_string()),
        label("lease", ctx.offer.lease_token.to_string()),
        label("volume", volume.unwrap_or_default().to_owned()),
        label("worker", ctx.config.name.clone()),
        (Leg::LABEL.to_owned(), leg.name().to_owned()),
        (collect::ROOT.to_owned(), ctx.config.work_root.display().to_string()),
    ])
}
