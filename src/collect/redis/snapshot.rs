//! The size of the snapshot's file, where the server runs on this machine.

use std::path::Path;

use super::settings::Settings;
use crate::metrics::{Batch, Desc};

static SIZE: Desc = Desc::gauge(
    "redis_rdb_current_size_bytes",
    "redis_exporter: size of the snapshot's file, which must be on this machine; 0 without one.",
    &[],
);

pub(super) static DESCS: [&Desc; 1] = [&SIZE];

/// Writes the size of the file that the settings name: a plain name in the server's folder, nothing else.
pub(super) async fn write(settings: &Settings, batch: &mut Batch) {
    let (Some(folder), Some(name)) = (settings.get("dir"), settings.get("dbfilename")) else { return };
    let is_plain = Path::new(name).file_name().is_some_and(|plain| plain == name.as_str());
    if !is_plain {
        return;
    }
    let size = match tokio::fs::metadata(Path::new(folder).join(name)).await {
        Ok(file) if file.is_file() => file.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        _ => return,
    };
    batch.push(&SIZE, &[], size as f64);
}
