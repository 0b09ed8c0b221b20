//! The schema: up and down, its columns against diesel's tables, its CHECKs against our enums, and its guards.

use diesel::{
    QueryableByName, sql_query,
    sql_types::{Nullable, Text},
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use moorline_server::{
    db::{credential_audits, migrations},
    domain::{audit, command, job, preflight, run, shard, stage::Stage, volume},
};
use moorline_tests::db::TestDb;
use strum::VariantArray;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

async fn lines(connection: &mut AsyncPgConnection, query: &str) -> Vec<String> {
    let rows: Vec<Line> = sql_query(query).load(connection).await.unwrap();
    rows.into_iter().filter_map(|row| row.line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_down_leaves_nothing_and_the_way_up_can_be_gone_again() {
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    const SCHEMA: &str = "select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable as line
        from information_schema.columns where table_schema = 'public' and table_name not like '\\_\\_diesel%' order by 1";
    let first = lines(&mut connection, SCHEMA).await;
    assert!(first.len() > 100);
    assert!(
        migrations::run(database.url()).await.unwrap().is_empty(),
        "the template has them all"
    );

    migrations::revert_all(database.url()).await.unwrap();
    const LEFT: &str = "select relname::text as line from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = 'public' and relname not like '\\_\\_diesel%'
        union all select proname::text from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
        where nspname = 'public' and proname not like 'diesel%'";
    assert_eq!(lines(&mut connection, LEFT).await, Vec::<String>::new());

    migrations::run(database.url()).await.unwrap();
    assert_eq!(lines(&mut connection, SCHEMA).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_column_allows_exactly_what_its_enum_knows() {
    fn names<T: VariantArray + std::fmt::Display>() -> Vec<String> {
        let mut names: Vec<String> = T::VARIANTS.iter().map(ToString::to_string).collect();
        names.sort();
        names
    }
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    for (constraint, names) in [
        ("runs_status_check", names::<run::Status>()),
        ("runs_phase_check", names::<run::Phase>()),
        ("runs_agent_check", names::<run::Agent>()),
        ("runs_codex_preflight_status_check", names::<preflight::Status>()),
        ("jobs_stage_check", names::<Stage>()),
        ("jobs_status_check", names::<job::Status>()),
        ("jobs_hold_reason_check", names::<job::HoldReason>()),
        ("preflights_status_check", names::<preflight::Status>()),
        ("preflights_rung_check", names::<preflight::Rung>()),
        ("shards_status_check", names::<shard::Status>()),
        ("auth_volumes_status_check", names::<volume::Status>()),
        ("auth_volumes_provider_check", names::<volume::Provider>()),
        ("worker_commands_kind_check", names::<command::Kind>()),
        ("credential_audits_codex_status_check", names::<audit::CodexStatus>()),
        ("credential_audits_github_status_check", names::<audit::GithubStatus>()),
    ] {
        let query = format!(
            "select (regexp_matches(pg_get_constraintdef(oid), '''([A-Za-z_]+)''', 'g'))[1] as line from pg_constraint where conname = '{constraint}'"
        );
        let mut allowed = lines(&mut connection, &query).await;
        allowed.sort();
        assert_eq!(allowed, names, "{constraint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_constraint_has_a_name_of_ours() {
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    // A name that Postgres made up ends with a number or repeats all columns; ours begin with the table's name and say what for.
    let made_up = "select conname::text as line from pg_constraint join pg_class on pg_class.oid = conrelid
        where connamespace = 'public'::regnamespace and relname not like '\\_\\_diesel%' and (conname ~ '[0-9]$' or conname not like relname || '\\_%')";
    assert_eq!(lines(&mut connection, made_up).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn diesel_knows_the_tables_as_they_are() {
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src/db/schema.rs")).unwrap();
    let mut table = String::new();
    let mut known = Vec::new();
    let mut renamed = None;
    for line in schema.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name.to_owned();
        } else if let Some(name) = line.strip_prefix("#[sql_name = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            renamed = Some(name.to_owned());
        } else if let Some((column, kind)) = line.split_once(" -> ") {
            let kind = kind.trim_end_matches(',');
            let (kind, null) = kind
                .strip_prefix("Nullable<")
                .map_or((kind, "NO"), |inner| (inner.trim_end_matches('>'), "YES"));
            known.push(format!(
                "{table}.{} {} {null}",
                renamed.take().unwrap_or_else(|| column.to_owned()),
                kind.to_lowercase()
            ));
        }
    }
    known.sort();
    let mut actual = lines(
        &mut connection,
        "select table_name || '.' || column_name || ' ' || case udt_name when '_text' then 'array<text>' else udt_name end || ' ' || is_nullable as line
         from information_schema.columns where table_schema = 'public' and table_name not like '\\_\\_diesel%'",
    )
    .await;
    actual.sort();
    assert_eq!(known, actual);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_every_step_that_a_run_can_not_take() {
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    for from in run::Status::VARIANTS {
        for to in run::Status::VARIANTS.iter().filter(|to| *to != from) {
            let finished = |status: &run::Status| if status.is_terminal() { "now()" } else { "null" };
            let insert = format!(
                "delete from runs; insert into runs (id, repository, feature_key, affinity_key, status, branch_name, artifacts_path, requested_by, finished_at)
                 values (gen_random_uuid(), 'a/b', 'f', 'k', '{from}', 'b', 'p', 'me', {})",
                finished(from)
            );
            connection.batch_execute(&insert).await.unwrap();
            let update = format!("update runs set status = '{to}', finished_at = {}", finished(to));
            let taken = connection.batch_execute(&update).await;
            assert_eq!(taken.is_ok(), from.can_become(*to), "{from} → {to}: {taken:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_credential_audit_of_a_run_is_the_one_that_is_read() {
    let database = TestDb::new().await.unwrap();
    let mut connection = AsyncPgConnection::establish(database.url()).await.unwrap();
    let run_id = uuid::Uuid::now_v7();
    let insert = format!(
        "insert into runs (id, repository, feature_key, affinity_key, branch_name, artifacts_path, requested_by)
         values ('{run_id}', 'a/b', 'f', 'k', 'b', 'p', 'me')"
    );
    connection.batch_execute(&insert).await.unwrap();
    assert_eq!(credential_audits::latest_of_run(&mut connection, run_id).await.unwrap(), None);
    for codex_status in [audit::CodexStatus::Valid, audit::CodexStatus::ExpiresSoon] {
        let new = audit::Audit {
            codex_status: Some(codex_status),
            github_status: None,
            notes: String::new(),
        };
        credential_audits::insert(&mut connection, run_id, &new).await.unwrap();
    }
    let latest = credential_audits::latest_of_run(&mut connection, run_id).await.unwrap().unwrap();
    assert_eq!(
        (latest.codex_status, latest.github_status),
        (Some(audit::CodexStatus::ExpiresSoon), None)
    );
}
