//! Targets that cost money or change something at every probe.

use super::http;
use super::module::{Module, Prober};

/// Ends of paths that ask a model, by the APIs of OpenAI and Anthropic.
const ASKS_A_MODEL: [&str; 8] = [
    "/chat/completions",
    "/completions",
    "/responses",
    "/messages",
    "/embeddings",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
];

/// What probing `target` does besides probing, and what to do instead.
pub(super) fn warning(target: &str, module: &Module) -> Option<(String, &'static str)> {
    if module.prober != Prober::Http {
        return None;
    }
    let url = http::url(target).ok()?;
    let path = url.path().trim_end_matches('/');
    let litellm = url.port() == Some(4000) || http::host(&url).contains("litellm");
    if litellm && path == "/health" {
        let what = "LiteLLM's /health asks every model: each probe costs money";
        return Some((what.into(), "probe /health/liveliness or /health/readiness, which ask none"));
    }
    if ASKS_A_MODEL.iter().any(|end| path.ends_with(end)) {
        return Some((
            format!("{path} asks a model: each probe costs money"),
            "probe a path that only tells its state",
        ));
    }
    let method = &module.http.method;
    let reads = ["GET", "HEAD", "OPTIONS"].iter().any(|reads| method.eq_ignore_ascii_case(reads));
    (!reads).then(|| {
        let what = format!("the module sends {method} at every probe: it may change something, or cost money");
        (what, "use a module that only reads, where the target has something to read")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_is_known_by_its_path_port_and_method() {
        let get = Module::default();
        for costly in [
            "http://localhost:4000/health",
            "localhost:4000/health/",
            "https://litellm.example/health",
            "https://api.example/v1/chat/completions",
        ] {
            assert!(warning(costly, &get).is_some(), "{costly}");
        }
        for free in ["http://localhost:4000/health/liveliness", "http://localhost:18789/health", "h:4000"] {
            assert_eq!(warning(free, &get), None, "{free}");
        }
        let post: Module = serde_json::from_str(r#"{"prober": "http", "http": {"method": "POST"}}"#).unwrap();
        assert!(warning("http://h/", &post).is_some_and(|(what, _)| what.contains("POST")));
        assert_eq!(warning("h:4000", &Module::of(Prober::Tcp)), None);
    }
}
