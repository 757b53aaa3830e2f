//! The application: builds everything in order, says when it is ready, reloads, and ends in order. It runs in a test's
//! process as it runs in its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::agents::Registry;
use crate::clock::Clock;
use crate::collect::{self, scrape};
use crate::config::Environment;
use crate::http::control::ControlSocket;
use crate::http::limit::Work;
use crate::http::server::{Limits, Server, raise_open_files};
use crate::http::webhook::Gate;
use crate::http::{self, Api, Control, Front, Listener, Scraper};
use crate::metrics::expose::Format;
use crate::metrics::{Batch, expose};
use crate::net::serve::{self, Acceptor};
use crate::notify::deliver;
use crate::reconcile;
use crate::store::heartbeats::Journal;
use crate::store::{self, Lock, SqliteStore, Store};
use crate::task::Tasks;
use crate::telemetry::{LogLevel, Telemetry};

mod condition;
mod disk;
mod generation;
mod ledger;
mod ping;
mod readiness;
pub mod settings;
mod shared;
mod summary;
mod watchdog;
mod writes;

use generation::{Generation, Parts};
use readiness::Readiness;
use settings::{Door, Flags, Validated};
use shared::Shared;

/// What a start needs beside the configuration.
pub struct Start {
    /// What the command line said: a reload reads the same file.
    pub flags: Flags,
    /// The environment.
    pub environment: Environment,
    /// Time.
    pub clock: Clock,
    /// The log's level, for reloads; `None` where somebody else logs.
    pub log_level: Option<LogLevel>,
}

/// The running program.
pub struct App {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    data_dir: PathBuf,
    /// Held for as long as the data folder is ours.
    _lock: Lock,
}

/// What is at work when the program is told to end has this long.
const GRACE: Duration = Duration::from_secs(5);

/// The store is asked at least this often whether something has fallen due.
const TICK: Duration = Duration::from_secs(30);

impl App {
    /// Builds everything, in the order in which each thing needs the ones before, and starts it.
    ///
    /// # Errors
    /// A folder, file or address that cannot be used; the message says which, and what to do.
    pub async fn start(start: Start, validated: Validated) -> anyhow::Result<Self> {
        let Start { flags, environment, clock, log_level } = start;
        let telemetry = Telemetry::new();
        let tasks = Tasks::new(&telemetry);
        let readiness = Readiness::default();
        let (storing, listening) = (readiness.latch("the store"), readiness.latch("the listener"));
        raise_open_files();

        let data_dir = validated.settings.data_dir.clone();
        let lock = store::lock(&data_dir)?;
        let listeners = bind(&validated.doors).await?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let store: Option<Arc<dyn Store>> = if validated.settings.role.receives() {
            Some(Arc::new(SqliteStore::open(&data_dir, clock.clone(), &tasks, &telemetry)?))
        } else {
            None
        };
        let agents = Arc::new(Mutex::new(Registry::new(validated.settings.collectors.agents.settings())));
        let journal = Journal::open(&data_dir, Arc::clone(&agents), &clock, &tasks, &telemetry)?;
        drop(storing);

        let front =
            Arc::new(Front::new(validated.access(), Work::default(), validated.zone.clone(), &tasks, &telemetry));
        let parts = Parts {
            clock: clock.clone(),
            tasks: tasks.clone(),
            telemetry: telemetry.clone(),
            environment,
            agents: Arc::clone(&agents),
            store: store.clone(),
            meters: deliver::Meters::new(&telemetry),
            gates: deliver::Gates::default(),
            reconciled: reconcile::Meters::new(&telemetry),
            listening_since: clock.now(),
        };
        let doors = validated.doors.clone();
        let meters = serve::Meters::new(&telemetry);
        let generation = Generation::build(validated, &parts)?;
        generation.start(&parts);
        generation.look_back(&parts);
        let shared = Arc::new(Shared::new(parts, Arc::clone(&front), readiness, flags, log_level, generation));

        disk::watch(&shared).await;

        let gate = Gate::new(&telemetry);
        let (scraper, control): (Arc<dyn Scraper>, Arc<dyn Control>) = (shared.clone(), shared.clone());
        let api = Api {
            clock,
            tasks: tasks.clone(),
            telemetry: telemetry.clone(),
            agents,
            journal,
            store,
            gate,
            scraper,
            control,
        };
        let api = Arc::new(api);
        let server = Arc::new(Server::new(Limits::default(), tasks.clone(), &telemetry));
        for (listener, Door { address, collectors, tls }) in listeners.into_iter().zip(doors) {
            let router = http::router(Arc::clone(&api), &front, Listener { collectors });
            let server = Arc::clone(&server);
            let open = |tls| Acceptor::open(tls, address.to_string(), meters.clone()).map(Arc::new);
            let tls = tls.map(open).transpose()?;
            if let Some(tls) = &tls {
                tls.watch(&tasks);
            }
            drop(tasks.spawn("listener", async move { server.run(listener, tls, router).await }));
        }
        let control = ControlSocket::bind(&data_dir).await?;
        let router = http::router(api, &front, Listener::default());
        drop(tasks.spawn("control", async move { server.run(control, None, router).await }));
        tick(&shared);
        writes::watch(&shared);
        watchdog::watch(&shared);
        ping::run(&shared);
        drop(listening);
        Ok(Self { shared, addresses, data_dir, _lock: lock })
    }

    /// Where it listens, the main address first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The program's own counters.
    pub fn telemetry(&self) -> &Telemetry {
        &self.shared.parts.telemetry
    }

    /// What was found, what is served, what is not watched, and what to try next.
    pub fn summary(&self) -> String {
        summary::of(
            &self.shared.generation().validated,
            &self.shared.parts.environment,
            &self.addresses,
            &self.data_dir,
        )
    }

    /// Reads the configuration anew; all or nothing.
    ///
    /// # Errors
    /// All problems. Nothing has changed.
    pub async fn reload(&self) -> Result<(), String> {
        self.shared.reload().await
    }

    /// Takes no new requests, finishes those at work, commits, and ends. Returns how many tasks were cut off.
    pub async fn stop(self) -> usize {
        let left = self.shared.parts.tasks.drain(GRACE).await;
        if let Some(store) = &self.shared.parts.store {
            // Nothing ends a write to a disk that hangs: the program ends all the same.
            if tokio::time::timeout(GRACE, store.close()).await.is_err() {
                tracing::error!("the store is still writing: what it has not committed was not answered 200");
                return left + 1;
            }
        }
        left
    }

    /// Collects once, without a server, and writes the text format.
    ///
    /// # Errors
    /// A name that is no collector and no part.
    pub async fn collect_once(validated: &Validated, collect: Vec<String>) -> Result<Vec<u8>, String> {
        let (clock, telemetry) = (Clock::system(), Telemetry::new());
        let tasks = Tasks::new(&telemetry);
        let agents = Arc::new(Mutex::new(Registry::new(validated.settings.collectors.agents.settings())));
        let deps = collect::Deps { clock: clock.clone(), tasks: tasks.clone(), agents };
        let entries = collect::build(&validated.settings.collectors, &deps);
        let engine = scrape::Engine::new(entries, clock, tasks, &telemetry);
        let selection = engine.everything().narrowed(&collect, &[]).map_err(|error| error.to_string())?;
        let scrape = engine.scrape(&selection, validated.settings.scrape.timeout.0).await;
        let mut own = Batch::new();
        if collect.is_empty() {
            telemetry.collect(&mut own);
        }
        let mut out = Vec::new();
        expose::write(&scrape.batches().into_iter().chain([&own]).collect::<Vec<_>>(), Format::Text, &mut out);
        Ok(out)
    }
}

async fn bind(doors: &[Door]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for Door { address, .. } in doors {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen on {address} (another tidewatch? `--listen` takes another address, port 0 any free one)"
            )
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Does what falls due in the store by itself: alerts held back, cooldowns that end.
fn tick(shared: &Arc<Shared>) {
    let Some(store) = shared.parts.store.clone() else { return };
    let shared = Arc::clone(shared);
    let tasks = shared.parts.tasks.clone();
    tasks.supervise("tick", move || {
        let (shared, store) = (Arc::clone(&shared), Arc::clone(&store));
        async move {
            let clock = &shared.parts.clock;
            let mut stopping = std::pin::pin!(shared.parts.tasks.stopping());
            let bell = store.bell();
            loop {
                let mut rung = std::pin::pin!(bell.notified());
                rung.as_mut().enable();
                let latest = crate::clock::later(clock.now(), TICK);
                let next = match store.tick(shared.policy()).await {
                    Ok(next) => next.map_or(latest, |next| next.min(latest)),
                    Err(error) => {
                        tracing::warn!(%error, "what has fallen due waits");
                        latest
                    }
                };
                tokio::select! {
                    () = &mut stopping => return,
                    () = rung => {}
                    () = clock.sleep_until(next) => {}
                }
            }
        }
    });
}

/// The list of all families as Markdown: those of a whole program, which is started on a folder of its own for that, and
/// ended.
///
/// # Errors
/// The folder cannot be used.
pub async fn documentation() -> anyhow::Result<String> {
    let folder = std::env::temp_dir().join(format!("tidewatch-docs-{}", std::process::id()));
    let flags = Flags { listen: Some("127.0.0.1:0".into()), data_dir: Some(folder.clone()), ..Flags::default() };
    let environment = Environment::default();
    let validated = Validated::load(&flags, &environment)?;
    let app = App::start(Start { flags, environment, clock: Clock::system(), log_level: None }, validated).await?;
    let mut families = app.telemetry().families();
    families.extend(shared::descs().into_iter().cloned());
    app.stop().await;
    std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(collect::docs(&families))
}
