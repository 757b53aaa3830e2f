//! The files as they come with tidewatch, and what is put into them. Each is valid as it stands, under the names of the
//! compose file; a choice replaces the text that stands for it.

use super::address::{Endpoint, MailAddress, Smtp};
use crate::config::{HttpUrl, Span};

/// What the files are written with.
pub(super) struct Choices<'a> {
    /// The dashboards' folder, absolute: Grafana takes no other.
    pub(super) dashboards: String,
    pub(super) token_file: String,
    pub(super) external_url: Option<HttpUrl>,
    pub(super) tidewatch: &'a Endpoint,
    pub(super) prometheus: &'a Endpoint,
    pub(super) alertmanagers: &'a [Endpoint],
    pub(super) fallback: Option<&'a Fallback>,
    pub(super) scrape_interval: Span,
    pub(super) group_wait: Span,
    pub(super) group_interval: Span,
}

/// The mail that goes past tidewatch.
pub(super) struct Fallback {
    pub(super) smtp: Smtp,
    pub(super) from: MailAddress,
    pub(super) to: MailAddress,
}

/// One file to write.
pub(super) struct Asset {
    /// Below the folder.
    pub(super) path: &'static str,
    pub(super) text: String,
    /// Whether it holds a password.
    pub(super) secret: bool,
}

/// Every file but the token.
pub(super) fn all(choices: &Choices<'_>) -> Vec<Asset> {
    let plain = |path, text: &str| Asset { path, text: text.to_owned(), secret: false };
    vec![
        plain("rules/agents.yml", include_str!("../../../rules/agents.yml")),
        plain("rules/host.yml", include_str!("../../../rules/host.yml")),
        plain("rules/tidewatch.yml", include_str!("../../../rules/tidewatch.yml")),
        plain("prometheus.yml", &prometheus(choices)),
        Asset {
            path: "alertmanager.yml",
            text: alertmanager(choices),
            secret: choices.fallback.is_some_and(|fallback| fallback.smtp.login.is_some()),
        },
        plain("dashboards/agent-collective-dashboard.json", &dashboard(choices)),
        plain("grafana/provisioning/datasources/tidewatch.yml", &datasources(choices)),
        plain("grafana/provisioning/dashboards/tidewatch.yml", &providers(choices)),
    ]
}

fn prometheus(choices: &Choices<'_>) -> String {
    let alertmanagers: Vec<String> = choices.alertmanagers.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    Text::new(include_str!("../../../docker/prometheus.yml"))
        .put("scrape_interval: 15s", &format!("scrape_interval: {}", choices.scrape_interval))
        .put("evaluation_interval: 15s", &format!("evaluation_interval: {}", choices.scrape_interval))
        .put("'tidewatch:9480'", &format!("'{}'", choices.tidewatch))
        .put("'prometheus:9090'", &format!("'{}'", choices.prometheus))
        .put("'alertmanager:9093'", &alertmanagers.join(", "))
        .0
}

fn alertmanager(choices: &Choices<'_>) -> String {
    let text = Text::new(include_str!("../../../alertmanager/alertmanager.yml"))
        // The route's own lines; those of the Watchdog's stand further to the right.
        .put("\n  group_wait: 10s", &format!("\n  group_wait: {}", choices.group_wait))
        .put("\n  group_interval: 1m", &format!("\n  group_interval: {}", choices.group_interval))
        .put("http://tidewatch:9480/", &format!("http://{}/", choices.tidewatch))
        .put("credentials_file: 'tidewatch.token'", &format!("credentials_file: {}", quoted(&choices.token_file)));
    let Some(fallback) = choices.fallback else {
        return text.put("- receiver: fallback", "- receiver: tidewatch # no mail server is known").0;
    };
    let mut smarthost = format!("smtp_smarthost: '{}'", fallback.smtp.endpoint);
    if let Some((user, password)) = &fallback.smtp.login {
        let login = format!("\n  smtp_auth_username: {}\n  smtp_auth_password: {}", quoted(user), quoted(password));
        smarthost.push_str(&login);
    }
    text.put("smtp_smarthost: 'mail:587'", &smarthost)
        .put("smtp_from: 'alertmanager@example.com'", &format!("smtp_from: '{}'", fallback.from))
        .put("to: 'ops@example.com'", &format!("to: '{}'", fallback.to))
        .0
}

fn dashboard(choices: &Choices<'_>) -> String {
    let text = Text::new(include_str!("../../../dashboards/agent-collective-dashboard.json"));
    let Some(url) = &choices.external_url else { return text.0 };
    let link = serde_json::json!({
        "asDropdown": false, "icon": "external link", "includeVars": false, "keepTime": false, "tags": [],
        "targetBlank": true, "title": "tidewatch", "tooltip": "Incidents", "type": "link", "url": url.expose().as_str(),
    });
    text.put("\n  \"links\": [],", &format!("\n  \"links\": [{link}],")).0
}

fn datasources(choices: &Choices<'_>) -> String {
    let mut text = Text::new(include_str!("../../../docker/grafana/datasources.yml"))
        .put("timeInterval: 15s", &format!("timeInterval: {}", choices.scrape_interval))
        .put("http://prometheus:9090", &format!("http://{}", choices.prometheus));
    if let Some(first) = choices.alertmanagers.first() {
        text = text.put("http://alertmanager:9093", &format!("http://{first}"));
    }
    text.0
}

fn providers(choices: &Choices<'_>) -> String {
    Text::new(include_str!("../../../docker/grafana/dashboards.yml"))
        .put("'/etc/tidewatch/dashboards'", &quoted(&choices.dashboards))
        .0
}

/// A file's text on its way.
struct Text(String);

impl Text {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Puts `value` wherever `default` stands. That it stands there at all, every test of this module proves.
    fn put(self, default: &str, value: &str) -> Self {
        debug_assert!(self.0.contains(default), "no `{default}` to replace");
        Self(self.0.replace(default, value))
    }
}

/// A YAML scalar in single quotes; in them only the quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
