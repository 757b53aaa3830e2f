//! TLS, dialling, and the small HTTPS client.

pub mod client;
pub mod dial;
mod pinned;
pub mod tls;
