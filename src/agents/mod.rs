//! The registry of agents: pure.

/// What is known of all agents.
#[derive(Debug, Default)]
pub struct Registry {}
