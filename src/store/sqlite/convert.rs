//! How the domain's values stand in columns.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Row};
use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::super::{RowState, StoreError, Subject};
use crate::alert::episode::storable;
use crate::alert::{Kind, Labels, Severity};

/// A time as nanoseconds; what does not fit is the nearest that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(pub(super) Timestamp);

impl ToSql for Nanos {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(storable(self.0).as_nanosecond() as i64))
    }
}

impl FromSql for Nanos {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let at = Timestamp::from_nanosecond(i128::from(value.as_i64()?));
        at.map(Nanos).map_err(FromSqlError::other)
    }
}

/// A severity as its rank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank(pub(super) Severity);

impl ToSql for Rank {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0 as i64))
    }
}

impl FromSql for Rank {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let order = [Severity::None, Severity::Info, Severity::Warning, Severity::Critical];
        let rank = usize::try_from(value.as_i64()?).ok().and_then(|rank| order.get(rank).copied());
        rank.map(Rank).ok_or(FromSqlError::InvalidType)
    }
}

/// A word of an enum, as serde writes it.
#[derive(Clone, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<T: Serialize> Word<T> {
    pub(super) fn text(&self) -> rusqlite::Result<String> {
        match serde_json::to_value(&self.0) {
            Ok(serde_json::Value::String(word)) => Ok(word),
            Ok(other) => Err(rusqlite::Error::ToSqlConversionFailure(format!("{other} is no word").into())),
            Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
        }
    }
}

impl<T: Serialize> ToSql for Word<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.text().map(ToSqlOutput::from)
    }
}

impl<T: DeserializeOwned> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word: StrDeserializer<'_, serde_json::Error> = value.as_str()?.into_deserializer();
        T::deserialize(word).map(Word).map_err(FromSqlError::other)
    }
}

/// Labels or annotations as a JSON object.
pub(super) fn json(labels: &Labels) -> rusqlite::Result<String> {
    serde_json::to_string(labels).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Labels or annotations from a column.
pub(super) struct Json(pub(super) Labels);

impl FromSql for Json {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(FromSqlError::other)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(id) => write!(out, "incident:{id}"),
            Self::Notice(kind) => write!(out, "notice:{kind}"),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("incident", id)) => id.parse().map(Self::Incident).map_err(|error| format!("{text}: {error}")),
            Some(("notice", kind)) => Ok(Self::Notice(kind.to_owned())),
            _ => Err(format!("`{text}` is no subject")),
        }
    }
}

impl ToSql for Subject {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

impl FromSql for Subject {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

/// A column's time.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get::<_, Nanos>(column).map(|at| at.0)
}

/// A column's time, or none.
pub(super) fn time_or_none(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<Nanos>>(column).map(|at| at.map(|at| at.0))
}

/// A column's kind.
pub(super) fn kind(row: &Row<'_>, column: &str) -> rusqlite::Result<Kind> {
    row.get::<_, Word<Kind>>(column).map(|kind| kind.0)
}

/// A column's state.
pub(super) fn state(row: &Row<'_>, column: &str) -> rusqlite::Result<RowState> {
    row.get::<_, Word<RowState>>(column).map(|state| state.0)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let damaged =
            matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ) || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        if damaged { Self::Damaged(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}
