//! To be filled.

pub mod assets;
