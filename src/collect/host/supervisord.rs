//! `supervisord`: the programs that supervisord runs, as it tells by XML-RPC (supervisord.org).

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;
use url::Url;

use super::{HostConfig, Listed, Part, Run, Site};
use crate::collect::CollectError;
use crate::config::{Problem, Problems, Secret};
use crate::metrics::Desc;
use crate::net::{client, dial};

/// Where supervisord is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisordConfig {
    /// `http://[USER:PASSWORD@]HOST:PORT/RPC2`, or `unix:///PATH` of its socket.
    pub url: Secret,
}

impl Default for SupervisordConfig {
    fn default() -> Self {
        Self { url: Secret::new("http://localhost:9001/RPC2") }
    }
}

const LABELS: &[&str] = &["name", "group"];

static UP: Desc = Desc::gauge("node_supervisord_up", "Process Up", LABELS);
static STATE: Desc = Desc::gauge("node_supervisord_state", "Process State", LABELS);
static EXIT: Desc = Desc::gauge("node_supervisord_exit_status", "Process Exit Status", LABELS);
static START: Desc = Desc::counter("node_supervisord_start_time_seconds", "Process start time", LABELS);

const CALL: &str =
    "<?xml version=\"1.0\"?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>";

/// After this it is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Some thousand programs: each takes a kilobyte.
const MOST: usize = 4 << 20;

/// Starting, running, stopping: a process is there.
const ALIVE: [i64; 3] = [10, 20, 40];

pub(super) struct Programs {
    url: Secret,
    rootfs: PathBuf,
}

/// What is told of a program.
#[derive(Debug, Default, PartialEq)]
struct Program {
    name: String,
    group: String,
    state: i64,
    exit: i64,
    start: i64,
}

impl Listed for Programs {
    fn descs() -> Vec<&'static Desc> {
        vec![&UP, &STATE, &EXIT, &START]
    }

    fn check(config: &HostConfig, problems: &mut Problems) {
        let url = Url::parse(config.supervisord.url.expose());
        if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "unix")) {
            problems.push(
                Problem::error("supervisord.url", "neither http://HOST:PORT/RPC2 nor unix:///PATH")
                    .hint("supervisord itself speaks no TLS"),
            );
        }
    }

    fn new(site: &Site<'_>) -> Self {
        Self { url: site.config.supervisord.url.clone(), rootfs: site.roots.rootfs.clone() }
    }
}

#[async_trait]
impl Part for Programs {
    async fn collect(&self, run: &mut Run) -> Result<(), CollectError> {
        let malformed = |why: &str| CollectError::Malformed { what: "supervisord".to_owned(), why: why.to_owned() };
        let answer = timeout(PATIENCE, self.ask()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let answer = answer.map_err(|why| malformed(&why))?;
        let text = std::str::from_utf8(&answer).map_err(|_| malformed("an answer that is no text"))?;
        for program in programs(text).ok_or_else(|| malformed("an answer that is no list of processes"))? {
            let labels = [program.name.as_str(), program.group.as_str()];
            let alive = ALIVE.contains(&program.state);
            run.batch.push(&STATE, &labels, program.state as f64);
            run.batch.push(&EXIT, &labels, program.exit as f64);
            run.batch.push(&UP, &labels, f64::from(alive));
            if alive {
                run.batch.push(&START, &labels, program.start as f64);
            }
        }
        Ok(())
    }
}

impl Programs {
    /// Asks once; an error tells nothing of the URL.
    async fn ask(&self) -> Result<Bytes, String> {
        let url = Url::parse(self.url.expose()).map_err(|error| error.to_string())?;
        let unix = url.scheme() == "unix";
        let host = url.host_str().unwrap_or("localhost").trim_start_matches('[').trim_end_matches(']');
        let path = if unix { "/RPC2" } else { url.path() };
        let mut request = Request::post(format!("http://supervisord{path}")).header(header::CONTENT_TYPE, "text/xml");
        if let Some(password) = url.password() {
            let both = BASE64_STANDARD.encode(format!("{}:{}", decoded(url.username()), decoded(password)));
            request = request.header(header::AUTHORIZATION, format!("Basic {both}"));
        }
        let request = request.body(Bytes::from_static(CALL.as_bytes())).map_err(|error| error.to_string())?;
        let connecting = |error: std::io::Error| format!("connecting: {error}");
        let answer = if unix {
            let socket = self.rootfs.join(url.path().trim_start_matches('/'));
            client::over(UnixStream::connect(socket).await.map_err(connecting)?, request, MOST).await?
        } else {
            let port = url.port_or_known_default().unwrap_or(80);
            client::over(dial::tcp(host, port, PATIENCE).await.map_err(connecting)?, request, MOST).await?
        };
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(format!("answered {status}")),
        }
    }
}

/// A name or a password without the escapes of a URL.
fn decoded(text: &str) -> String {
    let form = text.replace('+', "%2B").replace('&', "%26");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

/// The structures of an XML-RPC answer as far as they are processes. Nothing where it is a fault, or no answer at all.
fn programs(text: &str) -> Option<Vec<Program>> {
    if !text.contains("<methodResponse>") || text.contains("<fault>") {
        return None;
    }
    let structures = text.split("<struct>").skip(1).filter_map(|rest| rest.split("</struct>").next());
    structures.map(program).collect()
}

fn program(structure: &str) -> Option<Program> {
    let mut program = Program::default();
    for member in structure.split("<member>").skip(1) {
        let (name, value) = (within(member, "name")?, within(member, "value")?);
        let typed = |kinds: &[&str]| kinds.iter().find_map(|kind| within(value, kind));
        let number = || typed(&["int", "i4", "i8"]).and_then(|text| text.trim().parse().ok());
        let words = || unescaped(typed(&["string"]).unwrap_or(value));
        match name {
            "name" => program.name = words(),
            "group" => program.group = words(),
            "state" => program.state = number()?,
            "exitstatus" => program.exit = number()?,
            "start" => program.start = number()?,
            _ => {}
        }
    }
    Some(program)
}

/// What stands between the tags of an element.
fn within<'t>(text: &'t str, element: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    Some(rest.split_once(&format!("</{element}>"))?.0)
}

/// Text without the escapes that XML needs; `&amp;` last, so that nothing is undone twice.
fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_any_letter() {
        let url = Url::parse("http://us%40er:p%3Aa+s&s%25@h:9001/RPC2").unwrap();
        assert_eq!([decoded(url.username()), decoded(url.password().unwrap())], ["us@er", "p:a+s&s%"]);
    }

    #[test]
    fn programs_are_read_from_structures() {
        let member =
            |name: &str, value: &str| format!("<member>\n<name>{name}</name>\n<value>{value}</value>\n</member>");
        let program = [
            member("name", "<string>a &amp;lt; b</string>"),
            member("group", "plain"),
            member("state", "<int>20</int>"),
            member("start", "<i4>1700000000</i4>"),
            member("exitstatus", "<int>-1</int>"),
            member("spawnerr", "<string></string>"),
        ];
        let text = format!("<methodResponse><struct>{}</struct></methodResponse>", program.concat());
        let expected =
            Program { name: "a &lt; b".into(), group: "plain".into(), state: 20, exit: -1, start: 1_700_000_000 };
        assert_eq!(programs(&text), Some(vec![expected]));
        assert_eq!(programs(&text.replace("20", "many")), None);
        assert_eq!(programs("<methodResponse><fault><struct></struct></fault></methodResponse>"), None);
        assert_eq!(programs("<html>"), None);
    }
}
