//! `assets export`: the rules, dashboards and configurations that belong to this version, written with the addresses of
//! one's own programs.

mod address;
mod render;
mod write;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::address::{Endpoint, MailAddress, Smtp};
use self::render::{Choices, Fallback};
use self::write::Outcome;
use crate::config::{Environment, HttpUrl, Span};

/// The file that holds the token, where no other is named.
const TOKEN: &str = "tidewatch.token";

/// What to do with the files that come with tidewatch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidewatch assets export ./monitoring --alertmanager localhost:9093")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write the alert rules, dashboards and configurations for Prometheus, Alertmanager and Grafana
    Export(Export),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  For containers, under the names of docker/docker-compose.monitoring.yml:
    tidewatch assets export /etc/tidewatch --readable

  Everything on this machine, with mail past tidewatch when tidewatch itself fails:
    tidewatch assets export ./monitoring --tidewatch localhost:9480 --prometheus localhost:9090 \\
        --alertmanager localhost:9093 --smtp mail.example.com:587 --mail-to ops@example.com

  Two Alertmanagers, and a token that is already there:
    tidewatch assets export ./monitoring --alertmanager am1:9093,am2:9093 \\
        --token-file /run/secrets/tidewatch

  To try it out, impatiently:
    tidewatch assets export ./lab --scrape-interval 1s --group-wait 1s --group-interval 2s

A second export keeps the token and replaces the other files: change them by options, not by hand.")]
struct Export {
    /// The folder to write to; made where it is missing
    dir: PathBuf,

    /// The address at which people reach tidewatch; the dashboard links to it [env: TIDEWATCH_EXTERNAL_URL]
    #[arg(long, value_name = "URL")]
    external_url: Option<HttpUrl>,

    /// Where Prometheus and Alertmanager reach tidewatch
    #[arg(long, value_name = "HOST:PORT", default_value = "tidewatch:9480")]
    tidewatch: Endpoint,

    /// Where Grafana and Prometheus itself reach Prometheus
    #[arg(long, value_name = "HOST:PORT", default_value = "prometheus:9090")]
    prometheus: Endpoint,

    /// Where Prometheus reaches Alertmanager; several form one cluster
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', default_value = "alertmanager:9093")]
    alertmanager: Vec<Endpoint>,

    /// Mail server for alerts about tidewatch itself, also as smtp://USER:PASSWORD@HOST:PORT [env: SMTP_URL]
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<Smtp>,

    /// Who gets that mail [env: ALERT_EMAIL]
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<MailAddress>,

    /// Its sender [env: ALERT_EMAIL_FROM] [default: the one who gets it]
    #[arg(long, value_name = "ADDRESS")]
    mail_from: Option<MailAddress>,

    /// The token that Alertmanager shows to tidewatch; a missing file is made with a random one
    /// [default: DIR/tidewatch.token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Let every user read the token and a mail password, not only the one who runs this: for a volume that containers
    /// with different users share
    #[arg(long)]
    readable: bool,

    /// How often Prometheus scrapes and evaluates
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = positive)]
    scrape_interval: Span,

    /// How long Alertmanager waits for more alerts of a new group
    #[arg(long, value_name = "TIME", default_value = "10s")]
    group_wait: Span,

    /// How long Alertmanager waits before it tells changes of a group
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = positive)]
    group_interval: Span,
}

fn positive(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    if span.0.is_zero() { Err("must be longer than 0".into()) } else { Ok(span) }
}

/// Does what the command line says, and tells `out` what was done.
pub fn run(args: &Args, environment: &Environment, out: &mut impl Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Export(export) => export.run(environment, out),
    }
}

impl Export {
    fn run(&self, environment: &Environment, out: &mut impl Write) -> anyhow::Result<()> {
        let dir = std::path::absolute(&self.dir).with_context(|| self.dir.display().to_string())?;
        let token_file = match &self.token_file {
            Some(file) => std::path::absolute(file).with_context(|| file.display().to_string())?,
            None => dir.join(TOKEN),
        };
        let fallback = self.fallback(environment)?;
        let choices = Choices {
            dashboards: text_of(&dir.join("dashboards"))?,
            // Relative to alertmanager.yml, so that the folder may be mounted elsewhere.
            token_file: if self.token_file.is_some() { text_of(&token_file)? } else { TOKEN.to_owned() },
            external_url: self.external_url(environment)?,
            tidewatch: &self.tidewatch,
            prometheus: &self.prometheus,
            alertmanagers: &self.alertmanager,
            fallback: fallback.as_ref(),
            scrape_interval: self.scrape_interval,
            group_wait: self.group_wait,
            group_interval: self.group_interval,
        };
        let token = write::token(&token_file, self.readable)?;
        writeln!(out, "{}", dir.display())?;
        let name = token_file.strip_prefix(&dir).unwrap_or(&token_file);
        writeln!(out, "  {:<46} {token}", name.display().to_string())?;
        for asset in render::all(&choices) {
            let outcome = write::file(&dir.join(asset.path), &asset.text, asset.secret.then_some(self.readable))?;
            writeln!(out, "  {:<46} {outcome}", asset.path)?;
        }
        self.advise(&dir, &token_file, fallback.is_some(), token, out)?;
        Ok(())
    }

    fn external_url(&self, environment: &Environment) -> anyhow::Result<Option<HttpUrl>> {
        match (&self.external_url, environment.get("TIDEWATCH_EXTERNAL_URL")) {
            (Some(url), _) => Ok(Some(url.clone())),
            (None, Some(text)) => parsed("TIDEWATCH_EXTERNAL_URL", text).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Who hears of tidewatch's own trouble. A server that only the environment names is meant for tidewatch first, so
    /// there a missing recipient is no error.
    fn fallback(&self, environment: &Environment) -> anyhow::Result<Option<Fallback>> {
        let of_environment = |name| environment.get(name).map(|text| parsed::<MailAddress>(name, text)).transpose();
        let to = self.mail_to.clone().map_or_else(|| of_environment("ALERT_EMAIL"), |to| Ok(Some(to)))?;
        let from = self.mail_from.clone().map_or_else(|| of_environment("ALERT_EMAIL_FROM"), |from| Ok(Some(from)))?;
        let smtp = match (&self.smtp, environment.get("SMTP_URL")) {
            (Some(smtp), _) => Some(smtp.clone()),
            (None, Some(text)) => Some(parsed("SMTP_URL", text)?),
            (None, None) => None,
        };
        match (smtp, to) {
            (Some(smtp), Some(to)) => Ok(Some(Fallback { smtp, from: from.unwrap_or_else(|| to.clone()), to })),
            (Some(_), None) if self.smtp.is_some() => bail!("--smtp says how to send; say to whom with --mail-to"),
            (None, Some(_)) if self.mail_to.is_some() => bail!("--mail-to says to whom; say how to send with --smtp"),
            _ => Ok(None),
        }
    }

    fn advise(
        &self,
        dir: &Path,
        token_file: &Path,
        fallback: bool,
        token: Outcome,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        if !fallback {
            writeln!(
                out,
                "\nNo mail server for alerts about tidewatch itself (--smtp, --mail-to): they go to tidewatch,"
            )?;
            writeln!(out, "and nobody is told when it is down.")?;
        }
        if !self.readable && token != Outcome::Kept {
            writeln!(
                out,
                "\nOnly the present user can read the token. Where Alertmanager runs as another one, give it"
            )?;
            writeln!(out, "that right, or export again with --readable.")?;
        }
        let (dir, token_file, listen) = (dir.display(), token_file.display(), self.tidewatch.to_listen());
        writeln!(out, "\nNext:")?;
        writeln!(out, "  TIDEWATCH_TOKEN_FILE={token_file} tidewatch --listen {listen}")?;
        writeln!(out, "  alertmanager --config.file={dir}/alertmanager.yml")?;
        writeln!(out, "  prometheus --config.file={dir}/prometheus.yml")
    }
}

/// A value of the environment, with the variable's name before what is wrong with it; never the value, it may be secret.
fn parsed<T: std::str::FromStr<Err = String>>(name: &str, text: &str) -> anyhow::Result<T> {
    text.parse().map_err(|error| anyhow::anyhow!("{name}: {error}"))
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => bail!("{}: a path with such characters cannot be written into a configuration", path.display()),
    }
}
