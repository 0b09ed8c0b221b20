//! The tables as diesel knows them. Written by hand beside the migrations; a test compares the two.

#![allow(missing_docs, reason = "the migrations say what the tables and columns are")]

diesel::table! {
    routing_settings (id) {
        id -> Bool,
        hash_modulo -> Int4,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    workers (name) {
        name -> Text,
        hostname -> Text,
        version -> Text,
        queues -> Array<Text>,
        slots -> Int4,
        profile -> Jsonb,
        created_at -> Timestamptz,
        last_heartbeat_at -> Timestamptz,
    }
}

diesel::table! {
    worker_instances (id) {
        id -> Uuid,
        worker_name -> Text,
        lease_expires_at -> Timestamptz,
        created_at -> Timestamptz,
        sealing_key -> Nullable<Bytea>,
    }
}

diesel::table! {
    worker_sessions (id) {
        id -> Uuid,
        instance_id -> Uuid,
        server_id -> Uuid,
        connected_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        end_reason -> Nullable<Text>,
        hostname -> Text,
        draining_at -> Nullable<Timestamptz>,
        redirected_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    servers (id) {
        id -> Uuid,
        hostname -> Text,
        address -> Text,
        started_at -> Timestamptz,
        last_seen_at -> Timestamptz,
    }
}

diesel::table! {
    worker_commands (id) {
        id -> Uuid,
        instance_id -> Uuid,
        session_id -> Nullable<Uuid>,
        kind -> Text,
        body -> Jsonb,
        requested_by -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        delivered_to -> Nullable<Uuid>,
        delivered_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        result -> Nullable<Jsonb>,
        progress -> Nullable<Jsonb>,
    }
}

diesel::table! {
    auth_volumes (name) {
        name -> Text,
        provider -> Text,
        status -> Text,
        worker_affinity -> Nullable<Text>,
        owner_instance_id -> Nullable<Uuid>,
        generation -> Int8,
        last_verified_at -> Nullable<Timestamptz>,
        diagnostics -> Nullable<Jsonb>,
        notes -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        rung -> Nullable<Text>,
        status_message -> Text,
        open_until -> Nullable<Timestamptz>,
        cooling_until -> Nullable<Timestamptz>,
        capacity -> Int4,
        asked_at -> Nullable<Timestamptz>,
        reported_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    shards (queue_name) {
        queue_name -> Text,
        shard_index -> Int4,
        volume_name -> Text,
        status -> Text,
        hash_modulo -> Int4,
        worker_hostname -> Nullable<Text>,
        last_heartbeat_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        drained_at -> Nullable<Timestamptz>,
        drain_reason -> Text,
    }
}

diesel::table! {
    runs (id) {
        id -> Uuid,
        repository -> Text,
        feature_key -> Text,
        affinity_key -> Text,
        status -> Text,
        phase -> Text,
        branch_name -> Text,
        pr_url -> Nullable<Text>,
        base_ref -> Nullable<Text>,
        task_id -> Nullable<Text>,
        codex_task_id -> Nullable<Text>,
        codex_queue -> Nullable<Text>,
        codex_volume -> Nullable<Text>,
        codex_shard_index -> Nullable<Int4>,
        hash_modulo -> Nullable<Int4>,
        codex_preflight_status -> Nullable<Text>,
        codex_preflight_message -> Nullable<Text>,
        codex_logs_path -> Nullable<Text>,
        codex_patch_path -> Nullable<Text>,
        artifacts_path -> Text,
        force_phase -> Nullable<Text>,
        agent -> Text,
        requested_by -> Text,
        notes -> Text,
        idempotency_key -> Nullable<Text>,
        options -> Jsonb,
        last_event_sequence -> Int8,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
        stage_decisions -> Nullable<Jsonb>,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        run_id -> Uuid,
        stage -> Text,
        attempt -> Int4,
        queue -> Text,
        status -> Text,
        hold_reason -> Nullable<Text>,
        priority -> Int4,
        not_before -> Timestamptz,
        lease_instance_id -> Nullable<Uuid>,
        lease_token -> Nullable<Int8>,
        lease_expires_at -> Nullable<Timestamptz>,
        worker_name -> Nullable<Text>,
        last_report_sequence -> Int8,
        cancel_requested_at -> Nullable<Timestamptz>,
        cancel_reason -> Nullable<Text>,
        payload -> Jsonb,
        result -> Nullable<Jsonb>,
        failure -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        fair_rank -> Int8,
        expires_at -> Nullable<Timestamptz>,
        avoid_worker -> Nullable<Text>,
        skill -> Nullable<Text>,
        decision -> Nullable<Jsonb>,
        execution -> Nullable<Jsonb>,
    }
}

diesel::table! {
    preflights (id) {
        id -> Uuid,
        volume_name -> Text,
        queue -> Text,
        worker_name -> Text,
        run_id -> Nullable<Uuid>,
        status -> Text,
        rung -> Nullable<Text>,
        message -> Text,
        exit_code -> Nullable<Int4>,
        duration_ms -> Int8,
        checked_at -> Timestamptz,
    }
}

diesel::table! {
    artifacts (id) {
        id -> Uuid,
        run_id -> Uuid,
        job_id -> Uuid,
        #[sql_name = "type"]
        kind -> Text,
        path -> Text,
        content_type -> Text,
        size_bytes -> Int8,
        digest -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    job_logs (job_id, byte_offset) {
        job_id -> Uuid,
        byte_offset -> Int8,
        content -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    credential_audits (id) {
        id -> Uuid,
        run_id -> Uuid,
        codex_status -> Nullable<Text>,
        github_status -> Nullable<Text>,
        checked_at -> Timestamptz,
        notes -> Text,
    }
}

diesel::table! {
    run_events (run_id, sequence) {
        run_id -> Uuid,
        sequence -> Int8,
        kind -> Text,
        body -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    routing_settings,
    runs,
    jobs,
    artifacts,
    worker_instances,
    workers,
    auth_volumes,
    shards,
    skill_policies,
    job_logs,
    preflights
);

diesel::table! {
    queue_ranks (queue, priority, repository) {
        queue -> Text,
        priority -> Int4,
        repository -> Text,
        rank -> Int8,
    }
}

diesel::table! {
    login_fingerprints (fingerprint) {
        fingerprint -> Text,
        volume_name -> Text,
        first_seen_at -> Timestamptz,
        last_seen_at -> Timestamptz,
    }
}

diesel::table! {
    fleet_settings (id) {
        id -> Bool,
        fingerprint_key -> Bytea,
    }
}

diesel::table! {
    skill_policies (version) {
        version -> Int8,
        policy -> Jsonb,
        changed_by -> Text,
        reason -> Text,
        created_at -> Timestamptz,
    }
}
