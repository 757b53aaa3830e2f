//! What a metric is and how it is written. Pure: no I/O, no tokio.
//!
//! A collector declares its families as `static` [`Desc`]s and pushes const samples into a [`Batch`]; [`expose`] writes
//! batches in the format that the scraper asked for. Nothing is kept between scrapes.

mod batch;
mod desc;
mod distribution;
mod dropped;
pub mod expose;
mod format;
mod histogram;
mod labels;
mod merge;
pub mod parse;
mod text;

pub use batch::{Batch, Room};
pub use desc::{Desc, Kind};
pub use dropped::{Dropped, Reason};
pub use histogram::{Histogram, Summary};
