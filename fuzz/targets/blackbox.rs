//! A foreign `blackbox.yml`: read, or refused with what is wrong.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidewatch::collect::probes;

/// The file that is examined; `/dev/shm` is memory.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir()).unwrap_or_else(std::env::temp_dir);
    folder.join(format!("tidewatch-fuzz-{}.yml", std::process::id()))
});

fuzz_target!(|text: &str| {
    std::fs::write(&*FILE, text).expect("memory for a file");
    match probes::examine(&FILE) {
        Ok((modules, gaps)) => assert!(modules > 0 || gaps.is_empty(), "gaps of no module"),
        Err(problem) => assert!(!problem.message.is_empty()),
    }
});
