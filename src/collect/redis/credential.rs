//! The password of a server, read anew for each connection: a file may change.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::io::AsyncReadExt;

use super::address::Address;
use super::section::TargetConfig;
use crate::config::Secret;

/// No file of passwords is bigger.
const MOST: u64 = 1 << 20;

/// The password for an address: the configured one, else that of the file, else that of the address itself. Errors name
/// the file, never what is in it.
pub(super) async fn password(config: &TargetConfig, address: &Address) -> Result<Option<Secret>, String> {
    if let Some(password) = &config.password {
        return Ok(Some(password.clone()));
    }
    let Some(path) = &config.password_file else { return Ok(address.password.clone()) };
    let text = read(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("{}: no password in it", path.display()));
    }
    if !text.trim_start().starts_with('{') {
        return Ok(Some(Secret::new(text)));
    }
    let user = config.user.as_deref().or(address.user.as_deref());
    let listed: BTreeMap<String, Secret> = serde_json::from_str(text)
        .map_err(|_| format!("{}: not an object of addresses and passwords", path.display()))?;
    Ok(listed.into_iter().find(|(listed, _)| means(listed, address, user)).map(|(_, password)| password))
}

/// Whether an address of the file is this one, with this user.
fn means(listed: &str, address: &Address, user: Option<&str>) -> bool {
    listed.parse().is_ok_and(|listed: Address| listed.place == address.place && listed.user.as_deref() == user)
}

async fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(MOST).read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_comes_from_the_configuration_the_file_or_the_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        let address: Address = "redis://:inline@h:7000".parse().unwrap();
        let mut config = TargetConfig::default();
        let found = |config: TargetConfig, address: Address| async move { password(&config, &address).await };
        assert_eq!(found(config.clone(), address.clone()).await, Ok(Some(Secret::new("inline"))));
        config.password_file = Some(path.clone());
        std::fs::write(&path, "plain\n").unwrap();
        assert_eq!(found(config.clone(), address.clone()).await, Ok(Some(Secret::new("plain"))));
        std::fs::write(&path, r#"{"redis://h:7000": "one", "redis://tide@h:7000": "two", "redis://h:7001": ""}"#)
            .unwrap();
        assert_eq!(found(config.clone(), address.clone()).await, Ok(Some(Secret::new("one"))));
        config.user = Some("tide".into());
        assert_eq!(found(config.clone(), address.clone()).await, Ok(Some(Secret::new("two"))));
        std::fs::write(&path, "{\"hunter2\"").unwrap();
        let error = found(config.clone(), address.clone()).await.unwrap_err();
        assert!(error.contains("passwords") && !error.contains("hunter2"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(found(config, address).await.unwrap_err().contains("passwords"));
    }
}
