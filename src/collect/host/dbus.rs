//! The system's message bus: asking its services for properties, within a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, OwnedVariant, Type, Variant};

use super::Roots;
use crate::collect::CollectError;

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// So many questions are under way at once: the service answers one after the other, but nobody waits for the way.
const AT_ONCE: usize = 64;

/// Where the bus is, and how long it may take.
pub(super) struct Bus {
    socket: PathBuf,
    limit: Duration,
}

/// A service on the bus that is asked.
pub(super) struct Service {
    connection: Connection,
    name: &'static str,
}

/// A property of an object.
pub(super) struct Question {
    pub(super) path: String,
    pub(super) interface: &'static str,
    pub(super) property: &'static str,
}

/// What a property holds, as far as samples need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

impl Bus {
    pub(super) fn new(roots: &Roots, limit: Duration) -> Self {
        Self { socket: roots.rootfs.join("run/dbus/system_bus_socket"), limit }
    }

    /// Does `work` with a service. The connection is made anew each time: none is left behind that could go stale.
    pub(super) async fn ask<T>(
        &self,
        name: &'static str,
        work: impl AsyncFnOnce(Service) -> zbus::Result<T>,
    ) -> Result<T, CollectError> {
        let done = timeout(self.limit, async {
            let connection = Builder::address(address(&self.socket).as_str()).build().await?;
            work(Service { connection, name }).await
        });
        let why = match done.await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => format!("{name}: {error}"),
            Err(_) => format!("{name}: no answer within {:?}", self.limit),
        };
        Err(CollectError::Malformed { what: self.socket.display().to_string(), why })
    }
}

impl Service {
    /// Calls a method without arguments.
    pub(super) async fn call<T: DeserializeOwned + Type>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
    ) -> zbus::Result<T> {
        let reply = self.connection.call_method(Some(self.name), path, Some(interface), method, &()).await?;
        reply.body().deserialize_ignore_signature()
    }

    /// The property, or nothing where the object lacks it: it may have gone since it was listed.
    pub(super) async fn get(&self, question: &Question) -> Option<Value> {
        let body = (question.interface, question.property);
        let reply =
            self.connection.call_method(Some(self.name), question.path.as_str(), Some(PROPERTIES), "Get", &body).await;
        let value: OwnedVariant = reply.ok()?.body().deserialize().ok()?;
        Value::of(&value)
    }

    /// The answers to many questions, in their order.
    pub(super) async fn get_all(&self, questions: &[Question]) -> Vec<Option<Value>> {
        let answers: Vec<_> = questions.iter().map(|question| self.get(question)).collect();
        stream::iter(answers).buffered(AT_ONCE).collect().await
    }
}

impl Value {
    fn of(value: &Variant<'_>) -> Option<Self> {
        Some(match value {
            Variant::Str(text) => Self::Text(text.to_string()),
            Variant::Bool(value) => Self::Text(value.to_string()),
            Variant::U32(number) => Self::Number((*number).into()),
            Variant::U64(number) => Self::Number(*number),
            _ => return None,
        })
    }

    /// A text; that of a number is empty.
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(_) => String::new(),
        }
    }

    /// A number. What is not set is the highest one.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number).filter(|number| *number != u64::MAX),
            Self::Text(_) => None,
        }
    }
}

/// The bus's address, with what an address may not hold written as `%` and its code (the D-Bus specification).
fn address(socket: &Path) -> String {
    let mut address = "unix:path=".to_owned();
    for byte in socket.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.*".contains(byte) {
            address.push(char::from(*byte));
        } else {
            address.push_str(&format!("%{byte:02x}"));
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_escapes_what_would_end_it() {
        assert_eq!(address(Path::new("/run/dbus/a,b=c d")), "unix:path=/run/dbus/a%2cb%3dc%20d");
    }

    #[test]
    fn what_is_not_set_is_no_number() {
        assert_eq!(Value::of(&Variant::U64(u64::MAX)).unwrap().number(), None);
        assert_eq!(Value::of(&Variant::U32(7)).unwrap().number(), Some(7));
        assert_eq!(Value::of(&Variant::Bool(true)).unwrap().text(), "true");
        assert_eq!(Value::of(&Variant::F64(1.0)), None);
    }
}
