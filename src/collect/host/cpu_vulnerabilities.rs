//! `cpu_vulnerabilities`: flaws of the processors and what is done about them
//! (Documentation/ABI/testing/sysfs-devices-system-cpu).

use std::path::PathBuf;

use async_trait::async_trait;

use super::attribute;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static INFO: Desc = Desc::gauge(
    "node_cpu_vulnerabilities_info",
    "Details of each CPU vulnerability reported by sysfs; always 1.",
    &["codename", "state", "mitigation"],
);

const STATES: [&str; 4] = ["not affected", "vulnerable", "mitigation", "unknown"];

pub(super) struct Vulnerabilities {
    folder: PathBuf,
}

impl Listed for Vulnerabilities {
    fn descs() -> Vec<&'static Desc> {
        vec![&INFO]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { folder: site.roots.sysfs.join("devices/system/cpu/vulnerabilities") }
    }
}

#[async_trait]
impl Part for Vulnerabilities {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        for name in attribute::names(&self.folder)? {
            if let Some(text) = attribute::text(&self.folder.join(&name)) {
                let (state, mitigation) = state(&text);
                run.batch.push(&INFO, &[&name, state, &mitigation], 1.0);
            }
        }
        Ok(())
    }
}

/// `Mitigation: PTI`: one of the known states, and what the kernel says beside it.
fn state(text: &str) -> (&'static str, String) {
    let lower = text.to_lowercase();
    match STATES.into_iter().find(|state| lower.starts_with(state)) {
        Some("not affected") => ("not affected", String::new()),
        Some(state) => (state, text.split_ascii_whitespace().skip(1).collect::<Vec<_>>().join(" ")),
        None => ("unknown", text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::state;

    #[test]
    fn the_kernel_s_words_are_a_state_and_a_mitigation() {
        assert_eq!(state("Not affected"), ("not affected", String::new()));
        assert_eq!(state("Vulnerable"), ("vulnerable", String::new()));
        assert_eq!(state("Vulnerable: No microcode"), ("vulnerable", "No microcode".into()));
        assert_eq!(state("Mitigation: PTI"), ("mitigation", "PTI".into()));
        assert_eq!(state("Unknown: No mitigations"), ("unknown", "No mitigations".into()));
        assert_eq!(state("KVM: Mitigation: off"), ("unknown", "KVM: Mitigation: off".into()));
    }
}
