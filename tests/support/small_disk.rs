//! A file system of its own, small, and gone with the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::program;

pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Of `size`, as mount writes it: `4m`. `None`, and it is said, where nothing may be mounted.
    #[expect(clippy::print_stdout, reason = "a test that is not made says so")]
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mut mount = Command::new(program("mount"));
        let status = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).status().unwrap();
        if status.success() {
            return Some(Self(at.to_owned()));
        }
        // The store's own tests fill a database by its limit of pages.
        assert!(!rustix::process::geteuid().is_root() || std::env::var_os("CI").is_none(), "root, and no mount");
        println!("SKIPPED: no file system may be mounted here");
        None
    }

    /// Fills it to the last byte with one file, whose path is returned.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut rest = std::fs::File::create(&filler).unwrap();
        std::io::copy(&mut std::io::repeat(0), &mut rest).unwrap_err();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new(program("umount")).arg(&self.0).status());
    }
}
