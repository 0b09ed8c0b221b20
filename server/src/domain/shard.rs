//! A shard: a queue for Codex work, with one auth volume for good.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::job::HoldReason;

/// Where in its life a shard is. Stored as text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Status {
    /// No worker holds its volume.
    Offline,
    /// Takes no new work.
    Draining,
    /// Has a mounted volume and a live worker stream.
    Active,
}

impl Status {
    /// Why new work for the shard waits, if it does.
    pub fn hold_reason(self) -> Option<HoldReason> {
        match self {
            Self::Offline => Some(HoldReason::ShardOffline),
            Self::Draining => Some(HoldReason::ShardDraining),
            Self::Active => None,
        }
    }
}
