//! Messages as a server sends them, with fixed ids and times.

use moorline_proto::v1::{self, run_event::Event as Kind};
use prost_types::{Duration, Timestamp};

pub const RUN: &str = "019a0000-0000-7000-8000-000000000001";
pub const JOB: &str = "019a0000-0000-7000-8000-0000000000a1";
pub const ARTIFACT: &str = "019a0000-0000-7000-8000-0000000000b1";

/// Some seconds after 2026-01-02 03:04:05 UTC.
pub fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: 1_767_323_045 + seconds,
        nanos: 0,
    })
}

pub fn succeeded() -> v1::Run {
    v1::Run {
        run_id: RUN.into(),
        repository: "acme/site".into(),
        feature_key: "001-login".into(),
        affinity_key: "acme/site|001-login".into(),
        status: v1::RunStatus::Succeeded.into(),
        phase: v1::Phase::Complete.into(),
        branch_name: "moorline/001-login/000000000001".into(),
        pr_url: "https://github.com/acme/site/pull/7".into(),
        base_ref: "main".into(),
        codex_queue: "codex-1".into(),
        codex_volume: "codex_auth_1".into(),
        codex_shard_index: Some(1),
        hash_modulo: Some(3),
        codex_preflight_status: v1::PreflightStatus::Passed.into(),
        codex_preflight_message: "Logged in using ChatGPT".into(),
        agent: v1::Agent::Codex.into(),
        options: Some(v1::RunOptions {
            agent_timeout: Some(Duration { seconds: 1_800, nanos: 0 }),
            on_auth_failure: v1::AuthFailurePolicy::Fail.into(),
            ..Default::default()
        }),
        created_at: at(0),
        started_at: at(1),
        finished_at: at(76),
        updated_at: at(76),
        last_event_sequence: 7,
        skill_policy_version: 3,
        stage_decisions: [v1::Stage::Discover, v1::Stage::Submit, v1::Stage::Publish].map(decision).into(),
        ..Default::default()
    }
}

pub fn failed() -> v1::Run {
    v1::Run {
        run_id: "019a0000-0000-7000-8000-000000000002".into(),
        status: v1::RunStatus::Failed.into(),
        phase: v1::Phase::Submit.into(),
        pr_url: String::new(),
        codex_preflight_status: v1::PreflightStatus::Failed.into(),
        codex_preflight_message: "codex_auth_1 (codex-1, worker w1): not logged in".into(),
        failure: Some(not_logged_in()),
        ..succeeded()
    }
}

pub fn not_logged_in() -> v1::Failure {
    v1::Failure {
        code: "NOT_LOGGED_IN".into(),
        message: "volume codex_auth_1 of shard codex-1 has no login: log in on worker w1\u{1b}[31m".into(),
        class: v1::FailureClass::Login.into(),
        details: [("volume".to_owned(), "codex_auth_1".to_owned())].into(),
    }
}

/// What was decided of a stage that goes by the default skill.
pub fn decision(stage: v1::Stage) -> v1::StageDecision {
    v1::StageDecision {
        stage: stage.into(),
        selected_skill: "speckit".into(),
        execution_path: v1::ExecutionPath::Skill.into(),
        use_skills: true,
        fallback_enabled: true,
        source: v1::SkillSource::Default.into(),
        canary_percent: 100,
        canary_bucket: 42,
        policy_version: 3,
        ..Default::default()
    }
}

/// How that stage went: discover by the skill, submit by the built-in code since the skill failed, publish by the skill and in the shadow.
pub fn execution(stage: v1::Stage) -> v1::StageExecution {
    let fell_back = stage == v1::Stage::Submit;
    let path = if fell_back {
        v1::ExecutionPath::DirectFallback
    } else {
        v1::ExecutionPath::Skill
    };
    let failure = v1::Failure {
        code: "SKILL_FAILED".into(),
        message: "the skill ended with 3\u{1b}[31m".into(),
        class: v1::FailureClass::Job.into(),
        details: Default::default(),
    };
    let shadow = v1::ShadowOutcome {
        execution_path: v1::ExecutionPath::DirectOnly.into(),
        status: v1::ShadowStatus::Drift.into(),
        files: 1,
        artifact_id: ARTIFACT.into(),
        detail: "1 file differs".into(),
        duration_ms: 900,
    };
    v1::StageExecution {
        stage: stage.into(),
        selected_skill: "speckit".into(),
        execution_path: path.into(),
        used_skills: true,
        used_fallback: fell_back,
        shadow_mode_requested: stage == v1::Stage::Publish,
        duration_ms: 9_800,
        skill_failure: fell_back.then_some(failure),
        skill_digest: "5e".repeat(32),
        shadow: (stage == v1::Stage::Publish).then_some(shadow),
    }
}

pub fn jobs() -> Vec<v1::Job> {
    let job = |stage: v1::Stage, queue: &str, worker: &str, result| v1::Job {
        decision: Some(decision(stage)),
        execution: Some(execution(stage)),
        job_id: JOB.into(),
        run_id: RUN.into(),
        stage: stage.into(),
        attempt: 1,
        queue: queue.into(),
        status: v1::JobStatus::Succeeded.into(),
        worker_name: worker.into(),
        result: Some(v1::JobResult { result: Some(result) }),
        created_at: at(0),
        started_at: at(1),
        finished_at: at(11),
        ..Default::default()
    };
    use v1::job_result::Result::{Discover, Publish, Submit};
    vec![
        job(
            v1::Stage::Discover,
            "default",
            "w0",
            Discover(v1::DiscoverResult {
                base_ref: "main".into(),
                base_commit: "c0ffee".into(),
                phase: Some(v1::TaskPhase {
                    number: "2".into(),
                    title: "Foundational".into(),
                    tasks: vec![v1::Task {
                        task_id: "T004".into(),
                        description: "Add a login page".into(),
                        line: 12,
                        ..Default::default()
                    }],
                    depends_on: Vec::new(),
                }),
                checklists: Vec::new(),
            }),
        ),
        job(
            v1::Stage::Submit,
            "codex-1",
            "w1",
            Submit(v1::SubmitResult {
                base_commit: "c0ffee".into(),
                files_changed: 2,
                insertions: 30,
                deletions: 4,
                ..Default::default()
            }),
        ),
        job(
            v1::Stage::Publish,
            "default",
            "w0",
            Publish(v1::PublishResult {
                branch_name: "moorline/001-login/000000000001".into(),
                commit: "deadbeef".into(),
                pr_url: "https://github.com/acme/site/pull/7".into(),
                pr_existed: false,
            }),
        ),
    ]
}

/// The content of the sample artifact is `hello`; its digest is `printf hello | sha256sum`.
pub fn artifact() -> v1::Artifact {
    v1::Artifact {
        artifact_id: ARTIFACT.into(),
        run_id: RUN.into(),
        r#type: v1::ArtifactType::CodexPatch.into(),
        path: format!("{RUN}/submit.patch"),
        content_type: "text/x-diff".into(),
        size_bytes: 5,
        digest: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".into(),
        created_at: at(60),
    }
}

pub fn preflight() -> v1::Preflight {
    v1::Preflight {
        status: v1::PreflightStatus::Passed.into(),
        rung: v1::PreflightRung::Unexpired.into(),
        message: "Logged in using ChatGPT".into(),
        exit_code: Some(0),
        checked_at: at(12),
        duration: Some(Duration {
            seconds: 0,
            nanos: 250_000_000,
        }),
        volume: "codex_auth_1".into(),
        queue: "codex-1".into(),
        worker_name: "w1".into(),
        ..Default::default()
    }
}

/// A check that failed, made for the sample run.
pub fn bad_preflight() -> v1::Preflight {
    v1::Preflight {
        status: v1::PreflightStatus::Failed.into(),
        rung: v1::PreflightRung::RateLimited.into(),
        message: "the account of volume codex_auth_1 (shard codex-1, worker w1) is rate-limited: wait".into(),
        exit_code: Some(1),
        checked_at: at(20),
        retry_after: Some(Duration { seconds: 600, nanos: 0 }),
        run_id: RUN.into(),
        ..preflight()
    }
}

pub fn audit() -> v1::CredentialAudit {
    v1::CredentialAudit {
        codex_status: v1::CodexCredentialStatus::ExpiresSoon.into(),
        github_status: v1::GithubCredentialStatus::ScopeMissing.into(),
        checked_at: at(12),
        notes: "GITHUB_TOKEN of worker w1 may not open pull requests: give it the scope repo\u{1b}[31m".into(),
    }
}

pub fn diagnostics() -> v1::VolumeDiagnostics {
    v1::VolumeDiagnostics {
        volume: "codex_auth_0".into(),
        exists: true,
        driver: "directory".into(),
        owner: "1000:1000".into(),
        mode: "0700".into(),
        credential_bytes: 4_213,
        other_bytes: 12_288,
        credential_mode: "0600".into(),
        credential_modified_at: at(10),
        login_method: "chatgpt".into(),
        token_expires_at: at(3_600),
        session_bytes: 1_258_291,
        log_bytes: 3 << 20,
        free_bytes: 20 << 30,
        quota_bytes: 1 << 30,
        snapshot_at: at(11),
        account_fingerprint: "3f".repeat(32),
        login_fingerprint: "a9".repeat(32),
        mended: vec!["mode of auth.json".into()],
    }
}

/// The volume of the first sample shard, in good health.
pub fn volume() -> v1::AuthVolume {
    v1::AuthVolume {
        name: "codex_auth_0".into(),
        provider: v1::Provider::Codex.into(),
        status: v1::VolumeStatus::Ready.into(),
        worker_affinity: "w0".into(),
        owner_worker: "w0".into(),
        generation: 2,
        last_verified_at: at(12),
        notes: "account of the platform team".into(),
        diagnostics: Some(diagnostics()),
        rung: v1::PreflightRung::Proven.into(),
        capacity: 1,
        fresh_until: at(86_412),
        ..Default::default()
    }
}

pub fn shards() -> Vec<v1::Shard> {
    let active = v1::Shard {
        queue: "codex-0".into(),
        shard_index: Some(0),
        status: v1::ShardStatus::Active.into(),
        hash_modulo: 3,
        worker_name: "w0".into(),
        worker_hostname: "host-a".into(),
        last_heartbeat_at: at(70),
        volume: Some(volume()),
        running_jobs: 1,
        queued_jobs: 4,
        latest_run_id: RUN.into(),
        latest_run_status: v1::RunStatus::Succeeded.into(),
        latest_preflight: Some(preflight()),
        routed: true,
        ..Default::default()
    };
    let held = v1::Shard {
        queue: "codex-1".into(),
        shard_index: Some(1),
        status: v1::ShardStatus::Draining.into(),
        hash_modulo: 3,
        volume: Some(v1::AuthVolume {
            name: "codex_auth_1".into(),
            status: v1::VolumeStatus::Error.into(),
            rung: v1::PreflightRung::RateLimited.into(),
            status_message: "the account of volume codex_auth_1 is rate-limited: wait, or add a shard with another account".into(),
            cooling_until: at(620),
            ..Default::default()
        }),
        queued_jobs: 2,
        latest_preflight: Some(bad_preflight()),
        hold_reason: v1::HoldReason::ShardDraining.into(),
        drain_reason: "new kernel".into(),
        drained_at: at(30),
        ..Default::default()
    };
    vec![active, held]
}

pub fn workers() -> Vec<v1::Worker> {
    let connected = v1::Worker {
        name: "w0".into(),
        status: v1::WorkerStatus::Draining.into(),
        instance_id: "019a0000-0000-7000-8000-0000000000c1".into(),
        hostname: "host-a".into(),
        version: "0.1.0".into(),
        queues: vec!["codex-0".into(), "default".into()],
        slots: 4,
        running_jobs: 1,
        volume: "codex_auth_0".into(),
        server: "host-s 10.0.0.1:7420".into(),
        connected_at: at(0),
        last_heartbeat_at: at(70),
    };
    let away = v1::Worker {
        name: "w1".into(),
        status: v1::WorkerStatus::Away.into(),
        hostname: "host-b".into(),
        version: "0.1.0".into(),
        queues: vec!["default".into()],
        slots: 2,
        last_heartbeat_at: at(12),
        ..Default::default()
    };
    vec![connected, away]
}

/// What the first of them has checked.
pub fn profile() -> v1::StartupProfile {
    let check = |name: &str, ok, detail: &str, millis: i32| v1::StartupCheck {
        name: name.into(),
        ok,
        detail: detail.into(),
        duration: Some(prost_types::Duration {
            seconds: 0,
            nanos: millis * 1_000_000,
        }),
    };
    let tool = |name: &str, version: &str| v1::StartupTool {
        name: name.into(),
        version: version.into(),
        supported: true,
    };
    v1::StartupProfile {
        checks: vec![
            check("engine", true, "docker 20.10.24 (API 1.41)", 4),
            check("codex_login", false, "not logged in\u{1b}[31m", 412),
        ],
        engine: "docker".into(),
        engine_version: "20.10.24 (API 1.41)".into(),
        embedding: Some(v1::StartupEmbedding {
            provider: "google".into(),
            model: "gemini-embedding-001".into(),
            credential_source: "google_api_key".into(),
            dimension: 3072,
            probed: true,
        }),
        tools: vec![tool("codex", "0.163.0"), tool("speckit", "1.2.3")],
        policy: Some(v1::StartupPolicy {
            approval_policy: "never".into(),
            template: "built-in".into(),
        }),
        skills: vec![
            v1::StartupSkill {
                name: "review".into(),
                description: "Looks at a patch.".into(),
                detail: ".agents/skills lacks it: copy it there\u{1b}[31m".into(),
                ..Default::default()
            },
            v1::StartupSkill {
                name: "speckit".into(),
                description: "Works on a feature's folder.".into(),
                version: "1.0.0".into(),
                digest: "5e".repeat(32),
                stages: [v1::Stage::Discover, v1::Stage::Submit]
                    .map(|stage| v1::SkillStage {
                        stage: stage.into(),
                        kind: v1::SkillKind::Executable.into(),
                    })
                    .into(),
                ready: true,
                detail: String::new(),
            },
        ],
    }
}

/// The events of a run that succeeds.
pub fn events() -> Vec<v1::RunEvent> {
    let run = |status: v1::RunStatus, phase: v1::Phase| {
        Kind::RunChanged(v1::RunChanged {
            status: status.into(),
            phase: phase.into(),
            failure: None,
            reason: String::new(),
        })
    };
    let job = |status: v1::JobStatus, hold: v1::HoldReason, worker: &str| {
        Kind::JobChanged(v1::JobChanged {
            job_id: JOB.into(),
            stage: v1::Stage::Submit.into(),
            attempt: 1,
            status: status.into(),
            queue: "codex-1".into(),
            worker_name: worker.into(),
            hold_reason: hold.into(),
            failure: None,
            decision: (status == v1::JobStatus::Queued).then(|| decision(v1::Stage::Submit)),
            execution: None,
        })
    };
    let progress = Kind::Progress(v1::StageProgress {
        job_id: JOB.into(),
        stage: v1::Stage::Submit.into(),
        message: "edits\u{1b}[2J src/login.rs".into(),
    });
    numbered([
        run(v1::RunStatus::Running, v1::Phase::Submit),
        job(v1::JobStatus::Queued, v1::HoldReason::ShardOffline, ""),
        job(v1::JobStatus::Running, v1::HoldReason::Unspecified, "w1"),
        Kind::Preflight(preflight()),
        Kind::CredentialAudit(audit()),
        progress,
        run(v1::RunStatus::Succeeded, v1::Phase::Complete),
    ])
}

/// The only event of a run that ends at once.
pub fn ending(status: v1::RunStatus, failure: Option<v1::Failure>) -> Vec<v1::RunEvent> {
    numbered([Kind::RunChanged(v1::RunChanged {
        status: status.into(),
        phase: v1::Phase::Submit.into(),
        failure,
        reason: String::new(),
    })])
}

fn numbered<const N: usize>(kinds: [Kind; N]) -> Vec<v1::RunEvent> {
    let event = |(sequence, kind)| v1::RunEvent {
        run_id: RUN.into(),
        sequence,
        created_at: at(sequence),
        event: Some(kind),
    };
    (1..).zip(kinds).map(event).collect()
}

/// A version of the policy of skills.
pub fn policy(version: i64) -> v1::SkillPolicy {
    let stage = |stage: v1::Stage, use_skills, skill: &str| v1::StagePolicy {
        stage: stage.into(),
        use_skills,
        skill: skill.to_owned(),
    };
    v1::SkillPolicy {
        version,
        use_skills: true,
        stages: vec![
            stage(v1::Stage::Discover, true, ""),
            stage(v1::Stage::Submit, true, "own"),
            stage(v1::Stage::Publish, false, ""),
        ],
        default_skill: "speckit".to_owned(),
        allowed_skills: vec!["own".to_owned(), "speckit".to_owned()],
        canary_percent: 25,
        shadow_mode: true,
        fallback_enabled: true,
        changed_by: "anonymous".to_owned(),
        reason: "slowly".to_owned(),
        created_at: at(60),
        ..Default::default()
    }
}

/// Two forms of the skills that workers have.
pub fn fleet_skills() -> Vec<v1::FleetSkill> {
    let stage = |stage: v1::Stage| v1::SkillStage {
        stage: stage.into(),
        kind: v1::SkillKind::Executable.into(),
    };
    let speckit = v1::StartupSkill {
        name: "speckit".to_owned(),
        description: "Works through a Spec Kit task list.".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "5e".repeat(32),
        stages: vec![stage(v1::Stage::Discover), stage(v1::Stage::Publish)],
        ready: true,
        detail: String::new(),
    };
    let broken = v1::StartupSkill {
        name: "own".to_owned(),
        version: String::new(),
        ready: false,
        detail: "it isn't in .agents/skills: copy it there".to_owned(),
        ..speckit.clone()
    };
    let form = |skill, workers: &[&str], allowed| v1::FleetSkill {
        skill: Some(skill),
        workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
        allowed,
    };
    vec![form(broken, &["default-2"], false), form(speckit, &["codex-0", "default-1"], true)]
}

/// What would be chosen for a run: one stage settled and recorded, one that hangs on the canary.
pub fn resolutions() -> Vec<v1::StageResolution> {
    let decision = v1::StageDecision {
        stage: v1::Stage::Discover.into(),
        selected_skill: "speckit".to_owned(),
        execution_path: v1::ExecutionPath::Skill.into(),
        use_skills: true,
        fallback_enabled: true,
        source: v1::SkillSource::Default.into(),
        canary_percent: 25,
        canary_bucket: 7,
        policy_version: 4,
        ..Default::default()
    };
    let settled = v1::StageResolution {
        explanation: "discover goes by skill speckit (the default).".to_owned(),
        workers: 2,
        recorded: Some(v1::StageDecision {
            execution_path: v1::ExecutionPath::DirectOnly.into(),
            policy_version: 3,
            ..decision.clone()
        }),
        decision: Some(decision.clone()),
    };
    let open = v1::StageResolution {
        decision: Some(v1::StageDecision {
            stage: v1::Stage::Submit.into(),
            execution_path: v1::ExecutionPath::Unspecified.into(),
            canary_bucket: -1,
            ..decision
        }),
        explanation: "submit goes by skill speckit (the default) for 25 % of runs.".to_owned(),
        workers: 0,
        recorded: None,
    };
    vec![settled, open]
}
