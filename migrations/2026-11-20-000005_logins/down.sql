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
drop index preflights_checked_at_idx;
delete from worker_commands where kind in ('login_volume', 'logout_volume', 'clean_volume', 'stop');
alter table worker_commands
    drop constraint worker_commands_kind_check,
    drop column progress,
    add constraint worker_commands_kind_check check (kind in ('check_volume', 'drain', 'probe', 'replace'));
alter table worker_instances drop column sealing_key;
drop table fleet_settings;
drop table login_fingerprints;
drop index jobs_held_idx;
-- Nobody would free these any more.
update jobs set hold_reason = null where hold_reason in ('CHECKING_LOGIN', 'WAITING_AUTH', 'COOLING_DOWN');
alter table jobs drop constraint jobs_hold_reason_check;
alter table jobs add constraint jobs_hold_reason_check
    check (hold_reason in ('SHARD_DRAINING', 'SHARD_OFFLINE', 'WAITING_AUTH', 'COOLING_DOWN'));
delete from preflights where rung = 'DUPLICATE';
alter table preflights drop constraint preflights_rung_check;
alter table preflights add constraint preflights_rung_check
    check (rung in ('VOLUME_MISSING', 'UNREADABLE', 'CORRUPT', 'NOT_LOGGED_IN', 'EXPIRED', 'REVOKED', 'RATE_LIMITED', 'ENVIRONMENT_BROKEN',
        'TIMED_OUT', 'UNKNOWN', 'PRESENT', 'UNEXPIRED', 'PROVEN'));
alter table shards
    drop constraint shards_drain_check,
    drop column drain_reason,
    drop column drained_at;
alter table auth_volumes
    drop constraint auth_volumes_capacity_check,
    drop constraint auth_volumes_rung_check,
    drop column reported_at,
    drop column asked_at,
    drop column capacity,
    drop column cooling_until,
    drop column open_until,
    drop column status_message,
    drop column rung;
