//! To be filled.

pub mod agents;
pub mod assets;
pub mod client;
