//! What the disk itself takes for a durable write.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::latencies;

const BLOCK: usize = 4_096;

/// Writes 4 KiB and syncs the data (`fdatasync`), again and again, at the growing end of a new file in `folder`, as a
/// journal does.
pub(crate) fn run(folder: &Path, writes: usize) -> Value {
    let path = folder.join("fdatasync");
    let file = File::create(&path).unwrap();
    let times = (0..writes)
        .map(|number| {
            let begun = Instant::now();
            file.write_all_at(&[7; BLOCK], (number * BLOCK) as u64).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    latencies(times)
}
