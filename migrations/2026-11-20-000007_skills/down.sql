-- An older server could not tell what these are.
delete from artifacts where type in ('skill_result', 'shadow_drift', 'shadow_patch', 'shadow_logs');
alter table artifacts
    drop constraint artifacts_type_check,
    add constraint artifacts_type_check check (type in ('codex_logs', 'codex_patch', 'apply_output', 'push_log', 'pr_response', 'run_summary', 'retry_context'));

-- Jobs that wait for a worker with their skill go to any worker again, and take the built-in way there.
drop function claim_jobs(text, uuid[], text[], text[], double precision);
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

drop index jobs_need_idx;
drop trigger jobs_execution on jobs;
drop function jobs_execution();
alter table jobs
    drop column skill,
    drop column decision,
    drop column execution;
alter table runs drop column stage_decisions;
drop table skill_policies;
drop function skill_policies_guard();
