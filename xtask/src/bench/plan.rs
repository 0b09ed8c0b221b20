//! How Postgres goes about a claim: the plans of the statements inside `claim_jobs`, with the settings of that function.

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::cluster::Database;

/// A connection that is told the plans of its statements, those inside functions included.
pub struct Planner {
    client: Client,
    plans: mpsc::UnboundedReceiver<String>,
}

impl Planner {
    /// Connects as the superuser, who alone may load the module that tells.
    pub async fn connect(database: &Database) -> Result<Self> {
        let (client, mut connection) = tokio_postgres::connect(database.admin_url(), NoTls).await?;
        let (told, plans) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    // Nobody listens any more when the check is over.
                    let _ = told.send(notice.message().to_owned());
                }
            }
        });
        client
            .batch_execute(
                "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
                 set auto_explain.log_level = notice; set client_min_messages = notice",
            )
            .await
            .context("auto_explain is missing: install the contrib package of this PostgreSQL")?;
        Ok(Self { client, plans })
    }

    /// Whether a claim reads the queue by its index and in no other way. The claim is taken back.
    pub async fn claims_by_index(&mut self) -> Result<bool> {
        while self.plans.try_recv().is_ok() {}
        self.client
            .batch_execute(
                "begin;
                 select count(*) from claim_jobs('default', array_fill(gen_random_uuid(), array[64]), array_fill('planner'::text, array[64]),
                    array['speckit:discover', 'speckit:publish', 'speckit:submit'], 5);
                 rollback",
            )
            .await?;
        let mut seen = false;
        while let Ok(plan) = self.plans.try_recv() {
            // What the queue needs, what is chosen of it, and the leases: each by an index of its own.
            let index = if plan.contains("skip locked") {
                seen = true;
                "jobs_claim_idx"
            } else if plan.contains("recursive found") {
                "jobs_need_idx"
            } else if plan.contains("lease_tokens") {
                "jobs_pkey"
            } else {
                continue;
            };
            let by_index = plan.contains(&format!("Index Scan using {index} on jobs"));
            if !by_index || plan.contains("Seq Scan on jobs") || plan.contains("Bitmap Heap Scan on jobs") {
                eprintln!("{plan}");
                return Ok(false);
            }
        }
        anyhow::ensure!(seen, "Postgres told no plan of the claim");
        Ok(true)
    }
}
