//! Asking the Docker daemon: the only place that knows bollard. Each call has its own deadline.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage, SystemInfo};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions, StatsOptions};
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::api;
use super::stats::Stats;
use crate::task::Tasks;

/// The events that change what is known of a container. Without a filter, each health check would tell of its start and
/// its end.
const EVENTS: [&str; 11] =
    ["create", "destroy", "die", "health_status", "oom", "pause", "rename", "restart", "start", "unpause", "update"];

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody listens.
    #[error("cannot connect to {0}: {1}")]
    Unreachable(String, String),
    /// We may not ask.
    #[error("no permission to connect to {0}")]
    Forbidden(String),
    /// It took too long.
    #[error("the Docker daemon did not answer within {0:?}")]
    Silent(Duration),
    /// What was asked for is not there.
    #[error("the Docker daemon knows no such container")]
    Missing,
    /// It answered otherwise than documented.
    #[error("the Docker daemon answered: {0}")]
    Odd(String),
}

impl Fault {
    /// What a person does about it.
    pub(super) fn next(&self, socket: &Path) -> String {
        match self {
            Self::Unreachable(..) => {
                "start Docker (`systemctl start docker`), or set `socket` in [collectors.containers] or DOCKER_HOST"
                    .into()
            }
            Self::Forbidden(_) => format!(
                "let tidewatch's user read {}: add it to the socket's group (`usermod -aG docker USER`)",
                socket.display()
            ),
            Self::Silent(_) | Self::Missing | Self::Odd(_) => {
                "see whether `docker ps` answers, and read `journalctl -u docker -n 50`".into()
            }
        }
    }
}

/// A way to the daemon.
#[derive(Clone)]
pub(super) struct Daemon {
    docker: Docker,
    /// How long a call about one container may take.
    limit: Duration,
}

/// How long a call about all of them may take: with hundreds of containers a list takes a second.
const WHOLE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// Never, as far as bollard's source tells.
    pub(super) fn new(socket: PathBuf, limit: Duration, tasks: Tasks) -> Result<Self, Fault> {
        let transport = move |request| connect(socket.clone(), request, tasks.clone());
        let docker = Docker::connect_with_custom_transport(
            transport,
            Some("unix://docker"),
            // Every call has a shorter deadline of its own; this one would end the stream's head only.
            WHOLE.as_secs(),
            bollard::API_DEFAULT_VERSION,
        );
        Ok(Self { docker: docker.map_err(fault)?, limit })
    }

    /// About the daemon itself.
    pub(super) async fn info(&self) -> Result<SystemInfo, Fault> {
        within(WHOLE, self.docker.info()).await
    }

    /// Whether it answers.
    pub(super) async fn ping(&self) -> Result<(), Fault> {
        within(WHOLE, self.docker.ping()).await.map(drop)
    }

    /// All containers, those that ended too.
    pub(super) async fn list(&self) -> Result<Vec<ContainerSummary>, Fault> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        within(WHOLE, self.docker.list_containers(Some(options))).await
    }

    /// All about one container.
    pub(super) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, Fault> {
        within(self.limit, self.docker.inspect_container(id, None::<InspectContainerOptions>)).await
    }

    /// What changes from `since` on, in the daemon's seconds.
    pub(super) fn events(&self, since: Option<i64>) -> impl Stream<Item = Result<EventMessage, Fault>> + use<> {
        let mut filters = HashMap::new();
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), EVENTS.map(str::to_owned).to_vec());
        let since = since.map(|second| second.to_string());
        let docker = self.docker.clone();
        let options = EventsOptions { since, until: None, filters: Some(filters) };
        docker.events(Some(options)).map(|event| event.map_err(fault))
    }

    /// What a container used, as the daemon counts it.
    pub(super) async fn stats(&self, id: &str) -> Result<Stats, Fault> {
        let options = StatsOptions { stream: false, one_shot: true };
        let stream = self.docker.stats(id, Some(options));
        let first = async { std::pin::pin!(stream).next().await.unwrap_or(Err(Error::RequestTimeoutError)) };
        within(self.limit, first).await.map(|answer| api::stats(&answer))
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
    timeout(limit, call).await.map_err(|_| Fault::Silent(limit))?.map_err(fault)
}

fn fault(error: Error) -> Fault {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => Fault::Missing,
        Error::RequestTimeoutError => Fault::Silent(WHOLE),
        Error::IOError { err } => match err.get_ref().and_then(|inner| inner.downcast_ref::<Fault>()) {
            Some(fault) => fault.clone(),
            None => Fault::Odd(err.to_string()),
        },
        // The first line: the rest may hold a whole reply.
        other => Fault::Odd(other.to_string().lines().next().unwrap_or_default().chars().take(200).collect()),
    }
}

/// One request on a connection of its own: calls are rare, and one that hangs must not hold up another.
async fn connect(
    socket: PathBuf,
    mut request: bollard::BollardRequest,
    tasks: Tasks,
) -> Result<http::Response<hyper::body::Incoming>, Error> {
    let name = socket.display().to_string();
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Fault::Forbidden(name.clone()),
        _ => Fault::Unreachable(name.clone(), error.to_string()),
    };
    let stream = UnixStream::connect(&socket).await.map_err(|error| std::io::Error::other(refused(error)))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the response's body, or when the request is given up.
    drop(tasks.spawn("docker-connection", connection));
    if let Some(path) = request.uri().path_and_query().and_then(|path| path.as_str().parse::<Uri>().ok()) {
        *request.uri_mut() = path;
    }
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("docker"));
    Ok(sender.send_request(request).await?)
}
