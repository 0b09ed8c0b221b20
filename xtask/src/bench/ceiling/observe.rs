//! What the rows of a run are at each step of its life.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use moorline_proto::v1;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::bench::{
    cluster::Database,
    fleet::{Fleet, Pace, Script, Tally},
    requests::Requests,
    server::Server,
};

/// How long the end of the run that is observed is put off: the rows are looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(20);

/// A row, by column.
pub type Row = Map<String, Value>;

/// An event, with its text as stored.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its number.
    pub sequence: i64,
    /// Its name.
    pub kind: String,
    /// Its text.
    pub body: String,
}

/// The rows of one run at one moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its row.
    pub run: Row,
    /// Its job's row.
    pub job: Row,
    /// Its events so far.
    pub events: Vec<Event>,
}

/// One kind of run through its life.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Queued.
    pub queued: Seen,
    /// Accepted.
    pub running: Seen,
    /// Over.
    pub finished: Seen,
}

/// Has a worker do one run of a phase, and looks at its rows on the way.
pub async fn observe(database: &Database, server: &Server, phase: v1::Phase) -> Result<Observed> {
    let client = database.connect().await?;
    // The names of the workers that come afterwards: another one would find the volume held.
    let (queue, worker) = if phase == v1::Phase::Submit {
        ("codex-0", "shard-0")
    } else {
        ("default", "default-0")
    };
    let (told, mut offers) = mpsc::channel(1);
    let mut fleet = Fleet::new(Tally::telling(told));
    let script = Script::new(worker, queue, 1, Pace::After(PAUSE));
    fleet.share(server.address, 1, [script])?;
    fleet
        .tally
        .until(PATIENCE, "the observed worker's Welcome", |counts| counts.welcomes > 0)
        .await?;
    let request = v1::CreateRunRequest {
        repository: "bench/observed".to_owned(),
        feature_key: format!("0000000-{}", phase.as_str_name().to_lowercase()),
        codex_queue: "codex-0".to_owned(),
        force_phase: phase.into(),
        ..Default::default()
    };
    let run_id: Uuid = Requests::to(server.address)?.create(request).await?.parse()?;
    let queued = look(&client, run_id).await?;
    fleet.gate.open();
    offers.recv().await.context("no offer")?;
    let running = until(&client, run_id, "running").await?;
    fleet
        .tally
        .until(PATIENCE, "the observed run's end", |counts| counts.finished > 0)
        .await?;
    let finished = until(&client, run_id, "succeeded").await?;
    Ok(Observed { queued, running, finished })
}

async fn until(client: &Client, run_id: Uuid, status: &str) -> Result<Seen> {
    for _ in 0..1000 {
        let seen = look(client, run_id).await?;
        if seen.job.get("status").and_then(Value::as_str) == Some(status) {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("the observed job was never {status}")
}

async fn look(client: &Client, run_id: Uuid) -> Result<Seen> {
    let sql = "select to_jsonb(runs), to_jsonb(jobs) from runs join jobs on jobs.run_id = runs.id where runs.id = $1";
    let row = client.query_one(sql, &[&run_id]).await?;
    let events = "select sequence, kind, body::text from run_events where run_id = $1 order by sequence";
    let events = client.query(events, &[&run_id]).await?;
    let event = |row: tokio_postgres::Row| Event {
        sequence: row.get(0),
        kind: row.get(1),
        body: row.get(2),
    };
    Ok(Seen {
        run: columns(row.get(0))?,
        job: columns(row.get(1))?,
        events: events.into_iter().map(event).collect(),
    })
}

fn columns(row: Value) -> Result<Row> {
    match row {
        Value::Object(columns) => Ok(columns),
        other => bail!("not a row: {other}"),
    }
}
