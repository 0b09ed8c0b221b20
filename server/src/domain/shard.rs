//! A shard: a queue for Codex work, with one auth volume for good.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::{job::HoldReason, login::Login};

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

/// Why jobs of a shard wait, if they do: what an operator wants comes first, then whether anybody could do them, then the login.
#[must_use]
pub fn hold_reason(status: Status, drained: bool, login: Login) -> Option<HoldReason> {
    drained
        .then_some(HoldReason::ShardDraining)
        .or_else(|| status.hold_reason())
        .or_else(|| login.hold_reason())
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
