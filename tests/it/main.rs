//! Behaviour tests, against the library in this process and against the real programs around it. One binary: modules by
//! behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test may fail loudly and may run other programs; clippy's allow-in-tests reaches only #[test] functions"
)]

#[path = "../support/mod.rs"]
mod support;

mod deliver;
mod dependencies;
mod messages;
mod notify;
mod outage;
