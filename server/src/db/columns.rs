//! The columns of the tables that statements of our own read whole, by name and in the order in which a row is read. A later release adds columns, and
//! `*` would then mean more than this one can read.

/// `alias.first, alias.second, …`.
macro_rules! columns {
    ($alias:literal, $first:ident $(, $rest:ident)*) => {
        concat!($alias, ".", stringify!($first) $(, ", ", $alias, ".", stringify!($rest))*)
    };
}

/// Those of `jobs`, under an alias.
macro_rules! job_columns {
    ($alias:literal) => {
        $crate::db::columns::columns!(
            $alias,
            id,
            run_id,
            stage,
            attempt,
            queue,
            status,
            hold_reason,
            priority,
            not_before,
            lease_instance_id,
            lease_token,
            lease_expires_at,
            worker_name,
            last_report_sequence,
            cancel_requested_at,
            cancel_reason,
            payload,
            result,
            failure,
            created_at,
            started_at,
            finished_at,
            fair_rank,
            expires_at,
            avoid_worker,
            skill,
            decision,
            execution
        )
    };
}

/// Those of `runs`, under an alias.
macro_rules! run_columns {
    ($alias:literal) => {
        $crate::db::columns::columns!(
            $alias,
            id,
            repository,
            feature_key,
            affinity_key,
            status,
            phase,
            branch_name,
            pr_url,
            base_ref,
            task_id,
            codex_task_id,
            codex_queue,
            codex_volume,
            codex_shard_index,
            hash_modulo,
            codex_preflight_status,
            codex_preflight_message,
            codex_logs_path,
            codex_patch_path,
            artifacts_path,
            force_phase,
            agent,
            requested_by,
            notes,
            idempotency_key,
            options,
            last_event_sequence,
            created_at,
            started_at,
            finished_at,
            updated_at,
            stage_decisions
        )
    };
}

pub(in crate::db) use {columns, job_columns, run_columns};

#[cfg(test)]
mod tests {
    use diesel::{Table as _, debug_query, pg::Pg, prelude::*};

    use crate::db::schema::{jobs, runs};

    #[test]
    fn they_are_the_tables_own_in_their_order() {
        let of_query = |text: String| {
            let columns = text.trim_start_matches("SELECT ").split(" FROM ").next().map(str::to_owned);
            columns.unwrap_or_default().replace('"', "")
        };
        let read = debug_query::<Pg, _>(&jobs::table.select(jobs::table::all_columns())).to_string();
        assert_eq!(job_columns!("jobs"), of_query(read));
        let read = debug_query::<Pg, _>(&runs::table.select(runs::table::all_columns())).to_string();
        assert_eq!(run_columns!("runs"), of_query(read));
    }
}
