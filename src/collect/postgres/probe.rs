//! `/probe?target=…&auth_module=…`: a server that the request names, and the configuration allows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;

use super::address::Address;
use super::section::{ProbeConfig, TargetConfig};
use super::target::Target;
use super::work::Shared;
use crate::collect::{Answer, Question, Refused, allow};
use crate::config::{Problem, Secret, yaml};
use crate::metrics::Batch;

/// What may be asked about, and as whom.
#[derive(Debug, Default)]
pub(super) struct Probe {
    allow: Vec<String>,
    modules: BTreeMap<String, Module>,
}

/// The original's `postgres_exporter.yml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    auth_modules: BTreeMap<String, Module>,
}

/// As whom a server is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    userpass: UserPass,
    /// What is added to the connection string: `sslmode: disable`.
    options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UserPass {
    username: String,
    password: Option<Secret>,
}

/// Reads the file of the modules.
pub(super) fn load(path: &Path) -> Result<File, Problem> {
    let file: File = yaml::read(path)?;
    let wrong = |name: &str, what: &str| Problem::error("", format!("{}: auth_modules.{name}: {what}", path.display()));
    for (name, module) in &file.auth_modules {
        if module.kind != "userpass" {
            return Err(wrong(name, "`type` is userpass: no other is known"));
        }
        let words = module.options.iter().map(|(key, value)| format!("{key}='{value}'")).collect::<Vec<_>>().join(" ");
        if !words.is_empty() {
            Address::parse(&words).map_err(|why| wrong(name, &format!("options: {why}")))?;
        }
    }
    Ok(file)
}

impl Probe {
    /// What the section says. Whether its file can be read, its check has told.
    pub(super) fn new(config: &ProbeConfig) -> Self {
        let file = config.config_file.as_deref().and_then(|file| load(file).ok()).unwrap_or_default();
        Self { allow: config.allow.clone(), modules: file.auth_modules }
    }

    /// One run over the server that the question names.
    pub(super) async fn answer(
        &self,
        question: &Question,
        targets: &[Target],
        shared: &Shared,
        deadline: Instant,
    ) -> Result<Answer, Refused> {
        let senseless = |what: &str| Refused::Senseless(what.to_owned());
        let named = question.get("target").filter(|target| !target.is_empty());
        let named = named.ok_or_else(|| senseless("`target` is missing: /probe?target=host:5432"))?;
        let module = match question.get("auth_module").filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => Some(self.modules.get(name).ok_or_else(|| senseless("there is no such auth_module"))?),
        };
        if let Some(target) = targets.iter().find(|target| target.name == named) {
            return Ok(Answer::Samples(joined(target.run(shared, None, deadline).await.batches)));
        }
        let address = parse(named).map_err(|why| Refused::Senseless(format!("`target` is not usable: {why}")))?;
        let server = address.server();
        if address.socket().is_some() || !self.allow.iter().any(|pattern| allow::endpoint(pattern, &server)) {
            let what =
                "this target is neither one of collectors.postgres.targets nor in collectors.postgres.probe.allow";
            return Err(Refused::Forbidden(what.to_owned()));
        }
        let config = configured(&address, module).map_err(Refused::Failed)?;
        let target = Target::new(server, &config, false).map_err(Refused::Failed)?;
        // A server that nobody lists keeps no connection: who asks may ask about many.
        Ok(Answer::Samples(joined(target.run(shared, None, deadline).await.batches)))
    }
}

/// A target as Prometheus' relabelling gives it: a connection string, or only `host:port/database?options`.
fn parse(text: &str) -> Result<Address, String> {
    if text.contains('=') && !text.contains("://") && !text.contains('?') {
        return Address::parse(text);
    }
    let text = if text.contains("://") { text.to_owned() } else { format!("postgresql://{text}") };
    Address::parse(&text)
}

/// The server of the request with the login of the module. Of what the request says only host, port and database count,
/// and whether TLS is spoken: a login or a file that a stranger names would be used for him.
fn configured(asked: &Address, module: Option<&Module>) -> Result<TargetConfig, String> {
    let options = match module {
        Some(module) if !module.options.is_empty() => {
            let words: Vec<_> = module.options.iter().map(|(key, value)| format!("{key}='{value}'")).collect();
            Address::parse(&words.join(" "))?
        }
        _ => Address::default(),
    };
    Ok(TargetConfig {
        host: asked.host.clone(),
        port: asked.port,
        database: asked.database.clone().or(options.database).or_else(|| Some("postgres".into())),
        user: module.map(|module| module.userpass.username.clone()).filter(|user| !user.is_empty()).or(options.user),
        password: module.and_then(|module| module.userpass.password.clone()),
        sslmode: options.sslmode.or(asked.sslmode),
        channel_binding: options.channel_binding,
        ca_file: options.ca_file,
        cert_file: options.cert_file,
        key_file: options.key_file,
        ..TargetConfig::default()
    })
}

fn joined(batches: Vec<(&'static str, Arc<Batch>)>) -> Batch {
    let mut whole = Batch::new();
    for (_, batch) in batches {
        whole.append(Arc::unwrap_or_clone(batch));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_server_and_nothing_else() {
        let asked = parse("me:mine@db:5433/app?sslrootcert=/etc/shadow&sslmode=disable&passfile=/x").unwrap();
        let module = Module {
            kind: "userpass".into(),
            userpass: UserPass { username: "watch".into(), password: Some(Secret::new("secret")) },
            options: BTreeMap::from([("sslmode".into(), "require".into())]),
        };
        let address = configured(&asked, Some(&module)).unwrap().address().unwrap();
        assert_eq!((address.server().as_str(), address.user.as_deref()), ("db:5433", Some("watch")));
        assert_eq!(address.database.as_deref(), Some("app"));
        assert_eq!(address.sslmode, Some(super::super::SslMode::Require));
        assert_eq!((address.ca_file, address.passfile), (None, None));
        let address = configured(&asked, None).unwrap().address().unwrap();
        assert_eq!((address.user, address.password), (None, None));
    }
}
