-- The function as it was before.
-- Claims jobs of one queue for as many slots, one each, in the order of the queue; every claim takes the next lease token. A job that asks
-- for another worker than the slot's is left for the next call. The settings keep the plan an index scan whatever the statistics say: they
-- are always behind a queue that fills and drains.
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
