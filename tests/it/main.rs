//! Behaviour tests, against the library in this process and against the real programs around it. One binary: modules by
//! behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test may fail loudly and may run other programs; clippy's allow-in-tests reaches only #[test] functions"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod agents;
mod alertmanager;
mod assets;
mod attacks;
mod bad_input;
mod collectors;
mod command_line;
mod compat;
mod compose;
mod containers;
mod crash;
mod crates;
mod dashboards;
mod decide;
mod deliver;
mod delivery;
mod dependencies;
mod disk;
mod documents;
mod doors;
mod end_to_end;
mod engine;
mod examples;
mod heartbeats;
mod host;
mod kill9;
mod lifecycle;
mod messages;
mod notify;
mod outage;
mod pages;
mod postgres;
mod probes;
mod reconcile;
mod redelivery;
mod redis;
mod rules;
mod server;
mod store;
mod tokens;
mod watchdog;
mod webhook;
