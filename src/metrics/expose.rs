//! Writes batches in the text format 0.0.4 or OpenMetrics 1.0.0.

use super::Batch;

/// The format of a response, chosen by the scraper's `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for first, among those that we write; the text format if it asks for none.
    pub fn negotiate(_accept: &str) -> Self {
        Self::Text
    }

    /// The `Content-Type` of the response.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes `batches` as one exposition into `out`: a family at a time over all of them.
pub fn write(_batches: &[&Batch], _format: Format, _out: &mut Vec<u8>) {}

/// Compresses an exposition for a scraper that accepts gzip.
pub fn gzip(_plain: &[u8], _out: &mut Vec<u8>) {}
