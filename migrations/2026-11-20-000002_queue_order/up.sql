-- The order of a queue is fixed when a job is queued, claims are one indexed statement, and most changes of status touch no index.

alter table jobs
    add column fair_rank bigint not null default 0,
    add column expires_at timestamptz,
    add column avoid_worker text;

-- The virtual clock of fair queueing: per queue and priority, the last rank that each repository was given. The row with the empty
-- repository is the clock itself: the highest rank that was claimed. A rank at or below the clock says nothing any more.
create table queue_ranks (
    queue text not null,
    priority integer not null,
    repository text not null,
    rank bigint not null,
    constraint queue_ranks_pkey primary key (queue, priority, repository)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- No index or predicate names `status`, so that an accept, which changes only that, is a HOT update. A job without a lease that has not
-- ended is queued.
drop index jobs_claim_idx;
create index jobs_claim_idx on jobs (queue, priority desc, fair_rank, id)
    where finished_at is null and lease_instance_id is null and hold_reason is null;
drop index jobs_leased_idx;
create index jobs_leased_idx on jobs (lease_instance_id) where finished_at is null and lease_instance_id is not null;
drop index jobs_open_idx;
create index jobs_open_idx on jobs (queue) where finished_at is null;
create index jobs_expires_at_idx on jobs (expires_at) where finished_at is null and expires_at is not null;

drop index runs_one_open_per_feature;
create unique index runs_one_open_per_feature on runs (repository, feature_key) where finished_at is null;
alter table runs set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Events are inserted with their run or under its lock, and runs are never deleted: the check of each row bought nothing.
alter table run_events drop constraint run_events_run_id_fkey;

-- The walls stay; they are not asked where no step is taken.
drop trigger runs_guard on runs;
create trigger runs_guard before update on runs for each row
    when (old.finished_at is not null or old.status is distinct from new.status or old.branch_name is distinct from new.branch_name)
    execute function runs_guard();
drop trigger jobs_guard on jobs;
create trigger jobs_guard before update on jobs for each row
    when (old.status is distinct from new.status or old.lease_token is distinct from new.lease_token)
    execute function jobs_guard();

-- Claims jobs of one queue for as many slots, one each, in the order of the queue; every claim takes the next lease token. A job that asks
-- for another worker than the slot's is left for the next call. The settings keep the plan an index scan whatever the statistics say: they
-- are always behind a queue that fills and drains.
create function claim_jobs(in_queue text, instances uuid[], workers text[], accept_within double precision)
returns setof jobs
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    return query
    with slots as (
        select * from unnest(instances, workers) with ordinality as slot (instance_id, worker_name, n)
    ), free as (
        select id, priority, fair_rank, avoid_worker, not_before from jobs
        where queue = in_queue and finished_at is null and lease_instance_id is null and hold_reason is null and not_before <= now()
        order by priority desc, fair_rank, id
        limit cardinality(instances)
        for update skip locked
    ), next as (
        select *, row_number() over () as n from free
    ), clock as (
        insert into queue_ranks as ranks (queue, priority, repository, rank)
        select in_queue, priority, '', max(fair_rank) from next group by priority order by priority
        on conflict (queue, priority, repository) do update set rank = excluded.rank where ranks.rank < excluded.rank
    )
    update jobs set lease_instance_id = slots.instance_id, lease_token = nextval('lease_tokens'), worker_name = slots.worker_name,
        last_report_sequence = 0, lease_expires_at = now() + make_interval(secs => accept_within)
    from next join slots using (n)
    where jobs.id = next.id
        and (next.avoid_worker is distinct from slots.worker_name or next.not_before + interval '30 seconds' < now())
    returning jobs.*;
end $$;
