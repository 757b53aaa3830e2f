//! What the start prints: what was found, what is served, what is not watched, and what to try next.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::settings::{Role, Validated};
use crate::config::Environment;

/// What this version cannot watch yet, by the variable that would name it.
const UNWATCHED: [(&str, &str); 2] = [("the OpenClaw gateway", "OPENCLAW_GATEWAY_URL"), ("LiteLLM", "LITELLM_URL")];

/// The lines, without a newline at the end.
pub(super) fn of(
    validated: &Validated,
    environment: &Environment,
    addresses: &[SocketAddr],
    data_dir: &Path,
) -> String {
    let mut text = String::new();
    match write(&mut text, validated, environment, addresses, data_dir) {
        // Writing to a string cannot fail.
        Ok(()) | Err(std::fmt::Error) => text.trim_end().to_owned(),
    }
}

fn write(
    text: &mut String,
    validated: &Validated,
    environment: &Environment,
    addresses: &[SocketAddr],
    data_dir: &Path,
) -> std::fmt::Result {
    let settings = &validated.settings;
    let role = match settings.role {
        Role::Both => "exporter and receiver",
        Role::Exporter => "exporter",
        Role::Receiver => "receiver",
    };
    writeln!(text, "tidewatch {} is ready ({role}), data in {}", env!("CARGO_PKG_VERSION"), data_dir.display())?;
    let mut doors = addresses.iter().zip(&validated.doors).map(|(address, door)| {
        let scheme = if door.tls.is_some() { "https" } else { "http" };
        (format!("{scheme}://{}", reachable(*address)), door)
    });
    let Some((main, _)) = doors.next() else { return Ok(()) };
    writeln!(text, "\nserved")?;
    writeln!(text, "  {main}/metrics           for Prometheus")?;
    if settings.role.receives() {
        writeln!(text, "  {main}/webhook/alerts    for Alertmanager")?;
    }
    writeln!(text, "  {main}/                  this instance, for people")?;
    for (other, door) in doors {
        let which = if door.collectors.is_empty() { "everything".to_owned() } else { door.collectors.join(", ") };
        writeln!(text, "  {other}/metrics           {which}")?;
    }
    writeln!(text, "\nwatched")?;
    let runs = |name: &str| settings.role.uses(&format!("collectors.{name}"));
    for (name, what) in settings.collectors.watched().into_iter().filter(|(name, _)| runs(name)) {
        writeln!(text, "  {name:<10}  {what}")?;
    }
    if settings.role.receives() {
        writeln!(text, "\nnotified\n  {}", validated.channels.join(", "))?;
    }
    let unwatched = settings.collectors.unwatched().into_iter().filter(|(name, _)| runs(name));
    let unwatched: Vec<String> = unwatched.map(|(name, by)| format!("{name} ({by})")).collect();
    if !unwatched.is_empty() {
        writeln!(text, "\nnot watched: no target is named, by what stands beside it, for\n  {}", unwatched.join(", "))?;
    }
    let unwatched = UNWATCHED.map(|(name, variable)| match environment.get(variable) {
        Some(_) => format!("{name} ({variable} is set)"),
        None => name.to_owned(),
    });
    writeln!(text, "\nnot watched: this version has no collector yet for\n  {}", unwatched.join(", "))?;
    if !validated.unused.is_empty() {
        writeln!(text, "\nin the configuration, not used in this role\n  {}", validated.unused.join(", "))?;
    }
    writeln!(text, "\ntry next")?;
    let token = if validated.token.is_some() { " -H \"Authorization: Bearer $TIDEWATCH_TOKEN\"" } else { "" };
    writeln!(text, "  curl -X POST{token} {main}/api/v1/agents/steward/heartbeat")?;
    writeln!(text, "  {}", health(settings.data_dir.as_path()))
}

fn health(data_dir: &Path) -> String {
    if data_dir == Path::new("tidewatch-data") {
        "tidewatch health".into()
    } else {
        format!("tidewatch health --data-dir {}", data_dir.display())
    }
}

/// The address as somebody on this machine types it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
