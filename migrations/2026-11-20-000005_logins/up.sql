-- Logins as a leased resource: what is known of each, until when it counts, and a gate that no claim passes without it.

-- `rung` and `status_message` are those of the check that made the status. A job is offered only before `open_until`: set by a passing check
-- to the end of its freshness window, cleared by one that found the login bad, and kept by one that says nothing of the login, such as a time-out.
alter table auth_volumes
    add column rung text,
    add column status_message text not null default '',
    add column open_until timestamptz,
    add column cooling_until timestamptz,
    add column capacity integer not null default 1,
    add column asked_at timestamptz,
    add column reported_at timestamptz,
    add constraint auth_volumes_rung_check check (rung in ('VOLUME_MISSING', 'UNREADABLE', 'CORRUPT', 'NOT_LOGGED_IN', 'EXPIRED', 'REVOKED',
        'RATE_LIMITED', 'ENVIRONMENT_BROKEN', 'TIMED_OUT', 'UNKNOWN', 'PRESENT', 'UNEXPIRED', 'PROVEN', 'DUPLICATE')),
    add constraint auth_volumes_capacity_check check (capacity >= 1);
-- A login that was ready counts as before until its next check.
update auth_volumes set open_until = last_verified_at + interval '24 hours' where status = 'ready';

alter table preflights drop constraint preflights_rung_check;
alter table preflights add constraint preflights_rung_check
    check (rung in ('VOLUME_MISSING', 'UNREADABLE', 'CORRUPT', 'NOT_LOGGED_IN', 'EXPIRED', 'REVOKED', 'RATE_LIMITED', 'ENVIRONMENT_BROKEN',
        'TIMED_OUT', 'UNKNOWN', 'PRESENT', 'UNEXPIRED', 'PROVEN', 'DUPLICATE'));

-- An operator's drain outlasts the worker's stream.
alter table shards
    add column drained_at timestamptz,
    add column drain_reason text not null default '',
    add constraint shards_drain_check check (drained_at is not null or drain_reason = '');

alter table jobs drop constraint jobs_hold_reason_check;
alter table jobs add constraint jobs_hold_reason_check
    check (hold_reason in ('SHARD_DRAINING', 'SHARD_OFFLINE', 'WAITING_AUTH', 'COOLING_DOWN', 'CHECKING_LOGIN'));

-- What waits under another reason than it should is found by this, and what waits under none by jobs_claim_idx.
create index jobs_held_idx on jobs (queue, hold_reason) where finished_at is null and hold_reason is not null;

-- Keyed fingerprints of the logins that a volume has had since somebody last logged it in: a token of one volume, rotated away or not, that
-- turns up in another is the same login. Who had it first keeps it.
create table login_fingerprints (
    fingerprint text not null,
    volume_name text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    constraint login_fingerprints_pkey primary key (fingerprint),
    constraint login_fingerprints_volume_name_fkey foreign key (volume_name) references auth_volumes (name) on delete cascade,
    constraint login_fingerprints_hex_check check (fingerprint ~ '^[0-9a-f]{64}$')
);
create index login_fingerprints_volume_name_idx on login_fingerprints (volume_name);

-- One row: what all servers and workers of a fleet share. The key makes fingerprints of other fleets, and of guesses, useless.
create table fleet_settings (
    id boolean not null default true,
    fingerprint_key bytea not null default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    constraint fleet_settings_pkey primary key (id),
    constraint fleet_settings_one_row check (id),
    constraint fleet_settings_fingerprint_key_check check (octet_length(fingerprint_key) = 32)
);
insert into fleet_settings default values;

alter table worker_instances add column sealing_key bytea;

alter table worker_commands
    add column progress jsonb,
    drop constraint worker_commands_kind_check,
    add constraint worker_commands_kind_check check (kind in ('check_volume', 'drain', 'probe', 'replace', 'login_volume', 'logout_volume',
        'clean_volume', 'stop'));

create index preflights_checked_at_idx on preflights (checked_at desc, id desc);

-- Claims as before, of a shard only while it is in service and its login is known good.
create or replace function claim_jobs(in_queue text, instances uuid[], workers text[], accept_within double precision)
returns setof jobs
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    -- For so long after it may begin a job waits for another worker than the one that it wants to avoid.
    patience constant interval := '30 seconds';
begin
    if exists (
        select from shards join auth_volumes on auth_volumes.name = shards.volume_name
        where shards.queue_name = in_queue
            and not (shards.status = 'active' and coalesce(auth_volumes.open_until > now(), false)
                and coalesce(auth_volumes.cooling_until <= now(), true)))
    then
        return;
    end if;
    return query
    with free as (
        select id, priority, fair_rank, case when not_before + patience >= now() then avoid_worker end as avoid_worker from jobs
        where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null and not_before <= now()
            and (avoid_worker is null or not_before + patience < now() or avoid_worker <> any (claim_jobs.workers))
        order by priority desc, fair_rank, id
        limit cardinality(instances)
        for update skip locked
    ), next as (
        select *, row_number() over () as n from free
    ), avoided as (
        select array_agg(avoid_worker) filter (where avoid_worker is not null) as workers from free
    ), slots as (
        select instance_id, worker_name,
            row_number() over (order by coalesce(worker_name = any ((select avoided.workers from avoided)::text[]), false), nth) as n
        from unnest(instances, claim_jobs.workers) with ordinality as slot (instance_id, worker_name, nth)
    ), clock as (
        insert into queue_ranks as ranks (queue, priority, repository, rank)
        select in_queue, priority, '', max(fair_rank) from next group by priority order by priority
        on conflict (queue, priority, repository) do update set rank = excluded.rank where ranks.rank < excluded.rank
    )
    update jobs set lease_instance_id = slots.instance_id, lease_token = nextval('lease_tokens'), worker_name = slots.worker_name,
        last_report_sequence = 0, lease_expires_at = now() + make_interval(secs => accept_within)
    from next join slots using (n)
    where jobs.id = next.id and next.avoid_worker is distinct from slots.worker_name
    returning jobs.*;
end $$;
