//! The environment that redis_exporter reads: a server, and the options of the servers that it and `/scrape` ask.

use super::address::Address;
use super::keys;
use super::section::{RedisConfig, TargetConfig};
use crate::config::{Environment, Problem, Problems, Secret, Span};

/// The name of the server that the environment tells.
const NAME: &str = "redis";

/// Lays the environment over the section. A section with targets of its own keeps them as they are.
pub(super) fn complete(config: &mut RedisConfig, environment: &Environment, problems: &mut Problems) {
    let said = ["REDIS_ADDR", "REDIS_URL"].into_iter().find_map(|name| Some((name, environment.get(name)?)));
    options(&mut config.scrape.target, environment, problems);
    let Some((name, address)) = said else { return };
    if !config.targets.is_empty() {
        // Other programs read REDIS_URL: that it is set says nothing about us.
        if name == "REDIS_ADDR" {
            let problem = Problem::warning("targets", "REDIS_ADDR is not used: the configuration names servers");
            problems.push(problem.hint("unset it, or take the targets out of the configuration"));
        }
        return;
    }
    if let Err(what) = address.parse::<Address>() {
        problems.push(Problem::warning("targets", format!("{name} is not used: {what}")));
        return;
    }
    let mut target = config.scrape.target.clone();
    target.address = Some(Secret::new(address));
    config.targets.insert(NAME.into(), target);
}

fn options(target: &mut TargetConfig, environment: &Environment, problems: &mut Problems) {
    let text = |name: &str| environment.get(name).map(str::to_owned);
    target.user = text("REDIS_USER").or(target.user.take());
    if let Some(password) = text("REDIS_PASSWORD") {
        (target.password, target.password_file) = (Some(Secret::new(password)), None);
    } else if let Some(file) = text("REDIS_PASSWORD_FILE") {
        (target.password, target.password_file) = (None, Some(file.into()));
    }
    for (name, field) in [
        ("TLS_CA_CERT_FILE", &mut target.tls_ca_cert_file),
        ("TLS_CLIENT_CERT_FILE", &mut target.tls_client_cert_file),
        ("TLS_CLIENT_KEY_FILE", &mut target.tls_client_key_file),
    ] {
        *field = text(&full(name)).map(Into::into).or(field.take());
    }
    target.tls_server_name = text(&full("TLS_SERVER_NAME")).or(target.tls_server_name.take());
    for (name, field) in
        [("CONFIG_COMMAND", &mut target.config_command), ("CHECK_SEARCH_INDEXES", &mut target.check_search_indexes)]
    {
        if let Some(value) = text(&full(name)) {
            *field = value;
        }
    }
    let mut wrong =
        |name: &str, what: &str| problems.push(Problem::warning("targets", format!("{name} is not used: {what}")));
    for (name, field) in switches(target) {
        let name = full(name);
        match environment.get(&name).map(truth) {
            Some(Some(value)) => *field = value,
            Some(None) => wrong(&name, "it is neither true nor false"),
            None => {}
        }
    }
    for (name, field) in lists(target) {
        let name = full(name);
        match environment.get(&name).map(|text| keys::split(text).and_then(|list| keys::parse(&list).map(|_| list))) {
            Some(Ok(list)) => *field = list,
            Some(Err(what)) => wrong(&name, &what),
            None => {}
        }
    }
    if let Some(groups) = text(&full("CHECK_KEY_GROUPS")) {
        target.check_key_groups = groups.split(',').map(|group| group.trim().to_owned()).collect();
    }
    if let Some(script) = text(&full("SCRIPT")) {
        target.script = script.split(',').map(|path| path.trim().into()).collect();
    }
    for (name, number) in [("CHECK_KEYS_BATCH_SIZE", &mut target.check_keys_batch_size)] {
        if let Some(text) = environment.get(&full(name)) {
            match text.parse() {
                Ok(0) | Err(_) => wrong(&full(name), "it is no number above 0"),
                Ok(value) => *number = value,
            }
        }
    }
    if let Some(text) = environment.get(&full("MAX_DISTINCT_KEY_GROUPS")) {
        match text.parse() {
            Ok(value) => target.max_distinct_key_groups = value,
            Err(_) => wrong(&full("MAX_DISTINCT_KEY_GROUPS"), "it is no number"),
        }
    }
    if let Some(text) = environment.get(&full("CONNECTION_TIMEOUT")) {
        // The original's default of 15 s is longer than Prometheus waits: ours is not stretched by it.
        match text.parse::<Span>() {
            Ok(span) if !span.0.is_zero() => target.timeout = target.timeout.min(span),
            _ => wrong(&full("CONNECTION_TIMEOUT"), "it is no duration"),
        }
    }
}

fn full(name: &str) -> String {
    format!("REDIS_EXPORTER_{name}")
}

fn switches(target: &mut TargetConfig) -> [(&'static str, &mut bool); 16] {
    [
        ("SKIP_TLS_VERIFICATION", &mut target.skip_tls_verification),
        ("SET_CLIENT_NAME", &mut target.set_client_name),
        ("APPEND_INSTANCE_ROLE_LABEL", &mut target.append_instance_role_label),
        ("INCL_METRICS_FOR_EMPTY_DATABASES", &mut target.include_metrics_for_empty_databases),
        ("INCL_SYSTEM_METRICS", &mut target.include_system_metrics),
        ("INCL_CONFIG_METRICS", &mut target.include_config_metrics),
        ("REDACT_CONFIG_METRICS", &mut target.redact_config_metrics),
        ("INCL_MODULES_METRICS", &mut target.include_modules_metrics),
        ("INCL_RDB_FILE_SIZE_METRIC", &mut target.include_rdb_file_size_metric),
        ("INCL_SEARCH_INDEXES_METRICS", &mut target.include_search_indexes_metrics),
        ("EXCLUDE_LATENCY_HISTOGRAM_METRICS", &mut target.exclude_latency_histogram_metrics),
        ("EXPORT_CLIENT_LIST", &mut target.export_client_list),
        ("EXPORT_CLIENT_PORT", &mut target.export_client_port),
        ("STREAMS_EXCLUDE_CONSUMER_METRICS", &mut target.streams_exclude_consumer_metrics),
        ("DISABLE_EXPORTING_KEY_VALUES", &mut target.disable_exporting_key_values),
        ("SKIP_CHECKKEYS_FOR_ROLE_MASTER", &mut target.skip_checkkeys_for_role_master),
    ]
}

fn lists(target: &mut TargetConfig) -> [(&'static str, &mut Vec<String>); 5] {
    [
        ("CHECK_KEYS", &mut target.check_keys),
        ("CHECK_SINGLE_KEYS", &mut target.check_single_keys),
        ("COUNT_KEYS", &mut target.count_keys),
        ("CHECK_STREAMS", &mut target.check_streams),
        ("CHECK_SINGLE_STREAMS", &mut target.check_single_streams),
    ]
}

/// A query of `/scrape` over the options of a server. Other parameters are none of ours.
pub(super) fn ask(target: &mut TargetConfig, query: &[(String, String)]) -> Result<(), String> {
    for (name, field) in lists(target) {
        let name = name.to_lowercase().replace('_', "-");
        if let Some((_, value)) = query.iter().find(|(key, value)| *key == name && !value.is_empty()) {
            let list = keys::split(value)?;
            keys::parse(&list)?;
            *field = list;
        }
    }
    Ok(())
}

/// The words that the original takes for a switch.
fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed<const N: usize>(config: &mut RedisConfig, pairs: [(&str, &str); N]) -> Vec<String> {
        let mut problems = Problems::default();
        complete(config, &pairs.into(), &mut problems);
        problems.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_originals_environment_makes_a_server_with_its_options() {
        let mut config = RedisConfig::default();
        let problems = completed(
            &mut config,
            [
                ("REDIS_ADDR", "rediss://cache:6380"),
                ("REDIS_USER", "tide"),
                ("REDIS_PASSWORD", "hunter2"),
                ("REDIS_EXPORTER_CHECK_KEYS", "db3=a%2Cb:*,c*"),
                ("REDIS_EXPORTER_INCL_SYSTEM_METRICS", "1"),
                ("REDIS_EXPORTER_SET_CLIENT_NAME", "maybe"),
                ("REDIS_EXPORTER_COUNT_KEYS", "dbx=1"),
                ("REDIS_EXPORTER_CONNECTION_TIMEOUT", "15s"),
                ("REDIS_EXPORTER_TLS_CA_CERT_FILE", "/ca.pem"),
            ],
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"));
        let target = &config.targets["redis"];
        assert_eq!(target.check_keys, ["db3=a,b:*", "c*"]);
        assert!(target.include_system_metrics && target.set_client_name && target.count_keys.is_empty());
        assert_eq!((target.timeout, target.user.as_deref()), (Span::seconds(3), Some("tide")));
        assert_eq!(target.resolved().unwrap().to_string(), "rediss://cache:6380");
        assert_eq!(config.scrape.target.password, Some(Secret::new("hunter2")), "/scrape has the same credentials");
    }

    #[test]
    fn configured_servers_stay_and_an_unusable_address_is_said() {
        let mut config = RedisConfig::default();
        assert_eq!(completed(&mut config, [("REDIS_ADDR", "http://:hunter2@x")]).len(), 1);
        assert!(config.targets.is_empty());
        config.targets.insert("main".into(), TargetConfig::default());
        assert_eq!(completed(&mut config, [("REDIS_URL", "redis://x")]), Vec::<String>::new());
        assert_eq!(completed(&mut config, [("REDIS_ADDR", "redis://x")]).len(), 1);
        assert_eq!(config.targets.len(), 1);
    }

    #[test]
    fn a_query_names_keys() {
        let mut target = TargetConfig::default();
        let query = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let asked = ask(&mut target, &query(&[("check-single-keys", "db1=a"), ("count-keys", "x*"), ("target", "h")]));
        assert_eq!(asked, Ok(()));
        assert_eq!((target.check_single_keys[0].as_str(), target.count_keys[0].as_str()), ("db1=a", "x*"));
        assert!(ask(&mut target, &query(&[("check-streams", "dby=a")])).is_err());
    }
}
