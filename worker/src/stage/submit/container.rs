//! The agent's container, and its start.

use std::{collections::BTreeMap, io::Write, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use moorline_proto::v1;
use secrecy::SecretString;

use super::{AtWork, Submit, log, prompt, running::Running};
use crate::{
    engine::{ContainerSpec, Limits, VolumeMount},
    git::Base,
    stage::Error,
    volume::guard::{Kind, Mode, Use},
};

/// Longest time of the agent where the offer names none.
const LONGEST: Duration = Duration::from_secs(7200);
/// What lies between the agent's own limit and the stage's deadline, so that the limit comes first. Once the agent has ended there is no
/// deadline: its log and patch are stored whenever the server takes them.
pub const AFTERWARDS: Duration = Duration::from_secs(60);

impl Submit<'_> {
    /// Starts the agent. From here on another process of this worker could go on.
    pub(super) async fn start(&self, base: &Base, phase: &v1::TaskPhase, capacity: u32) -> Result<(Running, AtWork), Error> {
        let ctx = self.ctx;
        if ctx.stop.is_cancelled() {
            return Err(Error::Stopped("not_started"));
        }
        self.write_prompt(&prompt::write(&self.spec.feature_key, phase))
            .map_err(|error| self.unusable(&error))?;
        let started = ctx.engine.start(&self.container(capacity)).await;
        let running = Running::new(ctx, started.map_err(|error| self.engine_fault(&error))?);
        let at_work = AtWork::new(ctx.offer.lease_token, base, self.began.clone());
        // Not before the start: a container that was made and never started would look like one that has ended.
        if let Err(error) = at_work.write(&ctx.folder) {
            running.end().await;
            return Err(self.unusable(&error));
        }
        let at = &base.commit[..base.commit.len().min(12)];
        ctx.outlet
            .progress(&format!("{} works on {} at {at}", self.agent.name(), base.branch))
            .await;
        Ok((running, at_work))
    }

    fn container(&self, capacity: u32) -> ContainerSpec {
        let (ctx, config, folder) = (self.ctx, &self.ctx.config, &self.ctx.folder);
        let agent_home = folder.home.join(self.agent.home_folder());
        let text = |path: &std::path::Path| SecretString::from(path.display().to_string());
        let label = |name: &str, value: String| (format!("moorline.{name}"), value);
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
        ContainerSpec {
            name: format!("moorline-{}-{}", ctx.offer.job_id, ctx.offer.lease_token),
            image: config.job_image.clone(),
            argv: self.guarded(&agent_home, capacity),
            env,
            labels: BTreeMap::from([
                label("run", ctx.offer.run_id.clone()),
                label("job", ctx.offer.job_id.clone()),
                label("attempt", ctx.offer.attempt.to_string()),
                label("lease", ctx.offer.lease_token.to_string()),
                label("volume", self.volume.clone().unwrap_or_default()),
                label("worker", config.name.clone()),
            ]),
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
                time: self.agent_time(),
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

    /// What is left of the job's time, less what comes after the agent: its own limit should be what ends it, with its log stored,
    /// rather than the worker's.
    fn agent_time(&self) -> Duration {
        let offered = self.ctx.offer.timeout.and_then(|timeout| Duration::try_from(timeout).ok());
        let all = offered.filter(|timeout| !timeout.is_zero()).unwrap_or(LONGEST);
        let left = all.saturating_sub(self.began.elapsed().unwrap_or_default());
        left - AFTERWARDS.min(left / 10)
    }

    fn write_prompt(&self, prompt: &str) -> std::io::Result<()> {
        // Made anew or not at all: nothing that is there already is written through.
        let mut file = std::fs::File::create_new(self.ctx.folder.root.join("prompt.md"))?;
        // The job user reads it, whatever the worker's umask; the folder around it keeps others out.
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.write_all(prompt.as_bytes())
    }
}
