//! **tidewatch**: a Prometheus exporter and an Alertmanager webhook receiver in one process.
//!
//! # The house
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | one file a command |
//! | [`app`] | settings, building in order, readiness, reload, drain |
//! | [`http`] | the listener, who may ask what, routes, pages; the only place that knows axum |
//! | [`collect`] | the collectors, their list, the engine that runs them |
//! | [`notify`] | the notifiers, their list, the worker that delivers |
//! | [`reconcile`] | asks Alertmanagers what no post told |
//! | [`store`] | everything that is kept; the only place that knows SQLite |
//! | [`net`] | TLS and the small HTTPS client |
//! | [`task`] | the only place that spawns |
//! | [`telemetry`] | logs and the program's own counters |
//! | [`alert`] | pure: what an alert is, and what follows from it |
//! | [`agents`] | pure: the registry of agents |
//! | [`metrics`] | pure: what a metric is, and how it is written |
//! | [`facts`] | pure: what collectors tell beside samples |
//! | [`config`] | durations, sizes, URLs, secrets, problems; no section of anybody's |
//! | [`clock`] | time as an argument |
//!
//! # Dependencies point one way
//!
//! ```text
//! main -> cli -> app -> { http, collect, notify, reconcile } -> { store, net } -> task -> telemetry
//!      -> { alert, agents } -> { metrics, facts, config, clock }
//! ```
//!
//! Any layer may use any lower one; siblings, within one pair of braces, never import each other. A test holds this.
//!
//! # Where to add things
//!
//! *A collector*: one file in `src/collect/` and one line in its list. *A notifier*: one file in `src/notify/` and one
//! line in its list.

pub mod agents;
pub mod alert;
pub mod app;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod facts;
pub mod http;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod reconcile;
pub mod store;
pub mod task;
pub mod telemetry;
