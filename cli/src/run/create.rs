//! `moorline run create`.

use std::time::Duration;

use moorline_proto::v1::{self, run_service_client::RunServiceClient};
use moorline_telemetry::trace::{HEADER, Kind, Place, Span};
use tonic::{Request, Status, transport::Channel};

use crate::{
    args::{Global, one_of},
    client,
    console::{Console, Format},
    error::Error,
    exit::Exit,
    resume::Reconnect,
    run::{answered, watch},
    skill::choice,
    time, view,
};

/// Start a run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `owner/name`, or a git URL.
    #[arg(long, short)]
    repository: String,
    /// Folder under `specs/` that holds the task list.
    #[arg(long, short, value_name = "KEY")]
    feature: String,
    /// Chooses the shard; made of repository, feature and task when not given.
    #[arg(long, value_name = "KEY")]
    affinity_key: Option<String>,
    /// Branch to start from; the remote's HEAD when not given.
    #[arg(long, value_name = "BRANCH")]
    base_ref: Option<String>,
    /// Your own name for the task.
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
    /// Queue for the agent's work, instead of the one that the hash chooses.
    #[arg(long)]
    queue: Option<String>,
    /// Run one phase alone.
    #[arg(long, value_name = "PHASE", value_parser = one_of::<v1::Phase, 3>(["discover", "submit", "publish"]))]
    force_phase: Option<v1::Phase>,
    /// Agent that does the work [default: codex].
    #[arg(long, value_parser = one_of::<v1::Agent, 2>(["codex", "gemini"]))]
    agent: Option<v1::Agent>,
    /// Free text, stored with the run.
    #[arg(long)]
    notes: Option<String>,
    /// Makes the request safe to repeat: the same key and content give the same run.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Higher goes first within a queue, -100 to 100.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: i32,
    /// What to do while the shard takes no work [default: wait].
    #[arg(long, value_name = "POLICY", value_parser = one_of::<v1::ShardUnavailablePolicy, 2>(["wait", "refuse"]))]
    on_shard_unavailable: Option<v1::ShardUnavailablePolicy>,
    /// What to do when the shard's login is bad [default: fail].
    #[arg(long, value_name = "POLICY", value_parser = one_of::<v1::AuthFailurePolicy, 2>(["fail", "wait"]))]
    on_auth_failure: Option<v1::AuthFailurePolicy>,
    /// Longest time that the agent may take, such as 30m; the server's default when not given.
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    agent_timeout: Option<Duration>,
    /// Offer it to no worker before this time, such as 2026-01-02T03:04:05Z, or 2h from now.
    #[arg(long, value_name = "TIME", value_parser = time::parse_start)]
    not_before: Option<prost_types::Timestamp>,
    /// Fail it when a job has waited this long for a worker, such as 30m; the server's default when not given.
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    queue_timeout: Option<Duration>,
    /// Skill for a stage, in place of the one that the policy names; can be given for each.
    #[arg(long = "skill", value_name = "STAGE=SKILL", value_parser = choice::parse)]
    skills: Vec<v1::StageSkill>,
    /// Follow the run until it ends, as `run watch` does.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    reconnect: Reconnect,
}

/// Starts a run.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut runs = client::runs(global)?;
    let answer = create(&mut runs, request(args)?).await?;
    let run = answered(answer.run)?;
    let run_id = run.run_id.clone();

    if answer.already_existed {
        console.note(format!("Run {run_id} exists already, made with the same idempotency key."))?;
    } else {
        console.note(format!("Run {run_id} is created."))?;
    }
    if args.watch {
        return watch::watch(&mut runs, &run_id, 0, args.reconnect, console).await;
    }
    console.show(&view::CreatedRun {
        run,
        already_existed: answer.already_existed,
    })?;
    if console.format == Format::Table {
        console.note(format!("\nFollow it with: moorline run watch {run_id}"))?;
    }
    Ok(Exit::Ok)
}

/// Creates the run as one step of a trace: what happens to the run anywhere hangs below it, or below whoever called this program.
async fn create(runs: &mut RunServiceClient<Channel>, wanted: v1::CreateRunRequest) -> Result<v1::CreateRunResponse, Status> {
    let mut span = Span::begin("moorline run create", Kind::Client, &Place::of_environment());
    let mut request = Request::new(wanted);
    let place = span.place();
    if !place.is_none()
        && let Ok(place) = place.to_string().parse()
    {
        request.metadata_mut().insert(HEADER, place);
    }
    let created = runs.create_run(request).await;
    match &created {
        Ok(answer) => {
            if let Some(run) = &answer.get_ref().run {
                span.set("moorline.run_id", run.run_id.clone());
            }
        }
        Err(status) => span.fail(&format!("{:?}", status.code())),
    }
    Ok(created?.into_inner())
}

fn request(args: &Args) -> Result<v1::CreateRunRequest, Error> {
    let wire = |flag: &str, duration: Option<Duration>| {
        let wire = duration.map(prost_types::Duration::try_from).transpose();
        wire.map_err(|_| Error::Usage(format!("{flag} is too long")))
    };
    Ok(v1::CreateRunRequest {
        repository: args.repository.clone(),
        feature_key: args.feature.clone(),
        affinity_key: args.affinity_key.clone().unwrap_or_default(),
        base_ref: args.base_ref.clone().unwrap_or_default(),
        task_id: args.task_id.clone().unwrap_or_default(),
        codex_queue: args.queue.clone().unwrap_or_default(),
        force_phase: args.force_phase.unwrap_or_default().into(),
        agent: args.agent.unwrap_or_default().into(),
        notes: args.notes.clone().unwrap_or_default(),
        idempotency_key: args.idempotency_key.clone().unwrap_or_default(),
        options: Some(v1::RunOptions {
            priority: args.priority,
            on_shard_unavailable: args.on_shard_unavailable.unwrap_or_default().into(),
            on_auth_failure: args.on_auth_failure.unwrap_or_default().into(),
            agent_timeout: wire("--agent-timeout", args.agent_timeout)?,
            not_before: args.not_before,
            queue_timeout: wire("--queue-timeout", args.queue_timeout)?,
            stage_skills: args.skills.clone(),
        }),
    })
}
