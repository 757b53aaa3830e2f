//! The section `[collectors.redis]`. Options have redis_exporter's names, with `_` for `-`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::address::{Address, Place};
use super::keys;
use crate::collect::Schedule;
use crate::config::{Problem, Problems, Secret, Span};

/// The older release whose families `names` can add.
const OLDER: &str = "1.45";

/// Which Redis and Valkey servers are asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// When and how much.
    pub schedule: Schedule,
    /// The servers, each with its name: `[collectors.redis.targets.main]`. From the second on, all series carry it as
    /// `instance`.
    pub targets: BTreeMap<String, TargetConfig>,
    /// What `/scrape?target=` may reach besides them.
    pub scrape: ScrapeConfig,
    /// Older releases whose names are written too: `["1.45"]` adds `redis_connected_clients_details`.
    pub names: Vec<String>,
}

/// What `/scrape` may reach, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrapeConfig {
    /// Patterns of `host:port` or of a socket's path, in which `*` is any text. None by default.
    pub allow: Vec<String>,
    /// Whether a query may name keys and streams to look at: `check-keys` and the like.
    pub keys: bool,
    /// Credentials and options for the servers that a pattern allows. Without an address.
    pub target: TargetConfig,
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), keys: true, target: TargetConfig::default() }
    }
}

/// One server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// `redis://host:6379`, `rediss://` with TLS, `unix:///path`.
    pub address: Option<Secret>,
    /// The ACL user; by default that of the address.
    pub user: Option<String>,
    /// Its password; by default that of the address.
    pub password: Option<Secret>,
    /// A file with the password, or with a JSON object of addresses and passwords. Read at each connecting.
    pub password_file: Option<PathBuf>,
    /// A server that has not answered after this is down. Keys and streams come after it, in `keys_timeout`.
    pub timeout: Span,
    /// The authorities that are trusted; the system's by default.
    pub tls_ca_cert_file: Option<PathBuf>,
    /// Our certificate.
    pub tls_client_cert_file: Option<PathBuf>,
    /// Its key.
    pub tls_client_key_file: Option<PathBuf>,
    /// The name that the server's certificate must hold; the address' host by default.
    pub tls_server_name: Option<String>,
    /// Believes whoever answers.
    pub skip_tls_verification: bool,
    /// The name of `CONFIG` where it was renamed; `-` leaves it alone.
    pub config_command: String,
    /// Whether our connection calls itself `tidewatch` in `CLIENT LIST`.
    pub set_client_name: bool,
    /// Adds the label `instance_role`.
    pub append_instance_role_label: bool,
    /// Writes `redis_db_keys` for databases without keys too.
    pub include_metrics_for_empty_databases: bool,
    /// Writes the memory of the server's host.
    pub include_system_metrics: bool,
    /// Writes every setting.
    pub include_config_metrics: bool,
    /// Leaves out settings that hold passwords.
    pub redact_config_metrics: bool,
    /// Writes what modules tell.
    pub include_modules_metrics: bool,
    /// Writes the size of the snapshot's file, which must be on this machine.
    pub include_rdb_file_size_metric: bool,
    /// Writes the search indexes.
    pub include_search_indexes_metrics: bool,
    /// Which search indexes, as a regular expression.
    pub check_search_indexes: String,
    /// Leaves out the histograms of latencies.
    pub exclude_latency_histogram_metrics: bool,
    /// Writes the list of clients.
    pub export_client_list: bool,
    /// With their ports.
    pub export_client_port: bool,
    /// Patterns of keys whose size and value are written: `["db3=sessions:*"]`.
    pub check_keys: Vec<String>,
    /// Keys whose size and value are written.
    pub check_single_keys: Vec<String>,
    /// Patterns of keys that are counted.
    pub count_keys: Vec<String>,
    /// Patterns of streams.
    pub check_streams: Vec<String>,
    /// Streams.
    pub check_single_streams: Vec<String>,
    /// Leaves out the consumers of streams' groups.
    pub streams_exclude_consumer_metrics: bool,
    /// Lua patterns by whose captures keys are grouped.
    pub check_key_groups: Vec<String>,
    /// So many groups of a database have a series of their own.
    pub max_distinct_key_groups: usize,
    /// Leaves out the values of keys.
    pub disable_exporting_key_values: bool,
    /// Leaves out keys where the server is a master.
    pub skip_checkkeys_for_role_master: bool,
    /// So many keys one step of a search looks at.
    pub check_keys_batch_size: u32,
    /// More keys or streams than this of one list are not written.
    pub max_keys: usize,
    /// Keys, streams and scripts together may take so long.
    pub keys_timeout: Span,
    /// Lua scripts that return pairs of names and numbers.
    pub script: Vec<PathBuf>,
    /// Follows keys and streams to the other nodes of a cluster: to the addresses that the server names, and with its
    /// credentials. Set it only for servers that you trust to name them.
    pub is_cluster: bool,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            address: None,
            user: None,
            password: None,
            password_file: None,
            timeout: Span::seconds(3),
            tls_ca_cert_file: None,
            tls_client_cert_file: None,
            tls_client_key_file: None,
            tls_server_name: None,
            skip_tls_verification: false,
            config_command: "CONFIG".into(),
            set_client_name: true,
            append_instance_role_label: false,
            include_metrics_for_empty_databases: true,
            include_system_metrics: false,
            include_config_metrics: false,
            redact_config_metrics: true,
            include_modules_metrics: false,
            include_rdb_file_size_metric: false,
            include_search_indexes_metrics: false,
            check_search_indexes: ".*".into(),
            exclude_latency_histogram_metrics: false,
            export_client_list: false,
            export_client_port: false,
            check_keys: Vec::new(),
            check_single_keys: Vec::new(),
            count_keys: Vec::new(),
            check_streams: Vec::new(),
            check_single_streams: Vec::new(),
            streams_exclude_consumer_metrics: false,
            check_key_groups: Vec::new(),
            max_distinct_key_groups: 100,
            disable_exporting_key_values: false,
            skip_checkkeys_for_role_master: false,
            check_keys_batch_size: 1_000,
            max_keys: 1_000,
            keys_timeout: Span::seconds(1),
            script: Vec::new(),
            is_cluster: false,
        }
    }
}

impl RedisConfig {
    pub(super) fn older(&self) -> bool {
        self.names.iter().any(|name| name == OLDER)
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        for (at, name) in self.names.iter().enumerate().filter(|(_, name)| *name != OLDER) {
            let message = format!("`{name}` is no release whose names are known");
            problems.push(Problem::error(format!("names.{at}"), message).hint(format!("take out all but \"{OLDER}\"")));
        }
        for (name, target) in &self.targets {
            problems.within(&format!("targets.{name}"), |problems| {
                target.check_address(problems);
                target.check(self.schedule.timeout, problems);
            });
        }
        problems.within("scrape.target", |problems| {
            if self.scrape.target.address.is_some() {
                problems.push(Problem::error("address", "the query names the address").hint("take it out"));
            }
            self.scrape.target.check(self.schedule.timeout, problems);
        });
    }
}

impl TargetConfig {
    fn check_address(&self, problems: &mut Problems) {
        match &self.address {
            None => {
                problems.push(Problem::error("address", "missing").hint("as in address = \"redis://localhost:6379\""));
            }
            Some(address) => {
                if let Err(what) = address.expose().parse::<Address>() {
                    problems.push(Problem::error("address", what));
                }
            }
        }
    }

    fn check(&self, whole: Span, problems: &mut Problems) {
        if self.password.is_some() && self.password_file.is_some() {
            let problem = Problem::error("password_file", "`password` and `password_file` are both given");
            problems.push(problem.hint("keep one of them"));
        }
        if self.tls_client_cert_file.is_some() != self.tls_client_key_file.is_some() {
            problems.push(Problem::error("tls_client_key_file", "a certificate and its key are given together"));
        }
        if self.timeout.0.is_zero() {
            problems.push(Problem::error("timeout", "a server that may take no time never answers"));
        }
        if self.timeout.0 + self.keys_timeout.0 >= whole.0 {
            let message = format!("with `keys_timeout` not below the collector's `schedule.timeout` of {whole}");
            let hint = "a server that hangs would cost the other servers' series; make them shorter";
            problems.push(Problem::error("timeout", message).hint(hint));
        }
        for (key, list) in [
            ("check_keys", &self.check_keys),
            ("check_single_keys", &self.check_single_keys),
            ("count_keys", &self.count_keys),
            ("check_streams", &self.check_streams),
            ("check_single_streams", &self.check_single_streams),
        ] {
            if let Err(what) = keys::parse(list) {
                problems.push(Problem::error(key, what));
            }
        }
        if let Err(what) = regex_lite::Regex::new(&self.check_search_indexes) {
            problems.push(Problem::error("check_search_indexes", what.to_string()));
        }
        if self.check_keys_batch_size == 0 {
            problems.push(Problem::error("check_keys_batch_size", "a step over no keys never ends"));
        }
    }

    /// Everything that a connecting needs, with what the address itself says. `None` without a usable address, which
    /// the check has refused.
    pub(super) fn resolved(&self) -> Option<Address> {
        self.address.as_ref()?.expose().parse().ok()
    }

    /// Whether anything about keys, streams or scripts is wanted.
    pub(super) fn looks_at_keys(&self) -> bool {
        let lists = [&self.check_keys, &self.check_single_keys, &self.count_keys, &self.check_streams];
        lists.iter().any(|list| !list.is_empty())
            || !self.check_single_streams.is_empty()
            || !self.check_key_groups.is_empty()
            || !self.script.is_empty()
            || self.include_search_indexes_metrics
    }

    /// How the server is spoken to within TLS; `None` where it is not.
    pub(super) fn tls(&self, place: &Place) -> Option<crate::net::tls::Options> {
        use crate::net::tls::{Check, Options, Versions};
        let Place::Tcp { tls: true, .. } = place else { return None };
        Some(Options {
            ca_file: self.tls_ca_cert_file.clone(),
            identity: self.tls_client_cert_file.clone().zip(self.tls_client_key_file.clone()),
            check: if self.skip_tls_verification { Check::Nothing } else { Check::Full },
            versions: Versions::Both,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn problems(text: &str) -> Vec<String> {
        let (config, mut problems) = Document::new("t.toml", text).parse::<RedisConfig>();
        config.check(&mut problems);
        problems.0.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn a_section_is_checked_and_secrets_are_not_repeated() {
        assert_eq!(problems("[targets.main]\naddress = \"redis://:hunter2@localhost\"\n"), Vec::<String>::new());
        let found = problems(
            "names = [\"1.0\"]\n[targets.a]\n[targets.b]\naddress = \"http://:hunter2@h\"\ntimeout = \"9s\"\n\
             count_keys = [\"dbx=a\"]\ntls_client_cert_file = \"c\"\npassword = \"hunter2\"\npassword_file = \"p\"\n\
             [scrape.target]\naddress = \"h\"\n",
        );
        let keys: Vec<&str> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        let expected = [
            "names.0",
            "targets.a.address",
            "targets.b.address",
            "targets.b.password_file",
            "targets.b.tls_client_key_file",
            "targets.b.timeout",
            "targets.b.count_keys",
            "scrape.target.address",
        ];
        assert_eq!(keys, expected, "{found:#?}");
        assert!(!found.concat().contains("hunter2"), "{found:#?}");
        assert_eq!(problems("[targets.a]\naddress = \"h\"\npasswort = \"x\"\n").len(), 1);
    }
}
