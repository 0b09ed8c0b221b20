//! Statements whose text never changes: Postgres plans them once per connection.
//!
//! `sql_query`, updates and inserts of many rows are prepared anew at each execution by diesel, since their text may differ. The few
//! statements through which everything hot goes take arrays instead, whose text stays the same however many rows there are.

use std::marker::PhantomData;

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::HasSqlType,
};

/// A statement with a fixed text, in which each `?` stands for one value, and rows of type `ST`.
pub struct Statement<'a, ST = ()> {
    sql: &'static str,
    binds: Vec<Box<dyn Bind + Send + 'a>>,
    rows: PhantomData<ST>,
}

impl<'a, ST> Statement<'a, ST> {
    /// Begins with the text.
    pub fn new(sql: &'static str) -> Self {
        Self {
            sql,
            binds: Vec::new(),
            rows: PhantomData,
        }
    }

    /// Gives the next `?` its value.
    #[must_use]
    pub fn bind<T, V>(mut self, value: V) -> Self
    where
        T: Send + 'a,
        V: ToSql<T, Pg> + Send + 'a,
        Pg: HasSqlType<T>,
    {
        self.binds.push(Box::new(Value {
            value,
            kind: PhantomData::<T>,
        }));
        self
    }
}

/// A value that is bound.
trait Bind {
    fn push<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Value<T, V> {
    value: V,
    kind: PhantomData<T>,
}

impl<T, V> Bind for Value<T, V>
where
    V: ToSql<T, Pg>,
    Pg: HasSqlType<T>,
{
    fn push<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param(&self.value)
    }
}

impl<ST> QueryFragment<Pg> for Statement<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut pieces = self.sql.split('?');
        out.push_sql(pieces.next().unwrap_or_default());
        for (bind, piece) in self.binds.iter().zip(pieces) {
            bind.push(out.reborrow())?;
            out.push_sql(piece);
        }
        Ok(())
    }
}

impl<ST> QueryId for Statement<'_, ST> {
    type QueryId = ();

    // The cache takes the text for the key.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<'_, ST> {
    type SqlType = ST;
}
