//! The texts of messages: templates in a sandbox. What they are given is escaped for the markup that the template's
//! name ends in, and a template that fails costs the layout, never the alert.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

use super::render::Message;

/// Renders the built-in templates.
pub struct Templates(Environment<'static>);

/// Name and text of each: the name's ending says which markup.
const BUILT_IN: [(&str, &str); 6] = [
    ("console.txt", include_str!("templates/console.txt.j2")),
    ("mail.txt", include_str!("templates/mail.txt.j2")),
    ("mail.html", include_str!("templates/mail.html.j2")),
    ("slack_head.mrkdwn", include_str!("templates/slack_head.mrkdwn.j2")),
    ("slack_members.mrkdwn", include_str!("templates/slack_members.mrkdwn.j2")),
    ("slack_foot.mrkdwn", include_str!("templates/slack_foot.mrkdwn.j2")),
];

/// Steps that one rendering may take: a hundred times what the built-in ones need, and far below a second.
const FUEL: u64 = 200_000;
const MRKDWN: &str = "mrkdwn";

impl Templates {
    /// The built-in ones.
    ///
    /// # Errors
    /// One of them is no template, which a test would have shown.
    pub fn new() -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("html") => AutoEscape::Html,
            Some(MRKDWN) => AutoEscape::Custom(MRKDWN.into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(format);
        environment.add_filter("date", date);
        environment.add_filter("linked", linked);
        for (name, source) in BUILT_IN {
            environment.add_template(name, source)?;
        }
        Ok(Self(environment))
    }

    /// Renders a template. `None` when it fails, which is logged: the caller has a text that cannot.
    pub fn render(&self, name: &str, context: impl Serialize) -> Option<String> {
        let rendered = self.0.get_template(name).and_then(|template| template.render(Serde(context)));
        match rendered {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(error) => {
                tracing::error!(template = name, %error, "a template failed: plain text is sent in its place");
                None
            }
        }
    }

    /// Renders a message's template; its head where that fails.
    pub fn text(&self, name: &str, message: &Message) -> String {
        self.render(name, message).unwrap_or_else(|| message.head())
    }
}

fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let is_mrkdwn = matches!(state.auto_escape(), AutoEscape::Custom(name) if name == MRKDWN);
    if value.is_safe() && is_mrkdwn {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    if !is_mrkdwn {
        return minijinja::escape_formatter(out, state, value);
    }
    Ok(out.write_str(&mrkdwn(&value.to_string()))?)
}

/// Escapes a text for Slack: exactly the three characters that its markup asks for. Backticks would open a code span
/// that swallows what follows, so they become apostrophes.
pub(crate) fn mrkdwn(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "'")
}

/// Slack's own notation for a time: shown in each reader's zone, the text where that is not possible.
fn date(moment: &Value) -> Result<Value, Error> {
    let (unix, dated) = (moment.get_attr("unix")?, moment.get_attr("dated")?.is_true());
    let format = if dated { "{date_short}, {time}" } else { "{time}" };
    let text = moment.get_attr("text")?.to_string();
    Ok(Value::from_safe_string(format!("<!date^{unix}^{format}|{}>", mrkdwn(&text))))
}

/// Slack's notation for a link, to an address that [`crate::alert::text::link`] has passed.
fn linked(text: &str, url: &str) -> Value {
    Value::from_safe_string(format!("<{}|{}>", mrkdwn(url), mrkdwn(text)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::Timestamp;

    use super::super::Deps;
    use super::super::render::Renderer;
    use super::*;
    use crate::alert::Kind;
    use crate::clock::Clock;
    use crate::net::client::Client;
    use crate::store::{Delivery, Subject};
    use crate::task::Tasks;
    use crate::telemetry::Telemetry;

    #[test]
    fn all_built_in_templates_compile() {
        Templates::new().unwrap();
    }

    #[test]
    fn r20_template_bomb() {
        let mut templates = Templates::new().unwrap();
        templates
            .0
            .add_template("bomb.txt", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}")
            .unwrap();
        templates.0.add_template("unknown.txt", "{{ nothing }}").unwrap();
        let deps = Deps {
            clock: Clock::manual(Timestamp::UNIX_EPOCH),
            tasks: Tasks::new(&Telemetry::new()),
            client: Client::new().unwrap(),
            external_url: None,
            zone: jiff::tz::TimeZone::UTC,
        };
        let message = Renderer::new(&deps).message(&Delivery {
            id: 1,
            attempt: 1,
            channel: "ops".into(),
            subject: Subject::Notice("disk".into()),
            sequence: 1,
            kind: Kind::Notice,
            waiting_since: Timestamp::UNIX_EPOCH,
            maybe_duplicate: false,
            incident: None,
            notice: Some("The disk is full.".into()),
            anchor: None,
        });
        let begun = Instant::now();
        for name in ["bomb.txt", "unknown.txt"] {
            assert_eq!(templates.render(name, &message), None);
            let text = templates.text(name, &message);
            assert!(text.contains("The disk is full."), "the layout is lost, not the message: {text}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn what_a_template_is_given_is_escaped_for_its_markup() {
        let mut templates = Templates::new().unwrap();
        templates.0.add_template("a.mrkdwn", "{{ text }}").unwrap();
        templates.0.add_template("a.html", "{{ text }}").unwrap();
        let context = serde_json::json!({ "text": "<!channel> & `x`" });
        assert_eq!(templates.render("a.mrkdwn", &context).unwrap(), "&lt;!channel&gt; &amp; 'x'");
        assert_eq!(templates.render("a.html", &context).unwrap(), "&lt;!channel&gt; &amp; `x`");
    }
}
