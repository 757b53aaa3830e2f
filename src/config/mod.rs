//! What configuration is made of: durations, sizes, URLs, secrets, and all problems at once. The sections belong to the
//! modules that read them; the root struct is `app::settings`.

pub(crate) mod credential;
mod problem;
mod secret;
mod stamp;
mod types;
pub mod yaml;

pub use problem::{Document, Problem, Problems, Severity as ProblemSeverity};
pub use secret::Secret;
pub use stamp::FileStamp;
pub use types::{Environment, HttpUrl, Size, Span};
