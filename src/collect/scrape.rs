//! The engine: runs collectors for scrapers, each once at a time, each within its deadline.
