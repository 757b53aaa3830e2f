//! TLS, and the small HTTPS client.

pub mod client;
