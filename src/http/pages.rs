//! The pages that people read: what is served, and one incident. They show text only. A label may say anything, so
//! nothing from outside becomes a link, and they work without scripts.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use minijinja::{Environment, context};

use super::front::Front;
use super::incident_view::{View, since, tone};
use super::{Api, ENDPOINTS};

/// So many open incidents stand on the first page.
const OPEN: usize = 50;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/", get(index)).route("/i/{id}", get(incident)).route("/style.css", get(style))
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(templates);

#[expect(clippy::expect_used, reason = "the templates are part of this program: a bad one fails every test of a page")]
fn templates() -> Environment<'static> {
    // Values are escaped because the names end in `.html`.
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_template("index.html", include_str!("pages/index.html")).expect("a good template");
    environment.add_template("incident.html", include_str!("pages/incident.html")).expect("a good template");
    environment
}

fn render(status: StatusCode, template: &str, context: minijinja::Value) -> Response {
    match TEMPLATES.get_template(template).and_then(|template| template.render(context)) {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, template, "a page cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be written; the log says why\n").into_response()
        }
    }
}

/// A page with one sentence on it; `root` is where the first page is from there.
fn words(status: StatusCode, title: &str, text: &str) -> Response {
    let nothing: [u8; 0] = [];
    let context = context! {
        title, text, root => "../", incidents => nothing, endpoints => nothing, version => env!("CARGO_PKG_VERSION"),
    };
    render(status, "index.html", context)
}

async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("pages/style.css"))
}

async fn index(State(api): State<Arc<Api>>, Extension(front): Extension<Arc<Front>>) -> Response {
    let now = api.clock.now();
    let open = match &api.store {
        Some(store) => store.incidents(true, OPEN).await,
        None => Ok(Vec::new()),
    };
    let text = match (&open, &api.store) {
        (Err(error), _) => format!("The store does not answer: {error}"),
        (Ok(_), None) => "This one exports metrics and keeps no alerts.".to_owned(),
        (Ok(open), Some(_)) if open.is_empty() => "No incident is open.".to_owned(),
        (Ok(open), Some(_)) if open.len() == 1 => "One incident is open.".to_owned(),
        (Ok(open), Some(_)) => format!("{} incidents are open.", open.len()),
    };
    let incidents: Vec<minijinja::Value> = open
        .unwrap_or_default()
        .iter()
        .map(|it| {
            context! {
                id => it.id, title => it.title(), severity => it.severity.to_string(),
                tone => tone(true, it.severity), since => since(it.opened_at, None, now, &front.zone()),
            }
        })
        .collect();
    let endpoints: Vec<minijinja::Value> = ENDPOINTS
        .iter()
        .filter(|it| api.store.is_some() || !it.needs_store)
        .map(|it| context! { path => it.path, what => it.what, link => it.link })
        .collect();
    let context = context! {
        title => "tidewatch", text, root => "", incidents, endpoints,
        version => format!("version {}", env!("CARGO_PKG_VERSION")),
    };
    render(StatusCode::OK, "index.html", context)
}

async fn incident(
    State(api): State<Arc<Api>>,
    Extension(front): Extension<Arc<Front>>,
    Path(id): Path<String>,
) -> Response {
    let Some(store) = &api.store else {
        let text = "This tidewatch exports metrics and keeps no alerts. Ask the one that runs as a receiver.";
        return words(StatusCode::NOT_IMPLEMENTED, "No incidents here", text);
    };
    let missing =
        || words(StatusCode::NOT_FOUND, "No such incident", "It never was, or it is older than what is kept.");
    let Ok(id) = id.parse::<i64>() else { return missing() };
    match store.incident(id).await {
        Ok(Some(incident)) => page(&View::of(&incident, api.clock.now(), &front.zone())),
        Ok(None) => missing(),
        Err(error) => {
            tracing::warn!(%error, "an incident cannot be shown");
            words(StatusCode::SERVICE_UNAVAILABLE, "Not now", "The store does not answer. Try again in a moment.")
        }
    }
}

fn page(view: &View) -> Response {
    render(StatusCode::OK, "incident.html", minijinja::value::Serde(view).into())
}
