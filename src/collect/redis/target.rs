//! One server: its connection, its runs, and what they tell.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::link::{Down, Link, Session};
use super::own::{self, History};
use super::section::TargetConfig;
use super::standard::{self, Standard};
use super::{checks, snapshot, verdict};
use crate::metrics::Batch;

/// The label of the role.
const ROLE: &str = "instance_role";

/// One server.
pub(super) struct Target {
    /// Its name in the configuration, or the address that was asked for.
    pub(super) name: String,
    link: Link,
    /// Kept between runs. One that holds it asks alone.
    session: Mutex<Option<Session>>,
    history: History,
}

/// What a run told.
pub(super) struct Told {
    /// With and without the label of the role.
    pub(super) batches: [Batch; 2],
    /// Why the server gives nothing, if it does not.
    pub(super) down: Option<Down>,
    /// What somebody should look at.
    pub(super) findings: Vec<String>,
}

/// What a run is about, besides the server.
#[derive(Clone, Copy)]
pub(super) struct Run<'r> {
    pub(super) config: &'r TargetConfig,
    /// The value of `instance`, from the second server on.
    pub(super) instance: Option<&'r str>,
    /// Whether the older names are written too.
    pub(super) older: bool,
    pub(super) now: Timestamp,
}

impl Target {
    pub(super) fn new(name: String, link: Link) -> Self {
        Self { name, link, session: Mutex::new(None), history: History::default() }
    }

    pub(super) fn address(&self) -> &super::address::Address {
        &self.link.address
    }

    /// Asks the server. Ends within the configured times, whatever the server does.
    pub(super) async fn run(&self, run: Run<'_>) -> Told {
        let (began, limit) = (Instant::now(), run.config.timeout.0);
        // A session that is being asked when the time is up is lost with what it was asked.
        let asked = timeout(limit, self.ask(run.config, limit)).await.unwrap_or(Err(Down::Silent(limit)));
        let mut plain = batch(run.instance, None);
        let mut told = match asked {
            Ok((session, standard)) => self.up(run, session, &standard, began, &mut plain).await,
            Err(down) => {
                let mut batch = batch(run.instance, None);
                own::write_up(Some(&down.to_string()), began.elapsed(), &mut batch);
                Told { batches: [batch, Batch::new()], down: Some(down), findings: Vec::new() }
            }
        };
        self.history.add(began.elapsed(), &mut plain);
        told.batches[1] = plain;
        told
    }

    async fn up(
        &self,
        run: Run<'_>,
        mut session: Session,
        standard: &Standard,
        began: Instant,
        plain: &mut Batch,
    ) -> Told {
        let role = standard.role();
        let mut batch = batch(run.instance, run.config.append_instance_role_label.then_some(role.as_str()));
        standard.write(run.config, run.older, run.now, &mut batch);
        if run.config.include_rdb_file_size_metric {
            snapshot::write(&standard.settings, &mut batch).await;
        }
        own::write_connect(session.took, plain);
        let deadline = Instant::now() + run.config.keys_timeout.0;
        let mut checks = checks::Checks { session: &mut session, config: run.config, deadline };
        let whole = checks.run(standard, &mut batch).await;
        own::write_up(None, began.elapsed(), &mut batch);
        if whole {
            *self.session.lock().await = Some(session);
        }
        Told { batches: [batch, Batch::new()], down: None, findings: verdict::findings(&standard.info) }
    }

    /// The standard questions, over the kept connection or a new one. A kept one that has broken says nothing about the
    /// server: it is asked again.
    async fn ask(&self, config: &TargetConfig, limit: Duration) -> Result<(Session, Standard), Down> {
        let kept = self.session.lock().await.take();
        if let Some(mut session) = kept {
            session.refresh();
            match standard::ask(&mut session, config).await {
                Ok(standard) => return Ok((session, standard)),
                Err(Down::Broken) => {}
                Err(down) => return Err(down),
            }
        }
        let mut session = self.link.open(config, limit).await?;
        let standard = standard::ask(&mut session, config).await?;
        Ok((session, standard))
    }
}

fn batch(instance: Option<&str>, role: Option<&str>) -> Batch {
    let mut labels = Vec::new();
    labels.extend(instance.map(|instance| ("instance", instance)));
    labels.extend(role.map(|role| (ROLE, role)));
    Batch::of_labels(&labels)
}
