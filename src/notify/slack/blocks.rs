//! What is posted to Slack: built from structs, so that no text can become structure.

use serde::Serialize;

use crate::alert::{Severity, text};
use crate::store::Delivery;

use super::super::render::Message;
use super::super::templates::{Templates, mrkdwn};

/// One message, for `chat.postMessage`, `chat.update` and incoming webhooks alike.
#[derive(Clone, Debug, Serialize)]
pub struct Payload {
    /// Where to; a webhook knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Which message is edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// Whose thread it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Whether the answer is shown in the channel too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_broadcast: Option<bool>,
    /// What phones and screen readers show.
    pub text: String,
    /// What Slack shows.
    pub blocks: Vec<Block>,
    pub(super) parse: &'static str,
    pub(super) link_names: bool,
    pub(super) unfurl_links: bool,
    pub(super) unfurl_media: bool,
}

/// A part of a message.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are Slack's")]
pub enum Block {
    Section { block_id: String, text: Text },
    Context { block_id: String, elements: [Text; 1] },
}

/// A text in Slack's markup.
#[derive(Clone, Debug, Serialize)]
pub struct Text {
    r#type: &'static str,
    /// The text, escaped.
    pub text: String,
    /// What looks like an address or a channel's name in it stays text.
    verbatim: bool,
}

#[derive(Serialize)]
struct Head<'a> {
    #[serde(flatten)]
    message: &'a Message,
    icon: &'static str,
}

/// Slack refuses a section above 3 000 characters, and a message somewhere above 11 000 over all blocks, which is not
/// documented; ours stays within 8 000: two sections, a context, and the text beside them.
const SECTION: usize = 2_900;
const CONTEXT: usize = 600;
const DETAIL: usize = 1_000;

/// Builds the message; the channel is filled in by who knows it.
pub(super) fn payload(
    templates: &Templates,
    mut message: Message,
    mentions: &[String],
    delivery: &Delivery,
) -> Payload {
    fit(&mut message);
    let id = |part: &str| format!("tw-{}-{}-{part}", delivery.sequence, delivery.attempt);
    let mut head = rendered(templates, "slack_head.mrkdwn", &message, SECTION);
    if !mentions.is_empty() {
        head.push('\n');
        head.push_str(&mentions.join(" "));
    }
    let mut blocks = vec![Block::Section { block_id: id("head"), text: Text::of(head) }];
    if !message.members.is_empty() || message.detail.is_some() {
        let members = rendered(templates, "slack_members.mrkdwn", &message, SECTION);
        blocks.push(Block::Section { block_id: id("members"), text: Text::of(members) });
    }
    let foot = rendered(templates, "slack_foot.mrkdwn", &message, CONTEXT);
    blocks.push(Block::Context { block_id: id("foot"), elements: [Text::of(foot)] });
    Payload {
        channel: None,
        ts: None,
        thread_ts: None,
        reply_broadcast: None,
        text: mrkdwn(&message.head()),
        blocks,
        parse: "none",
        link_names: false,
        unfurl_links: false,
        unfurl_media: false,
    }
}

/// Shortens what the second section holds until it fits, escaped: a cut after escaping could halve an escape.
fn fit(message: &mut Message) {
    while let Some(detail) = message.detail.as_ref().filter(|detail| mrkdwn(detail).chars().count() > DETAIL) {
        message.detail = Some(text::line(detail, detail.chars().count() * 2 / 3));
    }
    let mut left = SECTION - DETAIL - 700;
    let fitting = message.members.iter().take_while(|member| {
        let size = mrkdwn(&member.title).chars().count() + member.lasted.chars().count() + 20;
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let fitting = fitting.count();
    message.more += (message.members.len() - fitting) as u64;
    message.members.truncate(fitting);
}

fn rendered(templates: &Templates, name: &str, message: &Message, most: usize) -> String {
    let head = Head { message, icon: icon(message) };
    let text = templates.render(name, head).filter(|text| !text.is_empty() && text.chars().count() <= most);
    text.unwrap_or_else(|| mrkdwn(&message.head()).chars().take(most).collect())
}

fn icon(message: &Message) -> &'static str {
    match message.severity {
        _ if message.ended.is_some() => "🟢",
        Some(Severity::Critical) => "🔴",
        Some(Severity::Warning) => "🟠",
        Some(Severity::Info | Severity::None) => "🔵",
        None => "⚪",
    }
}

impl Text {
    fn of(text: String) -> Self {
        Self { r#type: "mrkdwn", text, verbatim: true }
    }
}

/// Whether a configured text is a mention and nothing else: `<!here>`, `<!channel>`, a person, a bot or a user group.
pub fn is_mention(text: &str) -> bool {
    let id = |id: &str, first: &[char]| {
        id.starts_with(first) && id.len() > 1 && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    let Some(inner) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else { return false };
    match inner {
        "!here" | "!channel" => true,
        _ => {
            inner.strip_prefix('@').is_some_and(|person| id(person, &['U', 'W']))
                || inner.strip_prefix("!subteam^").is_some_and(|group| id(group, &['S']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_mentions_pass() {
        for good in ["<!here>", "<!channel>", "<@U0A1>", "<@W1>", "<!subteam^S0A>"] {
            assert!(is_mention(good), "{good}");
        }
        for bad in ["@here", "<!everyone>", "<@U>", "<@u1>", "<!subteam^U1>", "<@U1> <!here>", "<!here", "<@U1|x>"] {
            assert!(!is_mention(bad), "{bad}");
        }
    }
}
