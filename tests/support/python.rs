//! Programs in Python that judge what tidewatch writes: the official models and parsers of other projects.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that has `tests/requirements.txt` installed: `python/bin/python` in the tests' cache.
pub(crate) fn python() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache = std::env::var_os("TIDEWATCH_TEST_CACHE").map_or_else(|| root.join(".cache"), PathBuf::from);
    let folder = cache.join("python");
    let program = folder.join("bin/python");
    assert!(
        program.is_file(),
        "{program} is missing: tests/run makes it, or: python3 -m venv {folder} && {folder}/bin/pip install -r tests/requirements.txt",
        program = program.display(),
        folder = folder.display(),
    );
    Command::new(program)
}
