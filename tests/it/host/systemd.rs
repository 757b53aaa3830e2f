//! The parts that ask over D-Bus: a bus of the test's own, with a manager that answers as a real host's did.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tidewatch::clock::Clock;
use tidewatch::collect::Declare;
use tidewatch::collect::host::Host;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, MessageStream, ObjectPath, Variant};

use super::parts::{of_parts, read, reference, same, told};
use super::{deps, fixture, run, series};
use crate::support::eventually;
use crate::support::process::{Running, program};

const PATIENCE: Duration = Duration::from_secs(20);

/// A message bus where a host has it, below a root of the test's.
struct Bus {
    root: tempfile::TempDir,
    daemon: Running,
}

impl Bus {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/dbus");
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("system_bus_socket");
        let config = root.path().join("bus.conf");
        let text = format!(
            "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("dbus-daemon"));
        command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--nopidfile"]);
        let daemon = Running::start(root.path(), "dbus-daemon", &mut command);
        // Its socket is there a moment before it listens.
        eventually("the bus listens", PATIENCE, async || UnixStream::connect(&socket).ok()).await;
        Self { root, daemon }
    }

    async fn connect(&self) -> Connection {
        let address = format!("unix:path={}/run/dbus/system_bus_socket", self.root.path().display());
        tokio::time::timeout(PATIENCE, Builder::address(address.as_str()).build()).await.unwrap().unwrap()
    }
}

type Properties = HashMap<(String, String), Variant<'static>>;

/// The objects of a service with their properties, and what its lists are.
#[derive(Default)]
struct Service {
    properties: Properties,
    units: Vec<serde_json::Value>,
    seats: Vec<(String, ObjectPath<'static>)>,
    sessions: Vec<(String, u32, String, String, ObjectPath<'static>)>,
    /// Says nothing to this method.
    silent: Option<&'static str>,
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn path(value: &str) -> ObjectPath<'static> {
    ObjectPath::try_from(value.to_owned()).unwrap()
}

impl Service {
    /// The manager of a real host, from what it told there.
    fn systemd() -> Self {
        let read = |file: &str| std::fs::read_to_string(fixture("systemd").join(file)).unwrap();
        let list: serde_json::Value = serde_json::from_str(&read("ListUnits.json")).unwrap();
        let units = list["data"][0].as_array().unwrap().clone();
        let paths: HashMap<String, String> = units.iter().map(|unit| (text(&unit[0]), text(&unit[6]))).collect();
        let mut properties = Properties::new();
        // `NAME Service:Type NRestarts: s "oneshot" u 0`
        for line in read("properties.txt").lines() {
            let (asked, answers) = line.split_once(": ").unwrap();
            let (unit, asked) = asked.split_once(' ').unwrap();
            let (_, names) = asked.split_once(':').unwrap();
            let words: Vec<_> = answers.split(' ').collect();
            for (name, answer) in names.split(' ').zip(words.chunks(2)) {
                if let Some(path) = paths.get(unit) {
                    properties.insert((path.clone(), name.to_owned()), variant(answer[0], answer[1]));
                }
            }
        }
        for line in read("starts.tsv").lines() {
            let (unit, seconds) = line.split_once('\t').unwrap();
            if let Some(path) = paths.get(unit) {
                let microseconds = seconds.parse::<u64>().unwrap() * 1_000_000;
                properties.insert((path.clone(), "ActiveEnterTimestamp".into()), Variant::from(microseconds));
            }
        }
        // `.Version property s "252" const`
        for line in read("manager.txt").lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            if let [name, "property", "s", value, _] = words[..] {
                let key = ("/org/freedesktop/systemd1".to_owned(), name.trim_start_matches('.').to_owned());
                properties.insert(key, variant("s", value));
            }
        }
        Self { properties, units, ..Self::default() }
    }

    /// Two people: one at the machine, one from afar.
    fn logind() -> Self {
        let mut service = Self { seats: vec![("seat0".into(), path("/seat0"))], ..Self::default() };
        let sessions = [("1", "seat0", false, "wayland", "user"), ("7", "", true, "tty", "no such class")];
        for (name, seat, remote, kind, class) in sessions {
            let object = format!("/session/_{name}");
            let values = [("Remote", Variant::from(remote)), ("Type", kind.into()), ("Class", class.into())];
            for (property, value) in values {
                service.properties.insert((object.clone(), property.to_owned()), value);
            }
            service.sessions.push((name.into(), 1000, "ann".into(), seat.into(), path(&object)));
        }
        service
    }

    /// Answers under its name until the test ends.
    async fn serve(self, bus: &Bus, name: &'static str) -> Connection {
        let connection = bus.connect().await;
        let mut messages = MessageStream::from(&connection);
        connection.request_name(name).await.unwrap();
        let replies = connection.clone();
        tokio::task::spawn_local(async move {
            while let Some(Ok(message)) = messages.next().await {
                if message.message_type() == Type::MethodCall {
                    self.answer(&replies, &message).await;
                }
            }
        });
        connection
    }

    async fn answer(&self, connection: &Connection, message: &zbus::Message) {
        let header = message.header();
        let member = header.member().unwrap().as_str();
        if self.silent == Some(member) {
            return;
        }
        let sent = match member {
            "ListUnits" => {
                let unit = |unit: &serde_json::Value| {
                    let name = |index: usize| text(&unit[index]);
                    let names = (name(0), name(1), name(2), name(3), name(4), name(5));
                    (
                        names.0,
                        names.1,
                        names.2,
                        names.3,
                        names.4,
                        names.5,
                        path(&name(6)),
                        0_u32,
                        String::new(),
                        path("/"),
                    )
                };
                connection.reply(&header, &self.units.iter().map(unit).collect::<Vec<_>>()).await
            }
            "ListSeats" => connection.reply(&header, &self.seats).await,
            "ListSessions" => connection.reply(&header, &self.sessions).await,
            _ => {
                let body = message.body();
                let (_, property): (String, String) = body.deserialize().unwrap();
                let object = header.path().unwrap().to_string();
                match self.properties.get(&(object, property)) {
                    Some(value) => connection.reply(&header, value).await,
                    None => {
                        connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownProperty", &"none").await
                    }
                }
            }
        };
        sent.unwrap();
    }
}

/// A value as busctl prints it.
fn variant(kind: &str, value: &str) -> Variant<'static> {
    match kind {
        "s" => Variant::from(value.trim_matches('"').to_owned()),
        "u" => Variant::from(value.parse::<u32>().unwrap()),
        "t" => Variant::from(value.parse::<u64>().unwrap()),
        other => panic!("{other}"),
    }
}

/// Runs with tasks on this thread: the fake services.
async fn with_local<T>(work: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(work).await
}

const EVERYTHING: &str = "[systemd]\nenable_task_metrics = true\nenable_restarts_metrics = true\n\
    enable_start_time_metrics = true\ntimeout = '8s'";

#[tokio::test]
async fn units_are_told_as_node_exporter_told_them() {
    with_local(async {
        let bus = Bus::start().await;
        let _service = Service::systemd().serve(&bus, "org.freedesktop.systemd1").await;
        let text = read(bus.root.path(), &["systemd"], EVERYTHING).await;
        let (ours, theirs) =
            (told(&text, &["node_systemd_"]), told(&reference("debian12-node_exporter-all.prom"), &["node_systemd_"]));
        let mut wrong = Vec::new();
        for (name, value) in &theirs {
            let seconds = |value: &str| value.parse::<f64>().unwrap().floor().to_string();
            // Seen to the second only, and with a task more or less.
            let near = |found: &str| {
                name.starts_with("node_systemd_unit_start_time_") && seconds(found) == seconds(value)
                    || name.starts_with("node_systemd_unit_tasks_current")
                    || name.starts_with("node_systemd_timer_last_trigger_")
                    || name.starts_with("node_systemd_socket_")
            };
            // This one starts and fails for ever: it is in another state each time.
            let restless = name.contains("ref-restarts.service") || name.starts_with("node_systemd_units{");
            match ours.get(name) {
                _ if restless => {}
                None => wrong.push(format!("{name} is missing")),
                Some(found) if !same(found, value) && !near(found) => {
                    wrong.push(format!("{name}: {found} instead of {value}"));
                }
                Some(_) => {}
            }
        }
        wrong
            .extend(ours.keys().filter(|name| !theirs.contains_key(*name)).map(|name| format!("{name} is ours alone")));
        assert_eq!(wrong, [""; 0]);
        assert!(theirs.len() > 900, "{}", theirs.len());
        drop(bus.daemon);
    })
    .await;
}

#[tokio::test]
async fn options_choose_units_and_families() {
    with_local(async {
        let bus = Bus::start().await;
        let _service = Service::systemd().serve(&bus, "org.freedesktop.systemd1").await;
        let options = "[systemd]\nunit_include = 'ref-.+|dbus\\.service'\nunit_exclude = '.*\\.socket'\ntimeout = '8s'";
        let text = read(bus.root.path(), &["systemd"], options).await;
        let names: std::collections::BTreeSet<_> = series(&text)
            .into_keys()
            .filter_map(|name| Some(name.split_once("name=\"")?.1.split_once('"')?.0.to_owned()))
            .collect();
        assert!(names.contains("dbus.service") && names.iter().any(|name| name.starts_with("ref-")), "{names:?}");
        assert!(names.iter().all(|name| name == "dbus.service" || name.starts_with("ref-")), "{names:?}");
        assert!(!names.contains("ref-echo.socket") && !names.contains("dbus.socket"), "{names:?}");
        for family in ["service_restart_total", "unit_tasks_current", "unit_tasks_max", "unit_start_time_seconds"] {
            assert!(!text.contains(family), "{family} is off by default");
        }
    })
    .await;
}

#[tokio::test]
async fn a_manager_that_hangs_costs_its_own_series_only() {
    with_local(async {
        let bus = Bus::start().await;
        let service = Service { silent: Some("ListUnits"), ..Service::systemd() };
        let _service = service.serve(&bus, "org.freedesktop.systemd1").await;
        let proc = bus.root.path().join("proc");
        std::fs::create_dir_all(&proc).unwrap();
        std::fs::write(proc.join("loadavg"), "1 2 3 1/1 1").unwrap();
        let config = of_parts(bus.root.path(), &["systemd", "loadavg"], "systemd.timeout = '300ms'");
        let host = Host::build(&config, &deps(Clock::system()));
        let begun = Instant::now();
        let (text, _) = run(&host).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(text.contains("node_scrape_collector_success{collector=\"systemd\"} 0"), "{text}");
        assert!(!text.contains("node_systemd_"), "what it had written is dropped: {text}");
        assert!(text.contains("node_load15 3"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_host_without_a_bus_has_no_units() {
    let empty = tempfile::tempdir().unwrap();
    let text = read(empty.path(), &["systemd", "logind"], "").await;
    for part in ["systemd", "logind"] {
        assert!(text.contains(&format!("node_scrape_collector_success{{collector=\"{part}\"}} 0")), "{text}");
    }
    assert!(!text.contains("node_systemd_") && !text.contains("node_logind_"), "{text}");
}

#[tokio::test]
async fn sessions_are_counted_by_seat_and_kind() {
    with_local(async {
        let bus = Bus::start().await;
        let _service = Service::logind().serve(&bus, "org.freedesktop.login1").await;
        let text = read(bus.root.path(), &["logind"], "").await;
        let ours = told(&text, &["node_logind_"]);
        let sessions: Vec<_> = ours.iter().filter(|(_, count)| *count != "0").map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            sessions,
            [
                r#"node_logind_sessions{class="other",remote="true",seat="",type="tty"}"#,
                r#"node_logind_sessions{class="user",remote="false",seat="seat0",type="wayland"}"#,
            ]
        );
        // As on the real host, every combination has a series.
        let theirs = told(&reference("debian12-node_exporter-all.prom"), &["node_logind_"]);
        assert!(ours.keys().eq(theirs.keys()), "{ours:?}");
    })
    .await;
}

/// Where nobody answers at all: not even the greeting of the bus comes back.
#[tokio::test]
async fn a_bus_that_accepts_and_says_nothing_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run/dbus");
    std::fs::create_dir_all(&folder).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(Path::new(&folder).join("system_bus_socket")).unwrap();
    let begun = Instant::now();
    let text = read(root.path(), &["systemd"], "systemd.timeout = '300ms'").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(text.contains("node_scrape_collector_success{collector=\"systemd\"} 0"), "{text}");
}
