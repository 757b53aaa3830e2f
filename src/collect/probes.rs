//! Probes: whether something answers, as blackbox_exporter asks it. Targets of the configuration are probed with every
//! scrape; `/probe?target=…&module=…` probes what the configuration lets be reached.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use super::{Answer, CollectError, Collector, Declare, Deps, Endpoint, Output, Question, Refused, Said};
use crate::clock::Clock;
use crate::config::{Environment, Problem, Problems};
use crate::metrics::expose::{self, Format};
use crate::metrics::{Batch, Desc};

mod certificate;
mod config;
mod costly;
mod defaults;
mod dns;
mod families;
mod foreign;
mod found;
mod gaps;
mod grpc;
mod http;
mod icmp;
mod module;
mod pattern;
mod reach;
mod resolve;
mod secure;
mod tcp;
mod verdict;
mod wire;

pub use config::{ProbesConfig, Target};
pub use module::Module;

use found::{Found, Kind, Transcript};
use module::Prober;
use reach::Reach;
use secure::Configurations;
use verdict::Verdicts;

/// What is used where a question names no module, as in the original.
const DEFAULT_MODULE: &str = "http_2xx";

/// A longer target is none.
const LONGEST_TARGET: usize = 2_048;

/// The longest that a target of the configuration takes where neither it nor its module says: one that hangs holds the
/// scrape as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of a deadline for the samples' way.
const MARGIN: Duration = Duration::from_millis(250);

/// Probes targets.
pub struct Probes {
    modules: BTreeMap<String, Prepared>,
    targets: Vec<Target>,
    reach: Reach,
    tls: Configurations,
    said: Said,
    clock: Clock,
    concurrency: usize,
    /// The longest that a probe of a scrape takes, so that all of them end within the collector's deadline.
    share: Duration,
}

/// A module, and what its probes fail with whatever the target.
struct Prepared {
    module: Module,
    refusal: Option<String>,
}

/// What a probe is made with, besides its module.
struct Around<'p> {
    tls: &'p Configurations,
    reach: &'p Reach,
    target: &'p str,
    /// The module's name.
    module: &'p str,
    hostname: Option<&'p str>,
}

/// How a probe went.
struct Outcome {
    found: Found,
    seconds: f64,
    /// Why it failed, in words that are the same each time.
    why: Option<String>,
}

impl Outcome {
    fn write(&self, batch: &mut Batch) {
        self.found.write(batch);
        batch.push(&families::DURATION, &[], self.seconds);
        batch.push(&families::SUCCESS, &[], f64::from(self.why.is_none()));
    }
}

impl Probes {
    async fn probe(
        &self,
        around: &Around<'_>,
        prepared: &Prepared,
        limit: Duration,
        transcript: Transcript,
    ) -> Outcome {
        let mut found = Found { transcript, stage: "beginning", ..Found::default() };
        let begun = Instant::now();
        let result = timeout(limit, run(around, prepared, &mut found)).await;
        let why = match result {
            Ok(result) => result.err(),
            Err(_) => Some(format!("no answer in time while {}", found.stage)),
        };
        match &why {
            None => found.transcript.say(|| "the probe succeeded".into()),
            Some(why) => found.transcript.say(|| format!("the probe failed: {why}")),
        }
        Outcome { found, seconds: begun.elapsed().as_secs_f64(), why }
    }

    /// Probes every target, so many at once as is allowed, and returns how it went in the targets' order.
    async fn probe_all(&self) -> Vec<(usize, Outcome)> {
        let (mut running, mut outcomes, mut next) = (FuturesUnordered::new(), Vec::new(), 0);
        loop {
            while let Some(target) = self.targets.get(next).filter(|_| running.len() < self.concurrency) {
                running.push(self.probe_target(next, target));
                next += 1;
            }
            let Some(outcome) = running.next().await else { break };
            outcomes.extend(outcome);
        }
        outcomes.sort_unstable_by_key(|(at, _)| *at);
        outcomes
    }

    async fn probe_target(&self, at: usize, target: &Target) -> Option<(usize, Outcome)> {
        let prepared = self.modules.get(target.module())?;
        let around = Around {
            tls: &self.tls,
            reach: &self.reach,
            target: &target.target,
            module: target.module(),
            hostname: target.hostname.as_deref(),
        };
        let wanted = target.timeout.or(prepared.module.timeout).map_or(PATIENCE, |span| span.0);
        let outcome = self.probe(&around, prepared, wanted.min(self.share), Transcript::default()).await;
        Some((at, outcome))
    }
}

/// Runs the module's prober. What it found stays in `found`, also when it is cut off.
async fn run(around: &Around<'_>, prepared: &Prepared, found: &mut Found) -> Result<(), String> {
    let module = &prepared.module;
    found.kind = match module.prober {
        Prober::Http => Kind::Http(Box::default()),
        Prober::Tcp | Prober::Tls | Prober::Unix => Kind::Tcp(found::Tcp::default()),
        Prober::Icmp => Kind::Icmp(found::Icmp::default()),
        Prober::Dns => Kind::Dns(found::Dns::default()),
        Prober::Grpc => Kind::Grpc(found::Grpc::default()),
    };
    // The prober's own findings are taken out while it runs, and put back however it ends.
    let mut kept = Kept { kind: std::mem::take(&mut found.kind), found };
    let (kind, found) = (&mut kept.kind, &mut *kept.found);
    if let Kind::Http(http) = &mut *kind {
        http.expects(&module.http);
    }
    if let Some(refusal) = &prepared.refusal {
        return Err(refusal.clone());
    }
    match kind {
        Kind::Http(it) => http::probe(around, &module.http, around.target, found, it).await,
        Kind::Tcp(it) => tcp::probe(around, &module.stream(), around.target, found, it).await,
        Kind::Icmp(it) => icmp::probe(&module.icmp, around.target, found, it).await,
        Kind::Dns(it) => dns::probe(around, &module.dns, around.target, found, it).await,
        Kind::Grpc(it) => grpc::probe(around, &module.grpc, around.target, found, it).await,
        Kind::None => Ok(()),
    }
}

/// Puts the findings back where they belong when a probe ends or is cut off.
struct Kept<'f> {
    kind: Kind,
    found: &'f mut Found,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.found.kind = std::mem::take(&mut self.kind);
    }
}

#[async_trait]
impl Collector for Probes {
    async fn collect(&self, out: &mut Output) -> Result<(), CollectError> {
        let outcomes = self.probe_all().await;
        let mut verdicts = Verdicts::default();
        for (at, outcome) in &outcomes {
            let Some(target) = self.targets.get(*at) else { continue };
            let mut batch = Batch::of_labels(&[("job", target.job()), ("instance", target.instance())]);
            outcome.write(&mut batch);
            out.add("probes", batch);
            self.said.tell("probes", &format!("{}/{}", target.job(), target.instance()), outcome.why.as_deref());
            verdicts.add(target, outcome.why.as_deref());
        }
        out.facts.services.extend(verdicts.states(self.clock.now()));
        Ok(())
    }

    async fn answer(&self, question: &Question) -> Result<Answer, Refused> {
        let target = question.get("target").filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| Refused::Senseless("Target parameter is missing".into()))?;
        if target.len() > LONGEST_TARGET {
            return Err(Refused::Senseless("the target is too long".into()));
        }
        let module = question.get("module").unwrap_or(DEFAULT_MODULE);
        let Some(prepared) = self.modules.get(module) else {
            return Err(Refused::Senseless(format!("Unknown module {:?}", module.get(..64).unwrap_or(module))));
        };
        let hostname = question.get("hostname").filter(|hostname| !hostname.is_empty());
        if !self.reach.asked(target, module, prepared.module.prober, hostname) {
            let why = "this target may not be probed from here by this module: the configuration does not list it; see \
                `collectors.probes.allow`";
            return Err(Refused::Forbidden(why.into()));
        }
        let debug = question.get("debug") == Some("true");
        let transcript = if debug { Transcript::kept() } else { Transcript::default() };
        let around = Around { tls: &self.tls, reach: &self.reach, target, module, hostname };
        let left = question.limit.saturating_sub(MARGIN).max(question.limit / 2);
        let limit = prepared.module.timeout.map_or(left, |span| span.0.min(left));
        let outcome = self.probe(&around, prepared, limit, transcript).await;
        let mut batch = Batch::new();
        outcome.write(&mut batch);
        Ok(if debug { Answer::Text(told(&outcome, &batch, module, prepared)) } else { Answer::Samples(batch) })
    }
}

/// What `?debug=true` shows: the transcript, the samples, the module without its secrets.
fn told(outcome: &Outcome, batch: &Batch, module: &str, prepared: &Prepared) -> String {
    let mut samples = Vec::new();
    expose::write(&[batch], Format::Text, &mut samples);
    format!(
        "Logs for the probe:\n{}\n\n\nMetrics that would have been returned:\n{}\n\n\nModule configuration:\n{module}: {:#?}\n",
        outcome.found.transcript.lines().join("\n"),
        String::from_utf8_lossy(&samples),
        prepared.module,
    )
}

impl Declare for Probes {
    type Config = ProbesConfig;

    const PARTS: &'static [&'static str] = &[];

    const ENDPOINT: Option<Endpoint> =
        Some(Endpoint { path: "/probe", keys: "collectors.probes.targets, collectors.probes.allow" });

    const NAMED_BY: Option<&'static str> = Some("[[collectors.probes.targets]]");

    fn descs() -> Vec<&'static Desc> {
        families::ALL.to_vec()
    }

    fn complete(config: &mut ProbesConfig, _environment: &Environment, _problems: &mut Problems) {
        config.load();
    }

    fn watches(config: &ProbesConfig) -> Option<String> {
        match config.targets.len() {
            0 => (!config.allow.is_empty()).then(|| "what `/probe` asks for".into()),
            1 => Some("1 target".into()),
            count => Some(format!("{count} targets")),
        }
    }

    fn check(config: &ProbesConfig, problems: &mut Problems) {
        config.check(problems);
    }

    fn build(config: &ProbesConfig, parts: &Deps) -> Self {
        let prepare = |module: Module| Prepared { refusal: gaps::refusal(&module), module };
        let listed = config.targets.iter().map(|target| (target.target.clone(), target.module().to_owned()));
        let concurrency = config.concurrency.max(1);
        let rounds = config.targets.len().div_ceil(concurrency).max(1);
        let budget = config.schedule.timeout.0;
        Self {
            modules: config.all_modules().into_iter().map(|(name, module)| (name, prepare(module))).collect(),
            targets: config.targets.clone(),
            reach: Reach::new(listed, &config.allow),
            tls: Configurations::default(),
            said: Said::default(),
            clock: parts.clock.clone(),
            concurrency,
            share: budget.saturating_sub(MARGIN).max(budget / 2) / u32::try_from(rounds).unwrap_or(u32::MAX),
        }
    }
}

/// What of a `blackbox.yml` is not done here, each with its line; and how many modules it has.
///
/// # Errors
/// The file cannot be read, or does not have the expected shape.
pub fn examine(file: &Path) -> Result<(usize, Vec<Problem>), Problem> {
    foreign::read(file).map(|(modules, problems)| (modules.len(), problems))
}
