//! The questions that every server is asked: `INFO`, and all others at once, after it.

use ::redis::{Pipeline, Value};
use jiff::Timestamp;

use super::info::Info;
use super::link::{Down, Session};
use super::section::TargetConfig;
use super::sentinel::{self, Master};
use super::settings::{self, Settings};
use super::{clients, cluster, commands, logs, modules, replication, reply, server};
use crate::metrics::Batch;

/// What a question is about, in the words under which a refusal is remembered.
type Topic = &'static str;

const CONFIG: Topic = "config";
const SLOWLOG_LENGTH: Topic = "slowlog length";
const SLOWLOG_LAST: Topic = "slowlog last";
const LATENCY_LATEST: Topic = "latency latest";
const LATENCY_HISTOGRAM: Topic = "latency histogram";
const COMMANDLOG: [Topic; 3] = ["commandlog slow", "commandlog large-request", "commandlog large-reply"];
const CLUSTER: Topic = "cluster info";
const CLIENTS: Topic = "client list";
const MODULES: Topic = "modules";
const MASTERS: Topic = "sentinel masters";

/// What a server answered.
pub(super) struct Standard {
    /// The text of `INFO ALL`.
    pub(super) info: String,
    answers: Vec<(Topic, Value)>,
    masters: Vec<Master>,
    pub(super) settings: Settings,
}

/// Asks a server everything that stands in one run's standard part.
pub(super) async fn ask(session: &mut Session, config: &TargetConfig) -> Result<Standard, Down> {
    let info = session.ask_one(&["INFO", "ALL"]).await?;
    let info = reply::text(&info).map(std::borrow::Cow::into_owned);
    let info = info.filter(|text| text.contains("_version:")).ok_or_else(|| Down::Odd("INFO".into()))?;
    let answers = others(session, config, &Info::parse(&info)).await?;
    let masters = match find(&answers, MASTERS) {
        Some(masters) => sentinel::ask(session, masters).await?,
        None => Vec::new(),
    };
    let settings = settings::read(find(&answers, CONFIG));
    Ok(Standard { info, answers, masters, settings })
}

async fn others(session: &mut Session, config: &TargetConfig, info: &Info<'_>) -> Result<Vec<(Topic, Value)>, Down> {
    let mut questions: Vec<(Topic, &[&str])> = Vec::new();
    let get = [config.config_command.as_str(), "GET", "*"];
    if info.is_sentinel() {
        questions.push((MASTERS, &["SENTINEL", "MASTERS"]));
    } else {
        if config.config_command != "-" {
            questions.push((CONFIG, &get));
        }
        questions.push((SLOWLOG_LENGTH, &["SLOWLOG", "LEN"]));
        questions.push((SLOWLOG_LAST, &["SLOWLOG", "GET", "1"]));
        questions.push((LATENCY_LATEST, &["LATENCY", "LATEST"]));
        if !config.exclude_latency_histogram_metrics {
            questions.push((LATENCY_HISTOGRAM, &["LATENCY", "HISTOGRAM"]));
        }
        if !info.get("valkey_version").is_empty() {
            questions.push((COMMANDLOG[0], &["COMMANDLOG", "LEN", "slow"]));
            questions.push((COMMANDLOG[1], &["COMMANDLOG", "LEN", "large-request"]));
            questions.push((COMMANDLOG[2], &["COMMANDLOG", "LEN", "large-reply"]));
        }
        if info.is_cluster() {
            questions.push((CLUSTER, &["CLUSTER", "INFO"]));
        }
        if config.include_modules_metrics {
            questions.push((MODULES, &["INFO", "MODULES"]));
        }
    }
    if config.export_client_list {
        questions.push((CLIENTS, &["CLIENT", "LIST"]));
    }
    questions.retain(|(topic, _)| !session.is_refused(topic));
    let mut commands = Pipeline::new();
    for (_, words) in &questions {
        if let Some((name, arguments)) = words.split_first() {
            commands.cmd(name).arg(arguments);
        }
    }
    let mut answers = Vec::new();
    for ((topic, _), reply) in questions.iter().zip(session.ask(&commands).await?) {
        if matches!(reply, Value::ServerError(_)) {
            session.refuse(topic);
        } else {
            answers.push((*topic, reply));
        }
    }
    Ok(answers)
}

fn find(answers: &[(Topic, Value)], topic: Topic) -> Option<&Value> {
    answers.iter().find(|(of, _)| *of == topic).map(|(_, value)| value)
}

impl Standard {
    /// What the server calls its role: `master`, `slave`, or nothing.
    pub(super) fn role(&self) -> String {
        Info::parse(&self.info).get("role").to_owned()
    }

    /// Writes it.
    pub(super) fn write(&self, config: &TargetConfig, older: bool, now: Timestamp, batch: &mut Batch) {
        let info = Info::parse(&self.info);
        let answer = |topic| find(&self.answers, topic);
        server::write_identity(&info, now, batch);
        server::write_fields(&info, config, batch);
        let databases = settings::databases(&self.settings, info.is_cluster());
        server::write_keyspace(&info, databases, config.include_metrics_for_empty_databases, batch);
        let usage = commands::write_calls(&info, batch);
        commands::write_errors(&info, batch);
        commands::write_percentiles(&info, &usage, batch);
        if let Some(reply) = answer(LATENCY_HISTOGRAM) {
            commands::write_histograms(reply, &usage, batch);
        }
        replication::write(&info, batch);
        cluster::write(&info, answer(CLUSTER).and_then(reply::text).as_deref(), batch);
        sentinel::write_info(&info, batch);
        sentinel::write(&self.masters, batch);
        settings::write(&self.settings, config, batch);
        if let Some(reply) = answer(SLOWLOG_LENGTH) {
            logs::write_length(None, reply, batch);
        }
        if let Some(reply) = answer(SLOWLOG_LAST) {
            logs::write_last(reply, batch);
        }
        if let Some(reply) = answer(LATENCY_LATEST) {
            logs::write_spikes(reply, batch);
        }
        for (topic, (_, desc)) in COMMANDLOG.into_iter().zip(&logs::COMMANDLOGS) {
            if let Some(reply) = answer(topic) {
                logs::write_length(Some(desc), reply, batch);
            }
        }
        if let Some(list) = answer(CLIENTS).and_then(reply::text) {
            clients::write(&list, now, config.export_client_port, older, batch);
        }
        if let Some(text) = answer(MODULES).and_then(reply::text) {
            let of_modules = Info::parse(&text);
            modules::write(&of_modules, batch);
            server::write_fields(&of_modules, config, batch);
        }
    }
}
