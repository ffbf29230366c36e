//! Inserting rows that are much alike. SQLite keeps what is bound to a statement, and most of a row is as in the one before
//! (names, words, zeros): comparing is a tenth of binding, which copies each text.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

/// A statement that inserts rows, with the values of the last one.
pub(crate) struct Row<'c> {
    statement: CachedStatement<'c>,
    bound: Vec<Bound>,
}

/// A value of a row. A column has one type, beside NULL.
#[derive(Clone, Copy)]
pub(crate) enum Field<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Id([u8; 16]),
}

/// A value that SQLite holds.
#[derive(Clone)]
enum Bound {
    Null,
    Integer(i64),
    Text(String),
    Id([u8; 16]),
}

impl<'c> Row<'c> {
    /// Prepares a statement. Errors as SQLite does.
    pub fn prepare(conn: &'c Connection, sql: &str) -> rusqlite::Result<Self> {
        // The cache of statements hands them out with nothing bound.
        let statement = conn.prepare_cached(sql)?;
        let bound = vec![Bound::Null; statement.parameter_count()];
        Ok(Self { statement, bound })
    }

    /// Inserts a row of `fields`; returns how many rows that were. Errors as SQLite does; what is bound is then not known.
    pub fn insert(&mut self, fields: &[Field<'_>]) -> rusqlite::Result<usize> {
        // A column that was left out would silently get the last row's value.
        debug_assert_eq!(fields.len(), self.bound.len());
        for ((place, field), bound) in (1_usize..).zip(fields).zip(&mut self.bound) {
            if !bound.is(field) {
                self.statement.raw_bind_parameter(place, field)?;
                bound.set(field);
            }
        }
        self.statement.raw_execute()
    }
}

impl Bound {
    fn is(&self, field: &Field<'_>) -> bool {
        match (self, field) {
            (Self::Null, Field::Null) => true,
            (Self::Integer(bound), Field::Integer(new)) => bound == new,
            (Self::Text(bound), Field::Text(new)) => bound == new,
            (Self::Id(bound), Field::Id(new)) => bound == new,
            _ => false,
        }
    }

    fn set(&mut self, field: &Field<'_>) {
        match (self, field) {
            (Self::Text(bound), Field::Text(new)) => {
                bound.clear();
                bound.push_str(new);
            }
            (bound, Field::Null) => *bound = Self::Null,
            (bound, Field::Integer(new)) => *bound = Self::Integer(*new),
            (bound, Field::Text(new)) => *bound = Self::Text((*new).to_owned()),
            (bound, Field::Id(new)) => *bound = Self::Id(*new),
        }
    }
}

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Id(id) => ValueRef::Blob(id),
        }))
    }
}

impl From<Option<i64>> for Field<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Integer)
    }
}

impl<'a> From<Option<&'a str>> for Field<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Stored = (Option<[u8; 16]>, Option<i64>, Option<String>);

    #[test]
    fn a_row_is_what_was_given_whatever_the_one_before_was() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (a BLOB, b INTEGER, c TEXT) STRICT").unwrap();
        let rows = [
            (Field::Id([1; 16]), Field::Integer(0), Field::Text("x")),
            (Field::Id([1; 16]), Field::Integer(0), Field::Text("x")),
            (Field::Null, Field::Null, Field::Null),
            (Field::Null, Field::Integer(0), Field::Text("")),
            (Field::Id([2; 16]), Field::Integer(i64::MIN), Field::Text("x")),
        ];
        let mut insert = Row::prepare(&conn, "INSERT INTO t (a, b, c) VALUES (?1, ?2, ?3)").unwrap();
        for (a, b, c) in rows {
            assert_eq!(insert.insert(&[a, b, c]).unwrap(), 1);
        }
        let mut read = conn.prepare("SELECT a, b, c FROM t ORDER BY rowid").unwrap();
        let found = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let found: Vec<Stored> = found.map(Result::unwrap).collect();
        let x = || Some("x".to_owned());
        let expected = [
            (Some([1; 16]), Some(0), x()),
            (Some([1; 16]), Some(0), x()),
            (None, None, None),
            (None, Some(0), Some(String::new())),
            (Some([2; 16]), Some(i64::MIN), x()),
        ];
        assert_eq!(found, expected);
    }
}
