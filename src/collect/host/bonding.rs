//! `bonding`: how many of the devices of a bond are up.

use std::path::PathBuf;

use async_trait::async_trait;

use super::sysfs::if_there;
use super::{Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::metrics::Desc;

static SLAVES: Desc =
    Desc::gauge("node_bonding_slaves", "Number of configured slaves per bonding interface.", &["master"]);
static ACTIVE: Desc = Desc::gauge("node_bonding_active", "Number of active slaves per bonding interface.", &["master"]);

pub(super) struct Bonds {
    class: PathBuf,
}

impl Listed for Bonds {
    fn descs() -> Vec<&'static Desc> {
        vec![&SLAVES, &ACTIVE]
    }

    fn new(site: &Site<'_>) -> Self {
        Self { class: site.roots.sysfs.join("class/net") }
    }
}

#[async_trait]
impl Part for Bonds {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        // The file is there when the module is: without it there is nothing to tell.
        let masters = run.table.text(&self.class.join("bonding_masters"))?;
        for master in masters.split_ascii_whitespace() {
            let folder = self.class.join(master);
            let slaves = run.files.text(&folder.join("bonding/slaves"))?.to_owned();
            let (mut all, mut active) = (0.0, 0.0);
            for slave in slaves.split_ascii_whitespace() {
                let state = |prefix| folder.join(format!("{prefix}_{slave}/bonding_slave/mii_status"));
                let up = match if_there(run.files.text(&state("lower")).map(is_up))? {
                    Some(up) => up,
                    // The link's name before Linux 3.14.
                    None => run.files.text(&state("slave")).map(is_up)?,
                };
                all += 1.0;
                active += f64::from(up);
            }
            run.batch.push(&SLAVES, &[master], all);
            run.batch.push(&ACTIVE, &[master], active);
        }
        Ok(())
    }
}

fn is_up(state: &str) -> bool {
    state.trim() == "up"
}
