//! What was known of a run's credentials when they were looked at.

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::Text};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// State of the agent's login. Stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow)]
#[strum(serialize_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum CodexStatus {
    /// It works.
    Valid,
    /// It doesn't.
    Invalid,
    /// It works, and must be renewed soon.
    ExpiresSoon,
}

/// State of the forge's token. Stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray, AsExpression, FromSqlRow)]
#[strum(serialize_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum GithubStatus {
    /// It works.
    Valid,
    /// It doesn't.
    Invalid,
    /// It works, but may not do what publishing needs.
    ScopeMissing,
}
