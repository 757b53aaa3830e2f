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
                problems,
                "DATA_SOURCE_NAME",
            );
        }
    } else if let Some(target) = data_source(environment, problems) {
        add(config, target, problems, "DATA_SOURCE_URI");
    }
    if let Some(url) = environment.get("DATABASE_URL").filter(|_| config.targets.is_empty()) {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            add(
                config,
                TargetConfig { url: Some(Secret::new(url)), ..TargetConfig::default() },
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
    if let Some(discover) = environment.get("PG_EXPORTER_AUTO_DISCOVER_DATABASES") {
        let discover = matches!(discover, "true" | "1");
        let list =
            |name| environment.get(name).map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        let (include, exclude) = (list("PG_EXPORTER_INCLUDE_DATABASES"), list("PG_EXPORTER_EXCLUDE_DATABASES"));
        for target in config.targets.values_mut().filter(|target| target.databases == super::Databases::default()) {
            target.databases.discover = discover;
            target.databases.include = include.clone().unwrap_or_default();
            target.databases.exclude = exclude.clone().unwrap_or_default();
        }
    }
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
fn add(config: &mut PostgresConfig, target: TargetConfig, problems: &mut Problems, variable: &str) {
    let address: Address = match target.address() {
        Ok(address) => address,
        Err(why) => {
            return problems.push(
                Problem::warning("", format!("{variable} is not usable: {why}: it is skipped"))
                    .hint("write postgresql://user@host:5432/database, or host=… user=… dbname=…"),
            );
        }
    };
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
}
