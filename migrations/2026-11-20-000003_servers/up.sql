-- Several servers share one database: who they are, and what they ask of each other's workers.

-- One row per live server, renewed about once a second. A server that finds its row gone was declared dead: others may have taken its
-- workers' sessions out, so it sends its workers to dial again.
create table servers (
    id uuid not null,
    hostname text not null,
    address text not null,
    started_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    constraint servers_pkey primary key (id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- A session that was redirected stays open for a moment: its worker is expected on another server, and loses nothing until then.
alter table worker_sessions
    add column hostname text not null default '',
    add column draining_at timestamptz,
    add column redirected_at timestamptz;
create index worker_sessions_open_idx on worker_sessions (instance_id) where ended_at is null;
create index worker_sessions_redirected_idx on worker_sessions (redirected_at) where ended_at is null and redirected_at is not null;

-- What is asked of a worker's process beside its jobs. The server that holds its stream picks the row up, once per session, until it is
-- answered or has expired. `session_id` restricts it to one session.
create table worker_commands (
    id uuid not null,
    instance_id uuid not null,
    session_id uuid,
    kind text not null,
    body jsonb not null,
    requested_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    delivered_to uuid,
    delivered_at timestamptz,
    finished_at timestamptz,
    result jsonb,
    constraint worker_commands_pkey primary key (id),
    constraint worker_commands_instance_id_fkey foreign key (instance_id) references worker_instances (id) on delete cascade,
    constraint worker_commands_kind_check check (kind in ('check_volume', 'drain', 'probe', 'replace')),
    constraint worker_commands_delivered_check check ((delivered_at is null) = (delivered_to is null)),
    constraint worker_commands_result_check check ((finished_at is null) = (result is null))
);
create index worker_commands_open_idx on worker_commands (instance_id) where finished_at is null;
