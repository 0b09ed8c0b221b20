//! Enums of the domain as text columns: the name that strum prints is the name that is stored.

use std::str::FromStr as _;

use diesel::{
    deserialize::{self, FromSql},
    pg::{Pg, PgValue},
    serialize::{self, Output, ToSql},
    sql_types::Text,
};

use crate::domain::{audit, command, job, preflight, run, shard, stage, volume};

macro_rules! stored_as_text {
    ($($kind:ty),+ $(,)?) => {$(
        impl ToSql<Text, Pg> for $kind {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                let name: &'static str = self.into();
                <str as ToSql<Text, Pg>>::to_sql(name, out)
            }
        }

        impl FromSql<Text, Pg> for $kind {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let name = <String as FromSql<Text, Pg>>::from_sql(value)?;
                Self::from_str(&name).map_err(|_| format!("{name:?} is no {}", stringify!($kind)).into())
            }
        }
    )+};
}

stored_as_text!(
    audit::CodexStatus,
    audit::GithubStatus,
    command::Kind,
    job::HoldReason,
    job::Status,
    preflight::Rung,
    preflight::Status,
    run::Agent,
    run::Phase,
    run::Status,
    shard::Status,
    stage::Stage,
    volume::Provider,
    volume::Status,
);
