//! What fired and ended while nobody listened: Alertmanager forgets it, Prometheus does not.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::form_urlencoded::Serializer;

use super::server::Server;
use super::{Deps, Watch, concerns_people, names};
use crate::alert::gap::Gap;
use crate::alert::reconcile::Differences;
use crate::alert::webhook::Limits;
use crate::alert::{Alert, text};
use crate::clock::later;

/// A shorter absence is a restart: Alertmanager's next word has all of it.
const SHORTEST: Duration = Duration::from_mins(1);

/// What is longer ago has been noticed otherwise.
const LONGEST: Duration = Duration::from_hours(24);

/// Where the whole machine starts, Prometheus may come later.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_secs(15);

/// The longest answer.
const ANSWER: usize = 16 << 20;

/// Asks until there is an answer, keeps what was missed, and tells people.
pub(super) async fn look_back(watch: &Watch, deps: &Deps, alive: Timestamp) {
    let to = deps.listening_since;
    let from = alive.max(to.saturating_sub(LONGEST).unwrap_or(Timestamp::MIN));
    let (Some(server), true) = (&watch.prometheus, to > later(from, SHORTEST)) else { return };
    let gap = Gap { from, to };
    let mut stopping = std::pin::pin!(deps.tasks.stopping());
    for attempt in 1..=ATTEMPTS {
        let why = match ask(server, &gap).await {
            Ok(missed) => match keep(watch, deps, &gap, missed).await {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            Err(why) => why,
        };
        if attempt == 1 || attempt == ATTEMPTS {
            tracing::warn!(server = server.shown(), why, attempt, "what fired while nobody listened is not known");
        }
        tokio::select! {
            () = &mut stopping => return,
            () = deps.clock.sleep(PAUSE) => {}
        }
    }
}

async fn ask(server: &Server, gap: &Gap) -> Result<Vec<Alert>, String> {
    let path = format!("api/v1/query_range?{}", question(gap));
    let body = server.get(&path, ANSWER).await?;
    gap.missed(&body, &Limits::default())
}

fn question(gap: &Gap) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("query", r#"ALERTS{alertstate="firing",via!="fallback"}"#);
    query.append_pair("start", &gap.from.as_second().to_string());
    query.append_pair("end", &gap.to.as_second().to_string());
    query.append_pair("step", &gap.step().as_secs().to_string());
    query.finish()
}

async fn keep(watch: &Watch, deps: &Deps, gap: &Gap, mut missed: Vec<Alert>) -> Result<(), crate::store::StoreError> {
    missed.retain(|alert| concerns_people(alert, &deps.policy));
    let length = text::length(text::seconds(gap.from, gap.to));
    tracing::info!(source = watch.name, missed = missed.len(), "nobody listened for {length}");
    if missed.is_empty() {
        return Ok(());
    }
    let count = missed.len();
    let text = format!(
        "nobody listened for {length}, and {count} alerts of source {} fired and ended in that time: {}",
        text::line(&watch.name, 60),
        names(&missed),
    );
    let differences = Differences { found: missed, ..Differences::default() };
    deps.store.reconcile(&watch.name, differences, Arc::clone(&deps.policy)).await?;
    deps.meters.alerts.with_label_values(&[watch.name.as_str(), "missed"]).inc_by(count as u64);
    deps.store.notice("missed", &text, deps.policy.routes.all()).await
}
