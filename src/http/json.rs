//! Answers as JSON, up to a bound: what is kept came from outside.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::refusal::Refusal;

/// A longer answer is refused: it would stand in memory whole.
const MOST: usize = 16 << 20;

/// Writes `value`.
pub(super) fn answer(value: &impl Serialize) -> Result<Response, Refusal> {
    let mut out = Bounded(Vec::new());
    if serde_json::to_writer(&mut out, value).is_err() {
        let message = format!("the answer would be above {} MiB: ask for less with limit=", MOST >> 20);
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], out.0).into_response())
}

struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_beyond_the_bound_is_refused() {
        assert_eq!(answer(&"x".repeat(MOST - 2)).unwrap().status(), 200);
        assert!(answer(&"x".repeat(MOST)).is_err());
    }
}
