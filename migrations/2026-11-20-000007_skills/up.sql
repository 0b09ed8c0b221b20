-- Which skills carry which stages. Each change is a new row: the latest counts, and a run's record names the one that decided it.
create table skill_policies (
    version bigint not null,
    policy jsonb not null,
    changed_by text not null,
    reason text not null default '',
    created_at timestamptz not null default now(),
    constraint skill_policies_pkey primary key (version),
    constraint skill_policies_version_check check (version >= 1),
    constraint skill_policies_reason_check check (char_length(reason) <= 512)
);

-- Servers keep a version that they have read.
create function skill_policies_guard() returns trigger language plpgsql as $$
begin
    raise exception 'version % of the policy is never changed', old.version using errcode = 'check_violation', constraint = 'skill_policies_frozen';
end $$;
create trigger skill_policies_guard before update or delete on skill_policies for each row execute function skill_policies_guard();

-- What was decided for each stage of a run when it was created or last retried; null for a run of a server that knew no skills.
alter table runs add column stage_decisions jsonb;

-- `skill` is what a worker must have to be offered the job; null where none is needed, and then old workers may have it too.
alter table jobs
    add column skill text,
    add column decision jsonb,
    add column execution jsonb,
    -- Jobs from before have no decision: there is nothing to look through them for.
    add constraint jobs_execution_check check (finished_at is null or decision is null or execution is not null) not valid;

-- A server that knows no skills ends jobs without saying which way they went. What it has offered itself, to a worker without skills, went the
-- built-in way; of all else nobody knows more than what was decided.
create function jobs_execution() returns trigger language plpgsql as $$
begin
    new.execution = jsonb_build_object('stage', new.stage, 'selected_skill', new.decision -> 'selected_skill',
        'execution_path', case when new.skill is null and new.started_at is not null and new.status in ('succeeded', 'failed')
            then '"direct_only"'::jsonb else new.decision -> 'execution_path' end, 'used_skills', false, 'used_fallback', false,
        'shadow_mode_requested', new.decision -> 'shadow_mode',
        'duration_ms', coalesce(trunc(1000 * extract(epoch from new.finished_at - new.started_at)), 0)::bigint);
    return new;
end $$;
create trigger jobs_execution before update of finished_at on jobs for each row
    when (new.finished_at is not null and new.decision is not null and new.execution is null) execute function jobs_execution();

-- What waits, by what it needs of a worker: `skill:stage`, or nothing. Its order within that is the queue's, written in another way: the index of
-- the whole queue can't take its place, nor it the other's, whatever the statistics say.
create index jobs_need_idx on jobs (queue, (coalesce(skill || ':' || stage, '')), (-priority), fair_rank, id)
    where finished_at is null and lease_instance_id is null and hold_reason is null;

-- As before, for workers that are alike in their skills: `skills` holds `skill:stage` for each stage that each of theirs is ready for.
--
-- A claim must not depend on how much is queued, nor on how much of it these workers can't take. What the queue needs is looked up first, in one
-- step for each need. Where these workers have it all, the queue is read in its order. Otherwise it is read need by need, and then more jobs are
-- locked for a moment than are taken: who looks at them meanwhile goes on to others, or looks again.
create function claim_jobs(in_queue text, instances uuid[], workers text[], skills text[], accept_within double precision)
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
    met constant text[] := array_append(claim_jobs.skills, '');
    needs text[];
    chosen uuid[];
begin
    if exists (
        select from shards join auth_volumes on auth_volumes.name = shards.volume_name
        where shards.queue_name = in_queue
            and not (shards.status = 'active' and coalesce(auth_volumes.open_until > now(), false)
                and coalesce(auth_volumes.cooling_until <= now(), true)))
    then
        return;
    end if;
    with recursive found as (
        (select coalesce(skill || ':' || stage, '') as need from jobs
            where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null
            order by coalesce(skill || ':' || stage, '') limit 1)
        union all
        select next.need from found cross join lateral (
            select coalesce(skill || ':' || stage, '') as need from jobs
            where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null
                and coalesce(skill || ':' || stage, '') > found.need
            order by coalesce(skill || ':' || stage, '') limit 1) as next
    )
    select array_agg(need) from found into needs;
    if needs is null then
        return;
    end if;
    if needs <@ met then
        select array_agg(free.id order by free.priority desc, free.fair_rank, free.id) into chosen from (
            select id, priority, fair_rank from jobs
            where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null and not_before <= now()
                and coalesce(skill || ':' || stage, '') = any (met)
                and (avoid_worker is null or not_before + patience < now() or avoid_worker <> any (claim_jobs.workers))
            order by priority desc, fair_rank, id
            limit cardinality(instances)
            for update skip locked
        ) as free;
    else
        select array_agg(free.id order by free.priority desc, free.fair_rank, free.id) into chosen from (
            select of_need.* from unnest(needs) as need cross join lateral (
                select id, priority, fair_rank from jobs
                where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null and not_before <= now()
                    and coalesce(skill || ':' || stage, '') = need
                    and (avoid_worker is null or not_before + patience < now() or avoid_worker <> any (claim_jobs.workers))
                order by -priority, fair_rank, id
                limit cardinality(instances)
                for update skip locked
            ) as of_need
            where need = any (met)
            order by of_need.priority desc, of_need.fair_rank, of_need.id
            limit cardinality(instances)
        ) as free;
    end if;
    return query
    with next as (
        select job.id, job.priority, job.fair_rank, free.n, case when not_before + patience >= now() then avoid_worker end as avoid_worker
        from unnest(chosen) with ordinality as free (id, n) join jobs as job using (id)
    ), avoided as (
        select array_agg(avoid_worker) filter (where avoid_worker is not null) as workers from next
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

-- Servers of the release before pass no skills of their workers: they are given what needs none.
create or replace function claim_jobs(in_queue text, instances uuid[], workers text[], accept_within double precision)
returns setof jobs
language sql
as $$ select * from claim_jobs(in_queue, instances, workers, '{}'::text[], accept_within) $$;

-- What skills and shadows leave behind.
alter table artifacts
    drop constraint artifacts_type_check,
    add constraint artifacts_type_check check (type in ('codex_logs', 'codex_patch', 'apply_output', 'push_log', 'pr_response', 'run_summary', 'retry_context',
        'skill_result', 'shadow_drift', 'shadow_patch', 'shadow_logs'));
