//! Table `skill_policies`: which skills carry which stages, by versions that are added and never changed.

use chrono::{DateTime, Utc};
use diesel::{dsl::max, prelude::*};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::{Connection, schema::skill_policies};
use crate::domain::skill::Policy;

/// A version as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = skill_policies)]
#[allow(
    missing_docs,
    reason = "the columns are the fields of the proto message SkillPolicy, documented there"
)]
pub struct Row {
    pub version: i64,
    policy: serde_json::Value,
    pub changed_by: String,
    pub reason: String,
    pub created_at: DateTime<Utc>,
}

impl Row {
    /// What it says.
    ///
    /// # Errors
    ///
    /// When a newer server has written it in another form.
    pub fn policy(&self) -> serde_json::Result<Policy> {
        let policy: Policy = serde_json::from_value(self.policy.clone())?;
        Ok(Policy {
            version: self.version,
            ..policy
        })
    }
}

/// A version to be stored.
#[derive(Debug, Insertable)]
#[diesel(table_name = skill_policies)]
#[allow(missing_docs, reason = "as those of the row")]
pub struct New<'a> {
    pub version: i64,
    pub policy: serde_json::Value,
    pub changed_by: &'a str,
    pub reason: &'a str,
}

/// Number of the version that counts; `None` before the first start.
pub async fn version(connection: &mut Connection) -> QueryResult<Option<i64>> {
    skill_policies::table.select(max(skill_policies::version)).first(connection).await
}

/// One version.
pub async fn find(connection: &mut Connection, version: i64) -> QueryResult<Row> {
    skill_policies::table.find(version).select(Row::as_select()).first(connection).await
}

/// The latest versions, or those before one, the latest first.
pub async fn list(connection: &mut Connection, before: Option<i64>, limit: i64) -> QueryResult<Vec<Row>> {
    let mut query = skill_policies::table.select(Row::as_select()).into_boxed();
    if let Some(before) = before {
        query = query.filter(skill_policies::version.lt(before));
    }
    query.order(skill_policies::version.desc()).limit(limit).load(connection).await
}

/// Lets nobody else add a version until the transaction ends. Readers don't wait.
pub async fn lock(connection: &mut Connection) -> QueryResult<()> {
    connection
        .batch_execute("lock table skill_policies in share row exclusive mode")
        .await
}

/// Adds a version. The caller has the lock.
pub async fn insert(connection: &mut Connection, new: &New<'_>) -> QueryResult<Row> {
    diesel::insert_into(skill_policies::table)
        .values(new)
        .returning(Row::as_returning())
        .get_result(connection)
        .await
}
