//! A sign of life to a dead man's switch outside, which calls somebody when it stops: for when tidewatch itself, its
//! machine or its network is gone, and when it could not be relied on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Uri};
use prometheus::{IntCounterVec, IntGaugeVec};

use super::settings;
use super::shared::Shared;
use crate::config::credential;
use crate::net::client::Client;
use crate::telemetry::Telemetry;

/// How often is looked whether a reload has asked for pings.
const IDLE: Duration = Duration::from_secs(15);

/// The answer's body says nothing that is needed.
const ANSWER: usize = 1 << 10;

const RESULTS: [&str; 3] = ["ok", "failed", "withheld"];

/// Where to, and how often.
pub(super) struct Ping {
    client: Client,
    uri: Uri,
    every: Duration,
    timeout: Duration,
}

impl Ping {
    /// `None` where none is configured.
    ///
    /// # Errors
    /// The address cannot be read or used; the message does not repeat it.
    pub(super) fn build(config: &settings::Ping, client: &Client) -> anyhow::Result<Option<Self>> {
        let url = credential::read(config.url.as_ref(), config.url_file.as_deref()).context("watchdog.ping")?;
        let Some(url) = url else { return Ok(None) };
        let uri = credential::uri(&url).context("watchdog.ping")?;
        Ok(Some(Self { client: client.clone(), uri, every: config.every.0, timeout: config.timeout.0 }))
    }

    async fn send(&self) -> Result<(), String> {
        let request =
            Request::get(self.uri.clone()).body(Bytes::new()).map_err(|_| "the address is none".to_owned())?;
        let answer = self.client.send(request, self.timeout, ANSWER).await.map_err(|error| error.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("answered {}", answer.status.as_u16())) }
    }
}

struct Meters {
    pings: IntCounterVec,
    last: IntGaugeVec,
}

impl Meters {
    fn new(telemetry: &Telemetry) -> Self {
        let pings = telemetry.counter(
            "tidewatch_pings_total",
            "Signs of life to the dead man's switch outside, by how they ended; withheld while tidewatch cannot be relied on.",
            &["result"],
        );
        for result in RESULTS {
            pings.with_label_values(&[result]);
        }
        let last = "When the dead man's switch outside last took a sign of life; 0 before the first.";
        let last = telemetry.gauge("tidewatch_ping_last_success_timestamp_seconds", last, &[]);
        last.with_label_values::<&str>(&[]);
        Self { pings, last }
    }
}

/// Sends them, for as long as the program runs.
pub(super) fn run(shared: &Arc<Shared>) {
    let meters = Arc::new(Meters::new(&shared.parts.telemetry));
    if shared.parts.store.is_none() {
        return;
    }
    let shared = Arc::clone(shared);
    let tasks = shared.parts.tasks.clone();
    tasks.supervise("ping", move || {
        let (shared, meters) = (Arc::clone(&shared), Arc::clone(&meters));
        async move {
            let clock = &shared.parts.clock;
            let mut stopping = std::pin::pin!(shared.parts.tasks.stopping());
            let mut before = "";
            loop {
                let generation = shared.generation();
                let mut pause = IDLE;
                if let Some(ping) = &generation.ping {
                    pause = ping.every;
                    let (result, why) = match shared.unreliable() {
                        Some(why) => ("withheld", why),
                        None => ping.send().await.map_or_else(|why| ("failed", why), |()| ("ok", String::new())),
                    };
                    meters.pings.with_label_values(&[result]).inc();
                    if result == "ok" {
                        meters.last.with_label_values::<&str>(&[]).set(clock.now().as_second());
                    }
                    // Once for each change: it is sent every minute.
                    match (result, std::mem::replace(&mut before, result)) {
                        (now, before) if now == before => {}
                        ("ok", "") => {}
                        ("ok", _) => tracing::info!("the dead man's switch outside takes signs of life again"),
                        _ => tracing::warn!(result, why, "the dead man's switch outside gets no sign of life"),
                    }
                }
                drop(generation);
                tokio::select! {
                    () = &mut stopping => return,
                    () = clock.sleep(pause) => {}
                }
            }
        }
    });
}
