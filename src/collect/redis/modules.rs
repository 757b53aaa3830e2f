//! The modules that the server has loaded.

use super::info::{Info, word};
use crate::metrics::{Batch, Desc};

/// So many modules are written.
const MOST: usize = 200;

const LABELS: [&str; 6] = ["name", "ver", "api", "filters", "usedby", "using"];

static INFO: Desc = Desc::gauge("redis_module_info", "redis_exporter: a loaded module.", &LABELS);

pub(super) static DESCS: [&Desc; 1] = [&INFO];

/// Writes the lines `module:name=lua,ver=1,…`.
pub(super) fn write(info: &Info<'_>, batch: &mut Batch) {
    for line in info.section("Modules").filter(|line| line.field == "module").take(MOST) {
        batch.push(&INFO, &LABELS.map(|label| word(line.value, label)), 1.0);
    }
}
