//! Messages on standard output: one block each, for whoever watches the terminal or the journal.

use std::io::{self, IsTerminal, Write};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::config::{Environment, Problems};
use crate::store::Delivery;

use super::blocking::Blocking;
use super::render::{Message, Renderer};
use super::templates::Templates;
use super::{Anchor, Declare, Deps, Notifier, SendError};

/// `[notify.console.NAME]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Colours: on a terminal, unless this says otherwise.
    pub colour: Option<bool>,
}

/// Writes to standard output.
pub struct Console {
    renderer: Renderer,
    templates: Templates,
    colour: bool,
    blocking: Blocking,
}

#[derive(Serialize)]
struct Painted<'a> {
    #[serde(flatten)]
    message: &'a Message,
    paint: &'static str,
    plain: &'static str,
}

impl Console {
    /// The block of a delivery, with its last line end.
    pub fn block(&self, delivery: &Delivery) -> String {
        let message = self.renderer.message(delivery);
        let (paint, plain) = if self.colour { (paint(&message), "\u{1b}[0m") } else { ("", "") };
        let painted = Painted { message: &message, paint, plain };
        let mut text = self.templates.render("console.txt", painted).unwrap_or_else(|| message.head());
        text.push('\n');
        text
    }
}

fn paint(message: &Message) -> &'static str {
    match message.severity {
        _ if message.ended.is_some() => "\u{1b}[1;32m",
        Some(Severity::Critical) => "\u{1b}[1;31m",
        Some(Severity::Warning) => "\u{1b}[1;33m",
        _ => "\u{1b}[1m",
    }
}

#[async_trait]
impl Notifier for Console {
    async fn send(&self, delivery: &Delivery) -> Result<Option<Anchor>, SendError> {
        let block = self.block(delivery);
        let write = move || {
            // One write, so that blocks of several channels and the log do not mix within a line.
            let mut out = io::stdout().lock();
            out.write_all(block.as_bytes()).and_then(|()| out.flush())
        };
        self.blocking.run("standard output", write).await.map(|()| None)
    }
}

impl Declare for Console {
    type Config = ConsoleConfig;

    /// There is always somebody to tell: the console needs no asking.
    fn from_environment(_environment: &Environment, _problems: &mut Problems) -> Option<ConsoleConfig> {
        Some(ConsoleConfig::default())
    }

    fn check(_config: &ConsoleConfig, _problems: &mut Problems) {}

    fn build(config: &ConsoleConfig, deps: &Deps) -> anyhow::Result<Self> {
        let colour = config.colour.unwrap_or_else(|| io::stdout().is_terminal());
        let blocking = Blocking::new("console", &deps.tasks);
        Ok(Self { renderer: Renderer::new(deps), templates: Templates::new()?, colour, blocking })
    }
}
