//! The registry of agents: pure.
//!
//! Whatever hears of an agent (a pushed heartbeat, a gateway that is asked) tells the [`Registry`], with the time as an
//! argument; whoever shows agents asks it for a [`Snapshot`]. Several sources may tell of one agent: the newest wins.

mod agent;
mod counter;
mod heartbeat;
mod id;
mod limits;
mod pulse;
mod quorum;
mod registry;
mod score;
mod text;
mod view;

pub use counter::{Amount, Count, Totals};
pub use heartbeat::{Heartbeat, Tasks, Tokens};
pub use id::{AgentId, IdError};
pub use limits::{Expectation, Limits, Settings};
pub use quorum::{Group, Quorum};
pub use registry::{Change, Refusal, Refused, Registry, Row, Source};
pub use view::{Condition, Snapshot, Tally, View, in_words};
