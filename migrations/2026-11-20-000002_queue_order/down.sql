drop function claim_jobs(text, uuid[], text[], double precision);

drop trigger jobs_guard on jobs;
create trigger jobs_guard before update on jobs for each row execute function jobs_guard();
drop trigger runs_guard on runs;
create trigger runs_guard before update on runs for each row execute function runs_guard();

alter table run_events add constraint run_events_run_id_fkey foreign key (run_id) references runs (id) on delete cascade;

alter table runs reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay);
drop index runs_one_open_per_feature;
create unique index runs_one_open_per_feature on runs (repository, feature_key) where status in ('pending', 'running', 'retrying');

drop index jobs_expires_at_idx;
drop index jobs_open_idx;
create index jobs_open_idx on jobs (queue, status) where status in ('queued', 'running');
drop index jobs_leased_idx;
create index jobs_leased_idx on jobs (lease_instance_id) where lease_instance_id is not null and status in ('queued', 'running');
drop index jobs_claim_idx;
create index jobs_claim_idx on jobs (queue, priority desc, id)
    where status = 'queued' and lease_instance_id is null and hold_reason is null;

drop table queue_ranks;
alter table jobs drop column avoid_worker, drop column expires_at, drop column fair_rank;
