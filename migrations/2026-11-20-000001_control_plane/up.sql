-- All state of the control plane. Status columns are text with a CHECK; a test compares each with its Rust enum.
-- Every constraint has a name: the server turns names into messages for people.

-- One row: how new runs are routed. A run keeps the modulo that it was routed with.
create table routing_settings (
    id boolean not null default true,
    hash_modulo integer not null,
    updated_at timestamptz not null default now(),
    constraint routing_settings_pkey primary key (id),
    constraint routing_settings_one_row check (id),
    constraint routing_settings_hash_modulo_check check (hash_modulo >= 1)
);

create table workers (
    name text not null,
    hostname text not null,
    version text not null,
    queues text[] not null,
    slots integer not null,
    profile jsonb not null default '{}',
    created_at timestamptz not null default now(),
    last_heartbeat_at timestamptz not null default now(),
    constraint workers_pkey primary key (name)
);

-- One row per worker process. Narrow, and its lease is in no index, so that a renewal is a HOT update of one short row.
create table worker_instances (
    id uuid not null,
    worker_name text not null,
    lease_expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint worker_instances_pkey primary key (id),
    constraint worker_instances_worker_name_fkey foreign key (worker_name) references workers (name)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index worker_instances_worker_name_idx on worker_instances (worker_name);

-- One row per stream that a worker has had; history for operators.
create table worker_sessions (
    id uuid not null,
    instance_id uuid not null,
    server_id uuid not null,
    connected_at timestamptz not null default now(),
    ended_at timestamptz,
    end_reason text,
    constraint worker_sessions_pkey primary key (id),
    constraint worker_sessions_instance_id_fkey foreign key (instance_id) references worker_instances (id) on delete cascade,
    constraint worker_sessions_end_check check ((ended_at is null) = (end_reason is null))
);
create index worker_sessions_instance_id_idx on worker_sessions (instance_id);

create table auth_volumes (
    name text not null,
    provider text not null,
    status text not null default 'needs_auth',
    worker_affinity text,
    owner_instance_id uuid,
    generation bigint not null default 0,
    last_verified_at timestamptz,
    diagnostics jsonb,
    notes text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint auth_volumes_pkey primary key (name),
    constraint auth_volumes_name_check check (name <> ''),
    constraint auth_volumes_provider_check check (provider in ('codex', 'gemini')),
    constraint auth_volumes_status_check check (status in ('needs_auth', 'ready', 'error')),
    constraint auth_volumes_ready_check check (status <> 'ready' or last_verified_at is not null),
    constraint auth_volumes_owner_instance_id_fkey foreign key (owner_instance_id) references worker_instances (id) on delete set null
);

create table shards (
    queue_name text not null,
    shard_index integer not null,
    volume_name text not null,
    status text not null default 'offline',
    hash_modulo integer not null,
    worker_hostname text,
    last_heartbeat_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint shards_pkey primary key (queue_name),
    constraint shards_shard_index_key unique (shard_index),
    constraint shards_volume_name_key unique (volume_name),
    constraint shards_volume_name_fkey foreign key (volume_name) references auth_volumes (name),
    constraint shards_status_check check (status in ('offline', 'draining', 'active')),
    constraint shards_hash_modulo_check check (hash_modulo >= 1)
);

create table runs (
    id uuid not null,
    repository text not null,
    feature_key text not null,
    affinity_key text not null,
    status text not null default 'pending',
    phase text not null default 'discover',
    branch_name text not null,
    pr_url text,
    base_ref text,
    task_id text,
    codex_task_id text,
    codex_queue text,
    codex_volume text,
    codex_shard_index integer,
    hash_modulo integer,
    codex_preflight_status text,
    codex_preflight_message text,
    codex_logs_path text,
    codex_patch_path text,
    artifacts_path text not null,
    force_phase text,
    agent text not null default 'codex',
    requested_by text not null,
    notes text not null default '',
    idempotency_key text,
    options jsonb not null default '{}',
    last_event_sequence bigint not null default 0,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint runs_pkey primary key (id),
    constraint runs_affinity_key_check check (affinity_key <> ''),
    constraint runs_status_check check (status in ('pending', 'running', 'succeeded', 'failed', 'no_work', 'cancelled', 'retrying')),
    constraint runs_phase_check check (phase in ('discover', 'submit', 'publish', 'complete')),
    constraint runs_force_phase_check check (force_phase in ('discover', 'submit', 'publish')),
    constraint runs_agent_check check (agent in ('codex', 'gemini')),
    constraint runs_codex_preflight_status_check check (codex_preflight_status in ('passed', 'failed', 'skipped')),
    constraint runs_preflight_message_check check (codex_preflight_status is distinct from 'failed' or coalesce(codex_preflight_message, '') <> ''),
    constraint runs_preflight_length_check check (char_length(codex_preflight_message) <= 512),
    constraint runs_submit_route_check check (phase <> 'submit' or (codex_queue is not null and codex_volume is not null)),
    constraint runs_finished_at_check check ((status in ('succeeded', 'failed', 'no_work', 'cancelled')) = (finished_at is not null)),
    constraint runs_hash_modulo_check check (hash_modulo >= 1)
) with (fillfactor = 70);
-- One open run per feature: a second is refused with the first one's id.
create unique index runs_one_open_per_feature on runs (repository, feature_key) where status in ('pending', 'running', 'retrying');
create unique index runs_idempotency_key_key on runs (idempotency_key) where idempotency_key is not null;
create index runs_created_at_idx on runs (created_at desc, id desc);
create index runs_codex_queue_idx on runs (codex_queue, created_at desc);
create index runs_feature_idx on runs (repository, feature_key, created_at desc);

-- The fence: every claim of a job takes the next token.
create sequence lease_tokens as bigint;

create table jobs (
    id uuid not null,
    run_id uuid not null,
    stage text not null,
    attempt integer not null,
    queue text not null,
    status text not null default 'queued',
    hold_reason text,
    priority integer not null default 0,
    not_before timestamptz not null default now(),
    lease_instance_id uuid,
    lease_token bigint,
    lease_expires_at timestamptz,
    worker_name text,
    last_report_sequence bigint not null default 0,
    cancel_requested_at timestamptz,
    cancel_reason text,
    payload jsonb not null default '{}',
    result jsonb,
    failure jsonb,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    constraint jobs_pkey primary key (id),
    constraint jobs_run_id_stage_attempt_key unique (run_id, stage, attempt),
    constraint jobs_run_id_fkey foreign key (run_id) references runs (id) on delete cascade,
    constraint jobs_stage_check check (stage in ('discover', 'submit', 'publish')),
    constraint jobs_attempt_check check (attempt >= 1),
    constraint jobs_queue_check check (queue <> ''),
    constraint jobs_status_check check (status in ('queued', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')),
    constraint jobs_hold_reason_check check (hold_reason in ('SHARD_DRAINING', 'SHARD_OFFLINE', 'WAITING_AUTH', 'COOLING_DOWN')),
    constraint jobs_held_is_queued_check check (hold_reason is null or status = 'queued'),
    constraint jobs_lease_check check ((lease_instance_id is null) or (lease_token is not null)),
    constraint jobs_running_has_lease_check check (status <> 'running' or lease_instance_id is not null),
    constraint jobs_failure_check check ((status = 'failed') = (failure is not null)),
    constraint jobs_finished_at_check check ((status in ('queued', 'running')) = (finished_at is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- What can be claimed, in the order of claiming. A job that is offered or held isn't in it.
create index jobs_claim_idx on jobs (queue, priority desc, id)
    where status = 'queued' and lease_instance_id is null and hold_reason is null;
create index jobs_leased_idx on jobs (lease_instance_id) where lease_instance_id is not null and status in ('queued', 'running');
create index jobs_open_idx on jobs (queue, status) where status in ('queued', 'running');

create table preflights (
    id uuid not null,
    volume_name text not null,
    queue text not null,
    worker_name text not null,
    run_id uuid,
    status text not null,
    rung text,
    message text not null,
    exit_code integer,
    duration_ms bigint not null,
    checked_at timestamptz not null default now(),
    constraint preflights_pkey primary key (id),
    constraint preflights_run_id_fkey foreign key (run_id) references runs (id) on delete cascade,
    constraint preflights_status_check check (status in ('passed', 'failed', 'skipped')),
    constraint preflights_rung_check check (rung in ('VOLUME_MISSING', 'UNREADABLE', 'CORRUPT', 'NOT_LOGGED_IN', 'EXPIRED', 'REVOKED',
        'RATE_LIMITED', 'ENVIRONMENT_BROKEN', 'TIMED_OUT', 'UNKNOWN', 'PRESENT', 'UNEXPIRED', 'PROVEN')),
    constraint preflights_message_check check (char_length(message) <= 512 and (status <> 'failed' or message <> ''))
);
create index preflights_volume_name_idx on preflights (volume_name, checked_at desc);
create index preflights_run_id_idx on preflights (run_id, checked_at desc);

create table artifacts (
    id uuid not null,
    run_id uuid not null,
    job_id uuid not null,
    type text not null,
    path text not null,
    content_type text not null,
    size_bytes bigint not null,
    digest text not null,
    created_at timestamptz not null default now(),
    constraint artifacts_pkey primary key (id),
    constraint artifacts_run_id_fkey foreign key (run_id) references runs (id) on delete cascade,
    constraint artifacts_job_id_fkey foreign key (job_id) references jobs (id) on delete cascade,
    constraint artifacts_job_id_type_digest_key unique (job_id, type, digest),
    constraint artifacts_path_key unique (path),
    constraint artifacts_type_check check (type in ('codex_logs', 'codex_patch', 'apply_output', 'push_log', 'pr_response', 'run_summary', 'retry_context')),
    constraint artifacts_size_bytes_check check (size_bytes >= 0),
    constraint artifacts_digest_check check (digest ~ '^[0-9a-f]{64}$')
);
create index artifacts_run_id_idx on artifacts (run_id, created_at);

-- Output of jobs as the workers send it, by byte offset: a piece that is sent twice is stored once.
create table job_logs (
    job_id uuid not null,
    byte_offset bigint not null,
    content bytea not null,
    created_at timestamptz not null default now(),
    constraint job_logs_pkey primary key (job_id, byte_offset),
    constraint job_logs_job_id_fkey foreign key (job_id) references jobs (id) on delete cascade,
    constraint job_logs_byte_offset_check check (byte_offset >= 0)
);

create table credential_audits (
    id uuid not null,
    run_id uuid not null,
    codex_status text,
    github_status text,
    checked_at timestamptz not null default now(),
    notes text not null default '',
    constraint credential_audits_pkey primary key (id),
    constraint credential_audits_run_id_fkey foreign key (run_id) references runs (id) on delete cascade,
    constraint credential_audits_codex_status_check check (codex_status in ('valid', 'invalid', 'expires_soon')),
    constraint credential_audits_github_status_check check (github_status in ('valid', 'invalid', 'scope_missing'))
);
create index credential_audits_run_id_idx on credential_audits (run_id, checked_at desc);

-- Numbered per run under the run's row lock: a global sequence commits out of order, and a watcher would skip events.
create table run_events (
    run_id uuid not null,
    sequence bigint not null,
    kind text not null,
    body jsonb not null,
    created_at timestamptz not null default now(),
    constraint run_events_pkey primary key (run_id, sequence),
    constraint run_events_run_id_fkey foreign key (run_id) references runs (id) on delete cascade,
    constraint run_events_sequence_check check (sequence >= 1)
);

-- The last wall of the state machine: no other step is possible, whoever asks. A test walks every pair against the Rust enum.
create function runs_guard() returns trigger language plpgsql as $$
begin
    if old.status in ('succeeded', 'no_work', 'cancelled') then
        raise exception 'run % has ended and is frozen', old.id using errcode = 'check_violation', constraint = 'runs_frozen';
    end if;
    if new.status <> old.status and (old.status, new.status) not in (
        ('pending', 'running'), ('pending', 'failed'), ('pending', 'cancelled'),
        ('running', 'succeeded'), ('running', 'failed'), ('running', 'no_work'), ('running', 'cancelled'),
        ('failed', 'retrying'),
        ('retrying', 'running'), ('retrying', 'failed'), ('retrying', 'cancelled'))
    then
        raise exception 'a run cannot go from % to %', old.status, new.status using errcode = 'check_violation', constraint = 'runs_status_step';
    end if;
    if new.branch_name <> old.branch_name and (old.phase in ('publish', 'complete') or old.status = 'failed') then
        raise exception 'the branch of run % is settled', old.id using errcode = 'check_violation', constraint = 'runs_branch_settled';
    end if;
    return new;
end $$;
create trigger runs_guard before update on runs for each row execute function runs_guard();

create function jobs_guard() returns trigger language plpgsql as $$
begin
    if new.status <> old.status and (old.status, new.status) not in (
        ('queued', 'running'), ('queued', 'failed'), ('queued', 'skipped'), ('queued', 'cancelled'),
        ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'))
    then
        raise exception 'a job cannot go from % to %', old.status, new.status using errcode = 'check_violation', constraint = 'jobs_status_step';
    end if;
    if new.lease_token < old.lease_token then
        raise exception 'the lease token of job % cannot go back', old.id using errcode = 'check_violation', constraint = 'jobs_lease_token_grows';
    end if;
    return new;
end $$;
create trigger jobs_guard before update on jobs for each row execute function jobs_guard();
