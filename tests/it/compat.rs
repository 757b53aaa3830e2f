//! What tidewatch offers of other exporters' families, against real servers: each module runs one kind of them and
//! compares with the scrapes in `tests/fixtures/reference/`. What is not offered stands in `exceptions.tsv` there.

mod blackbox;
pub(crate) mod containers;
mod host;
pub(crate) mod postgres;
mod probes;
mod redis;
