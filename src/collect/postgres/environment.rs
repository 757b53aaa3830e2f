//! The environment variables of postgres_exporter, and the one that applications use.

use std::path::Path;

use super::address::Address;
use super::section::{PostgresConfig, TargetConfig};
use crate::config::{Environment, Problem, Problems, Secret};

/// Lays the variables over the section: `DATA_SOURCE_NAME`, or `DATA_SOURCE_URI` with `_USER` and `_PASS`, each also
/// from a file; where nothing else names a server, `DATABASE_URL`.
pub(super) fn complete(config: &mut PostgresConfig, environment: &Environment, problems: &mut Problems) {
    if let Some(names) = environment.get("DATA_SOURCE_NAME") {
        for text in names.split(',') {
            add(
                config,
                TargetConfig { url: Some(Secret::new(text)), ..TargetConfig::default() },
                environment,
                problems,
                "DATA_SOURCE_NAME",
            );
        }
    } else if let Some(target) = data_source(environment, problems) {
        add(config, target, environment, problems, "DATA_SOURCE_URI");
    }
    if let Some(url) = environment.get("DATABASE_URL").filter(|_| config.targets.is_empty()) {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            add(
                config,
                TargetConfig { url: Some(Secret::new(url)), ..TargetConfig::default() },
                environment,
                problems,
                "DATABASE_URL",
            );
        } else {
            let scheme: String = url.chars().take_while(char::is_ascii_alphanumeric).take(20).collect();
            let message = format!("DATABASE_URL is of {scheme}, not of Postgres: it is skipped");
            problems.push(
                Problem::warning("", message).hint("a Postgres server is named by [collectors.postgres.targets.NAME]"),
            );
        }
    }
    if let Some(path) = environment.get("PG_EXPORTER_EXTEND_QUERY_PATH").filter(|_| config.queries.is_empty()) {
        config.queries.push(path.into());
    }
    for (name, parts) in DISABLING {
        if is_set(environment, name, problems) {
            config.parts.exclude.extend(parts.iter().map(|part| (*part).to_owned()));
        }
    }
    for (name, instead) in UNREAD {
        if environment.get(name).is_some() && !config.targets.is_empty() {
            problems.push(Problem::warning("", format!("{name} means nothing here")).hint(instead));
        }
    }
    if is_set(environment, "PG_EXPORTER_AUTO_DISCOVER_DATABASES", problems) {
        let list =
            |name| environment.get(name).map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        let (include, exclude) = (list("PG_EXPORTER_INCLUDE_DATABASES"), list("PG_EXPORTER_EXCLUDE_DATABASES"));
        for target in config.targets.values_mut().filter(|target| target.databases == super::Databases::default()) {
            target.databases.discover = true;
            target.databases.include = include.clone().unwrap_or_default();
            target.databases.exclude = exclude.clone().unwrap_or_default();
        }
    }
}

/// The switches that take parts away, and which.
const DISABLING: [(&str, &[&str]); 2] = [
    ("PG_EXPORTER_DISABLE_DEFAULT_METRICS", &["static", "stat_database_conflicts"]),
    ("PG_EXPORTER_DISABLE_SETTINGS_METRICS", &["settings"]),
];

/// What the original reads and we do not, with what to do instead.
const UNREAD: [(&str, &str); 5] = [
    ("PG_EXPORTER_CONSTANT_LABELS", "relabelling in prometheus.yml adds labels"),
    ("PG_EXPORTER_METRIC_PREFIX", "relabelling in prometheus.yml changes names"),
    ("PG_EXPORTER_COLLECTION_TIMEOUT", "set collectors.postgres.schedule.timeout"),
    ("PG_EXPORTER_WEB_TELEMETRY_PATH", "metrics are at /metrics"),
    ("PGPASSFILE", "name it in the connection string: passfile=…; or set password_file of the target"),
];

/// What the original's driver takes from libpq's variables where the connection string is silent, by libpq's keys.
const DRIVERS: [(&str, &str); 9] = [
    ("PGHOST", "host"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGDATABASE", "dbname"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
];

/// Whether a switch is set, in the words that the original takes.
fn is_set(environment: &Environment, name: &str, problems: &mut Problems) -> bool {
    match environment.get(name).map(str::trim) {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        None | Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(_) => {
            problems.push(Problem::warning("", format!("{name} is neither true nor false: it is not used")));
            false
        }
    }
}

/// Fills in what the connection string of a variable leaves open.
fn fill(target: &mut TargetConfig, said: &Address, environment: &Environment, problems: &mut Problems) {
    let mut rest = Address::default();
    for (name, key) in DRIVERS {
        if let Some(value) = environment.get(name)
            && let Err(why) = rest.set(key, value.to_owned())
        {
            problems.push(Problem::warning("", format!("{name} is not used: {why}")));
        }
    }
    let with_password = said.password.is_some() || said.passfile.is_some() || target.password_file.is_some();
    target.host = said.host.clone().or(rest.host);
    target.port = said.port.or(rest.port);
    target.user = said.user.clone().or(rest.user);
    target.password = said.password.clone().or(rest.password.filter(|_| !with_password));
    target.database = said.database.clone().or(rest.database);
    target.sslmode = said.sslmode.or(rest.sslmode);
    target.ca_file = said.ca_file.clone().or(rest.ca_file);
    target.cert_file = said.cert_file.clone().or(rest.cert_file);
    target.key_file = said.key_file.clone().or(rest.key_file);
}

/// The server of `DATA_SOURCE_URI`: an address without scheme, user and password, which stand apart.
fn data_source(environment: &Environment, problems: &mut Problems) -> Option<TargetConfig> {
    let mut from_file = |name: &str| match environment.get(&format!("{name}_FILE")) {
        None => environment.get(name).map(str::to_owned),
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                problems.push(Problem::warning("", format!("{name}_FILE: {file}: {error}: it is skipped")));
                None
            }
        },
    };
    let uri = from_file("DATA_SOURCE_URI")?;
    let user = from_file("DATA_SOURCE_USER");
    let uri = if uri.contains("://") { uri } else { format!("postgresql://{uri}") };
    let password = environment.get("DATA_SOURCE_PASS").map(Secret::new);
    // Read at every connection, so that a change of the password needs no restart.
    let password_file = environment.get("DATA_SOURCE_PASS_FILE").map(|file| Path::new(file).to_owned());
    let password = password.filter(|_| password_file.is_none());
    Some(TargetConfig { url: Some(Secret::new(uri)), user, password, password_file, ..TargetConfig::default() })
}

/// Adds a target under the name of its server, and of its database where that name is taken.
fn add(
    config: &mut PostgresConfig,
    mut target: TargetConfig,
    environment: &Environment,
    problems: &mut Problems,
    variable: &str,
) {
    let said: Address = match target.address() {
        Ok(address) => address,
        Err(why) => {
            return problems.push(
                Problem::warning("", format!("{variable} is not usable: {why}: it is skipped"))
                    .hint("write postgresql://user@host:5432/database, or host=… user=… dbname=…"),
            );
        }
    };
    fill(&mut target, &said, environment, problems);
    let address = target.address().unwrap_or(said);
    let mut name = address.server();
    if config.targets.contains_key(&name) {
        name = format!("{name}/{}", address.database.as_deref().unwrap_or_default());
    }
    config.targets.entry(name).or_insert(target);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed<const N: usize>(pairs: [(&str, &str); N]) -> (PostgresConfig, Problems) {
        let (mut config, mut problems) = (PostgresConfig::default(), Problems::default());
        complete(&mut config, &pairs.into(), &mut problems);
        (config, problems)
    }

    fn brief(config: &PostgresConfig) -> Vec<String> {
        let brief = |(name, target): (&String, &TargetConfig)| {
            let address = target.address().unwrap();
            let password = address.password.map(|password| password.expose().to_owned());
            format!("{name} {} {}", address.user.unwrap_or_default(), password.unwrap_or_default())
        };
        config.targets.iter().map(brief).collect()
    }

    #[test]
    fn the_originals_variables_name_servers() {
        let (config, problems) =
            completed([("DATA_SOURCE_NAME", "postgresql://a:b@one:1/x,user=c host=/run/pg,postgresql://a@one:1/y")]);
        assert!(problems.0.is_empty(), "{problems}");
        assert_eq!(brief(&config), ["/run/pg:5432 c ", "one:1 a b", "one:1/y a "]);
        let pairs = [
            ("DATA_SOURCE_URI", "db:5433/app?sslmode=disable"),
            ("DATA_SOURCE_USER", "me"),
            ("DATA_SOURCE_PASS", "p:@/"),
        ];
        assert_eq!(brief(&completed(pairs).0), ["db:5433 me p:@/"]);
    }

    #[test]
    fn a_file_of_the_password_is_read_later() {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        std::fs::write(&user, "me\n").unwrap();
        let pairs = [
            ("DATA_SOURCE_URI", "db/app"),
            ("DATA_SOURCE_USER_FILE", user.to_str().unwrap()),
            ("DATA_SOURCE_PASS_FILE", "/nowhere/password"),
        ];
        let (config, problems) = completed(pairs);
        assert!(problems.0.is_empty(), "{problems}");
        let target = &config.targets["db:5432"];
        assert_eq!(target.user.as_deref(), Some("me"));
        assert_eq!(target.password_file.as_deref(), Some(Path::new("/nowhere/password")));
    }

    #[test]
    fn another_databases_url_is_named_and_skipped() {
        let (config, problems) = completed([("DATABASE_URL", "mongodb://root:hunter2@db/app")]);
        assert!(config.targets.is_empty());
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.0[0].message.contains("mongodb") && !problems.to_string().contains("hunter2"), "{problems}");
        let (config, _) = completed([("DATABASE_URL", "postgres://u@db/app")]);
        assert_eq!(brief(&config), ["db:5432 u "]);
        let (config, _) = completed([("DATABASE_URL", "postgres://u@db/app"), ("DATA_SOURCE_NAME", "host=other")]);
        assert_eq!(brief(&config), ["other:5432  "]);
    }

    #[test]
    fn the_drivers_variables_fill_in_what_is_not_said() {
        let pairs = [
            ("DATA_SOURCE_NAME", "host=a user=u,postgresql://b@b:7/x?passfile=/p"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "hunter2"),
            ("PGPORT", "six"),
        ];
        let (config, problems) = completed(pairs);
        assert_eq!(brief(&config), ["a:5432 u hunter2", "b:7 b "]);
        let said = problems.to_string();
        assert!(said.contains("PGPORT is not used") && !said.contains("hunter2") && !said.contains("six"), "{said}");
    }

    #[test]
    fn a_variable_without_effect_is_named() {
        let pairs = [
            ("DATA_SOURCE_NAME", "host=a"),
            ("PG_EXPORTER_DISABLE_SETTINGS_METRICS", "TRUE"),
            ("PG_EXPORTER_METRIC_PREFIX", "my"),
            ("PG_EXPORTER_AUTO_DISCOVER_DATABASES", "false"),
            ("PG_EXPORTER_INCLUDE_DATABASES", "b"),
        ];
        let (config, problems) = completed(pairs);
        assert_eq!(config.parts.exclude, ["settings"]);
        assert_eq!(config.targets["a:5432"].databases, super::super::Databases::default());
        assert!(problems.0.len() == 1 && problems.to_string().contains("PG_EXPORTER_METRIC_PREFIX"), "{problems}");
        let (config, _) = completed([
            ("DATA_SOURCE_NAME", "host=a"),
            ("PG_EXPORTER_AUTO_DISCOVER_DATABASES", "t"),
            ("PG_EXPORTER_INCLUDE_DATABASES", "b"),
        ]);
        assert_eq!(config.targets["a:5432"].databases.include, ["b"]);
    }
}
