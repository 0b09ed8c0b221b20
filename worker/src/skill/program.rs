//! A skill's program in a container of its own: no login, no network, and nothing but its run's folder.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Duration,
};

use moorline_proto::v1::{self, FailureClass};
use moorline_telemetry::step;
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Skill,
    envelope::{self, LARGEST, Request},
    log::Log,
};
use crate::{
    engine::{self, Container, ContainerSpec, Exit, Limits},
    redact::Redactor,
    stage::{self, Context, End, Error, Fault, Leg, Running, STILL_RUNNING, failure},
    told::Told,
};

/// How often the size of the result is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What is quoted of what it said, in characters.
const SAID: usize = 400;

/// One run of a skill's program.
pub(crate) struct Program<'a> {
    ctx: &'a Context,
    name: &'a str,
    leg: Leg,
    redactor: Redactor,
}

/// Which program it is, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// The skill.
    pub(crate) skill: &'a Skill,
    /// Its program, relative to its folder.
    pub(crate) program: &'a str,
    /// Longest time.
    pub(crate) limit: Duration,
}

impl<'a> Program<'a> {
    /// The program of the skill of that name, in the context's folder.
    pub(crate) fn new(ctx: &'a Context, name: &'a str, leg: Leg) -> Self {
        Self {
            ctx,
            name,
            leg,
            redactor: Redactor::of(&ctx.config),
        }
    }

    /// Runs it to its end and removes its container. Returns the artifacts of its result.
    ///
    /// # Errors
    ///
    /// The codes of skills as [`Fault::Skill`]; those of the engine, and a stop, as [`Fault::Stage`].
    pub(crate) async fn run(&self, entry: Entry<'_>, payload: Value) -> Result<Map<String, Value>, Fault> {
        let container = self.start(entry, payload).await?;
        let done = self.attend(Running::cheap(self.ctx, container.clone()), false).await;
        // One that could not be ended has been told of.
        if !matches!(done, Err(Fault::Stage(Error::Stopped(STILL_RUNNING)))) {
            stage::end(self.ctx.engine.as_ref(), &container, Duration::ZERO).await;
        }
        done
    }

    /// Starts it.
    pub(crate) async fn start(&self, entry: Entry<'_>, payload: Value) -> Result<Container, Fault> {
        let ctx = self.ctx;
        if ctx.stop.is_cancelled() {
            return Err(Error::Stopped("not_started").into());
        }
        let request = Request::new(ctx, self.name, self.leg, payload);
        self.write(&request).map_err(|error| stage::unusable(ctx, &error))?;
        let started = ctx.engine.start(&self.container(entry)).await;
        let container = started.map_err(|error| match error {
            engine::Error::ProgramMissing { .. } => {
                let message = format!(
                    "the skill {} has no program {} that can be run: see that it is there and may be executed",
                    self.name, entry.program
                );
                Fault::of_skill("SKILL_INVALID", message)
            }
            error => stage::of_engine(&error, &self.redactor).into(),
        })?;
        let told = Told::of(&ctx.offer, &ctx.config.name);
        step!(info, told.about(), status = "skill_started", skill = self.name; "skill started");
        Ok(container)
    }

    /// Waits for its end while its log is read and sent, and reads its result. What became of one that was `adopted` may be the machine's fault.
    pub(crate) async fn attend(&self, running: Running, adopted: bool) -> Result<Map<String, Value>, Fault> {
        let ctx = self.ctx;
        let mut log = Log::open(ctx, self.stderr(), self.redactor.clone()).map_err(|error| stage::unusable(ctx, &error))?;
        let (ended, followed) = (CancellationToken::new(), CancellationToken::new());
        let follow = tokio::spawn({
            let (outlet, path, followed) = (ctx.outlet.clone(), Log::path(&ctx.folder), followed.clone());
            async move { outlet.follow_output(&path, followed).await }
        });
        let follow = AbortOnDropHandle::new(follow);
        let waiting = async {
            let exit = running.attend_until(&ctx.stop, self.excess()).await;
            ended.cancel();
            exit
        };
        let (exit, last_words) = tokio::join!(waiting, log.follow(&ended));
        followed.cancel();
        if let Ok(Err(failure)) = follow.await {
            tracing::warn!(code = %failure.code, "the output of a skill's program could not be sent: {}", failure.message);
        }
        let ended = exit.as_ref().ok().copied();
        let told = Told::of(&ctx.offer, &ctx.config.name);
        step!(info, told.about(), status = "skill_ended", skill = self.name, exit = ended.map(|exit| format!("{exit:?}")); "skill ended");
        match (self.judge(exit, &last_words), ended.filter(|_| adopted)) {
            (Err(Fault::Skill(failure)), Some(exit)) => Err(self.blame(failure, exit).await),
            (done, _) => done,
        }
    }

    /// Whose fault the end of an adopted program is. One that the machine took along says nothing of the built-in way, and begins anew.
    async fn blame(&self, mut failure: v1::Failure, exit: Exit) -> Fault {
        let declared = failure.details.contains_key("skill_code");
        match stage::went_with_its_engine(self.ctx.engine.as_ref(), exit, declared).await {
            true => {
                failure.set_class(FailureClass::LostWorker);
                Error::Failed(failure).into()
            }
            false => Fault::Skill(failure),
        }
    }

    /// A result that is another's.
    pub(crate) fn mismatch(&self, field: &str, said: &str, right: &str) -> Fault {
        envelope::mismatch(self.name, field, said, right, &self.redactor)
    }

    /// What its end and its result mean.
    fn judge(&self, exit: Result<Exit, End>, last_words: &str) -> Result<Map<String, Value>, Fault> {
        let name = self.name;
        let failed = |what: String| {
            let said = match self.redactor.line(last_words, SAID) {
                said if said.is_empty() => "it said nothing on standard error".to_owned(),
                said => format!("its last words were `{said}`"),
            };
            let message = format!("the program of the skill {name} {what}; {said}: see its log, mend the skill, then retry the run");
            Err(Fault::of_skill("SKILL_FAILED", message))
        };
        match exit {
            Err(End::Stopped(how)) => Err(Error::Stopped(how).into()),
            Err(End::Engine(error)) => Err(stage::of_engine(&error, &self.redactor).into()),
            Err(end) if end.still_runs() => {
                let message =
                    format!("the container of the skill {name} could not be stopped: mend the engine and remove it, then retry the run");
                Err(Error::Failed(failure("ENGINE_FAILED", FailureClass::Environment, message)).into())
            }
            Err(End::Excess(_)) => Err(self.too_large()),
            Err(End::DiskFull(_)) => failed(format!(
                "took more than {} MiB of the disk and was stopped",
                self.ctx.config.walls.disk_bytes >> 20
            )),
            Ok(Exit::TimedOut) => {
                let message =
                    format!("the program of the skill {name} did not end in its time and was stopped: see its log for what it waits for");
                Err(Fault::of_skill("SKILL_TIMED_OUT", message))
            }
            Ok(Exit::OutOfMemory) => failed("took more memory than it may".to_owned()),
            Ok(Exit::Signal(signal)) => failed(format!("was ended by signal {signal}")),
            Ok(Exit::Code(code)) => {
                let content = match self.read_result() {
                    Ok(content) if content.len() as u64 > LARGEST => return Err(self.too_large()),
                    Ok(content) => content,
                    Err(error) if code == 0 => {
                        return Err(envelope::unfit(name, &format!("there is no regular file in its place ({error})")));
                    }
                    Err(_) => Vec::new(),
                };
                match (code, envelope::read(&content, self.ctx, name, &self.redactor)) {
                    (0, read) => read,
                    // It has said itself what failed, which says more than its code.
                    (_, Err(Fault::Skill(failure))) if failure.code == "SKILL_FAILED" => Err(Fault::Skill(failure)),
                    (code, _) => failed(format!("ended with exit code {code}")),
                }
            }
        }
    }

    fn too_large(&self) -> Fault {
        let message = format!(
            "the program of the skill {} wrote more than {} MiB to standard output and was stopped: let it write its result alone there",
            self.name,
            LARGEST >> 20
        );
        Fault::of_skill("SKILL_RESULT_TOO_LARGE", message)
    }

    /// Passes when it has written more than is read of it.
    async fn excess(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            // Whatever else is in its place by now is seen at the end.
            let size = self.ctx.folder.open(&self.stdout()).and_then(|file| Ok(file.metadata()?.len()));
            if size.is_ok_and(|size| size > LARGEST) {
                return;
            }
        }
    }

    /// One byte more than may be tells of more.
    fn read_result(&self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = self.ctx.folder.open(&self.stdout())?;
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        Ok(content)
    }

    fn write(&self, request: &Request) -> io::Result<()> {
        // Made anew or not at all: nothing that is there already is written through.
        let mut file = std::fs::File::create_new(self.stdin())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.write_all(&serde_json::to_vec_pretty(request)?)
    }

    fn stdin(&self) -> PathBuf {
        self.ctx.folder.root.join("skill-request.json")
    }

    fn stdout(&self) -> PathBuf {
        self.ctx.folder.artifacts.join("skill-result.json")
    }

    fn stderr(&self) -> PathBuf {
        self.ctx.folder.artifacts.join("skill.stderr")
    }

    fn container(&self, entry: Entry<'_>) -> ContainerSpec {
        let (ctx, config, folder) = (self.ctx, &self.ctx.config, &self.ctx.folder);
        let text = |path: &std::path::Path| SecretString::from(path.display().to_string());
        ContainerSpec {
            name: self.leg.container(&ctx.offer.job_id, ctx.offer.lease_token),
            image: config.job_image.clone(),
            argv: vec![entry.skill.folder.join(entry.program).display().to_string()],
            // Nothing of the worker's own: what a program may need comes with the request.
            env: BTreeMap::from([
                ("LANG".to_owned(), SecretString::from("C.UTF-8")),
                ("HOME".to_owned(), text(&folder.home)),
                ("MOORLINE_SKILL_DIR".to_owned(), text(&entry.skill.folder)),
            ]),
            labels: stage::labels(ctx, self.leg, None),
            run_dir: Some(folder.root.clone()),
            workdir: Some(folder.repo.clone()),
            volume: None,
            limits: Limits {
                memory_bytes: config.job_memory_bytes,
                cpu_millis: config.job_cpu_millis,
                pids: config.job_pids,
                time: entry.limit,
            },
            network: "none".to_owned(),
            stdin: Some(self.stdin()),
            stdout: Some(self.stdout()),
            stderr: Some(self.stderr()),
        }
    }
}
