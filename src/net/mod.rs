//! TLS, dialling, and the small HTTPS client.

pub mod client;
pub mod dial;
pub mod handshake;
pub mod metered;
mod pinned;
pub mod serve;
pub mod tls;
