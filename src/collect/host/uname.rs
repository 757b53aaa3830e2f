//! `uname`: which kernel runs, and the host's name (uname(2)).

use async_trait::async_trait;

use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

pub(super) static INFO: Desc = Desc::gauge(
    "node_uname_info",
    "Labeled system information as provided by the uname system call.",
    &["domainname", "machine", "nodename", "release", "sysname", "version"],
);

pub(super) struct Uname;

impl Listed for Uname {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO]
    }

    fn new(_site: &Site<'_>) -> Self {
        Self
    }
}

#[async_trait]
impl Part for Uname {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let uname = rustix::system::uname();
        #[cfg(target_os = "linux")]
        let domain = uname.domainname();
        #[cfg(not(target_os = "linux"))]
        let domain = c"(none)";
        let labels = [domain, uname.machine(), uname.nodename(), uname.release(), uname.sysname(), uname.version()]
            .map(|label| label.to_string_lossy());
        run.batch.push(&INFO, &labels.each_ref().map(AsRef::as_ref), 1.0);
        Ok(())
    }
}
