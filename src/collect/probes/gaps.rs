//! What of a module is not done here, or makes no sense. A module with an option that would change the verdict fails its
//! probes and says why; it is never used without the option.

use hickory_proto::rr::{DNSClass, RecordType};

use super::module::{Http, Module, Prober, Records, TlsConfig, TlsVersion};
use super::pattern::Pattern;

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The key below the module: `http.oauth2`.
    pub(super) key: String,
    pub(super) what: String,
    /// Whether probes of this module fail for it.
    pub(super) fails: bool,
}

/// Everything that the module asks for and does not get.
pub(super) fn of(module: &Module) -> Vec<Gap> {
    let mut gaps = Vec::new();
    match module.prober {
        Prober::Http => http(&module.http, &mut gaps),
        Prober::Tcp | Prober::Tls => {
            tls("tcp.tls_config", &module.tcp.tls_config, &mut gaps);
            expressions(
                "tcp.query_response",
                module.tcp.query_response.iter().filter_map(|it| it.expect.as_ref()),
                &mut gaps,
            );
            let labels = module.tcp.query_response.iter().flat_map(|exchange| &exchange.labels);
            for label in labels.filter(|label| !is_label(&label.name)) {
                fails(&mut gaps, "tcp.query_response", format!("`{}` is no label's name", label.name));
            }
        }
        Prober::Dns => dns(module, &mut gaps),
        Prober::Grpc => tls("grpc.tls_config", &module.grpc.tls_config, &mut gaps),
        Prober::Icmp => {}
        Prober::Unix => fails(&mut gaps, "prober", "sockets of the file system are not probed"),
    }
    gaps
}

/// What a probe of the module fails with before it begins.
pub(super) fn refusal(module: &Module) -> Option<String> {
    let gap = of(module).into_iter().find(|gap| gap.fails)?;
    Some(format!("the module's `{}`: {}", gap.key, gap.what))
}

fn fails(gaps: &mut Vec<Gap>, key: &str, what: impl Into<String>) {
    gaps.push(Gap { key: key.into(), what: what.into(), fails: true });
}

fn http(http: &Http, gaps: &mut Vec<Gap>) {
    let cel = "CEL expressions are not done; write `fail_if_body_json_not_matches` with a JSON pointer in a module of \
        tidewatch.toml";
    let basic = http.basic_auth.as_ref();
    for (present, key, what) in [
        (http.fail_if_body_json_matches_cel.0, "fail_if_body_json_matches_cel", cel),
        (http.fail_if_body_json_not_matches_cel.0, "fail_if_body_json_not_matches_cel", cel),
        (http.oauth2.0, "oauth2", "tokens of OAuth 2 are not fetched; use `authorization` with a file"),
        (
            http.proxy_from_environment,
            "proxy_from_environment",
            "the environment's proxy is not used; write `proxy_url`",
        ),
        (http.enable_http3, "enable_http3", "HTTP/3 is not spoken"),
        (basic.is_some_and(|it| it.username_ref.0), "basic_auth.username_ref", "there is no store of secrets"),
        (basic.is_some_and(|it| it.password_ref.0), "basic_auth.password_ref", "there is no store of secrets"),
        (
            http.authorization.as_ref().is_some_and(|it| it.credentials_ref.0),
            "authorization.credentials_ref",
            "there is no store of secrets",
        ),
        (
            http.proxy_url.as_ref().is_some_and(|it| !it.0.as_ref().is_ok_and(|url| url.expose().scheme() == "http")),
            "proxy_url",
            "only a proxy that is itself reached by http is done",
        ),
        (
            http.no_proxy.contains(['/', ':']),
            "no_proxy",
            "only names, addresses and `*` are known, no networks, no ports and no IPv6",
        ),
        (
            !matches!(http.compression.as_str(), "" | "identity" | "gzip" | "deflate"),
            "compression",
            "only gzip, deflate and identity are unpacked",
        ),
        (http.method.parse::<http::Method>().is_err(), "method", "no method of HTTP"),
        (
            http.headers.keys().chain(http.http_headers.keys()).any(|it| it.parse::<http::HeaderName>().is_err()),
            "headers",
            "one of the names is no header's",
        ),
    ] {
        if present {
            fails(gaps, &format!("http.{key}"), what);
        }
    }
    let json = http.fail_if_body_json_not_matches.iter().filter_map(|wanted| wanted.regexp.as_ref());
    expressions("http.fail_if_body_matches_regexp", &http.fail_if_body_matches_regexp, gaps);
    expressions("http.fail_if_body_not_matches_regexp", &http.fail_if_body_not_matches_regexp, gaps);
    expressions("http.fail_if_body_json_not_matches", json, gaps);
    expressions("http.fail_if_header_matches", http.fail_if_header_matches.iter().map(|it| &it.regexp), gaps);
    expressions("http.fail_if_header_not_matches", http.fail_if_header_not_matches.iter().map(|it| &it.regexp), gaps);
    tls("http.tls_config", &http.tls_config, gaps);
}

fn expressions<'p>(key: &str, patterns: impl IntoIterator<Item = &'p Pattern>, gaps: &mut Vec<Gap>) {
    for fault in patterns.into_iter().filter_map(Pattern::fault) {
        fails(gaps, key, fault);
    }
}

fn dns(module: &Module, gaps: &mut Vec<Gap>) {
    let dns = &module.dns;
    if dns.query_name.is_empty() {
        fails(gaps, "dns.query_name", "a question needs a name");
    }
    if dns.query_type.parse::<RecordType>().is_err() {
        fails(gaps, "dns.query_type", "no type of records that is known here");
    }
    if dns.query_class.parse::<DNSClass>().is_err() {
        fails(gaps, "dns.query_class", "no class of records that is known here");
    }
    for (section, records) in [
        ("validate_answer_rrs", &dns.validate_answer_rrs),
        ("validate_authority_rrs", &dns.validate_authority_rrs),
        ("validate_additional_rrs", &dns.validate_additional_rrs),
    ] {
        let Records {
            fail_if_matches_regexp,
            fail_if_all_match_regexp,
            fail_if_not_matches_regexp,
            fail_if_none_matches_regexp,
        } = records;
        for (option, patterns) in [
            ("fail_if_matches_regexp", fail_if_matches_regexp),
            ("fail_if_all_match_regexp", fail_if_all_match_regexp),
            ("fail_if_not_matches_regexp", fail_if_not_matches_regexp),
            ("fail_if_none_matches_regexp", fail_if_none_matches_regexp),
        ] {
            expressions(&format!("dns.{section}.{option}"), patterns, gaps);
        }
    }
    tls("dns.tls_config", &dns.tls_config, gaps);
}

fn tls(key: &str, config: &TlsConfig, gaps: &mut Vec<Gap>) {
    let inline = "certificates are read from files only: write `ca_file`, `cert_file`, `key_file`";
    for (present, name) in [
        (config.ca.0, "ca"),
        (config.cert.0, "cert"),
        (config.key.0, "key"),
        (config.ca_ref.0, "ca_ref"),
        (config.cert_ref.0, "cert_ref"),
        (config.key_ref.0, "key_ref"),
    ] {
        if present {
            fails(gaps, &format!("{key}.{name}"), inline);
        }
    }
    if config.cert_file.is_some() != config.key_file.is_some() {
        fails(gaps, key, "`cert_file` and `key_file` belong together");
    }
    let old = |version: Option<TlsVersion>| version.is_some_and(|version| version < TlsVersion::Tls12);
    if old(config.max_version) {
        fails(gaps, &format!("{key}.max_version"), "only TLS 1.2 and 1.3 are spoken");
    } else if old(config.min_version) {
        let what = "only TLS 1.2 and 1.3 are spoken: a server with less fails its probe".into();
        gaps.push(Gap { key: format!("{key}.min_version"), what, fails: false });
    }
}

fn is_label(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_fails_the_module_by_its_key() {
        for (module, key) in [
            (r#"{"prober": "http", "http": {"oauth2": {"client_id": "x"}}}"#, "http.oauth2"),
            (r#"{"prober": "http", "http": {"compression": "br"}}"#, "http.compression"),
            (r#"{"prober": "http", "http": {"tls_config": {"ca": "PEM"}}}"#, "http.tls_config.ca"),
            (r#"{"prober": "tcp", "tcp": {"tls_config": {"max_version": "TLS11"}}}"#, "tcp.tls_config.max_version"),
            (r#"{"prober": "dns", "dns": {"query_type": "NOPE", "query_name": "x"}}"#, "dns.query_type"),
            (r#"{"prober": "dns"}"#, "dns.query_name"),
            (r#"{"prober": "unix"}"#, "prober"),
            (r#"{"prober": "http", "http": {"proxy_url": "socks5://h:1080"}}"#, "http.proxy_url"),
            (r#"{"prober": "http", "http": {"proxy_url": "https://h:1080"}}"#, "http.proxy_url"),
            (r#"{"prober": "http", "http": {"no_proxy": "10.0.0.0/8"}}"#, "http.no_proxy"),
            (
                r#"{"prober": "http", "http": {"fail_if_body_matches_regexp": ["\\pL"]}}"#,
                "http.fail_if_body_matches_regexp",
            ),
            (
                r#"{"prober": "http", "http": {"fail_if_header_matches": [{"header": "x", "regexp": "("}]}}"#,
                "http.fail_if_header_matches",
            ),
            (r#"{"prober": "tcp", "tcp": {"query_response": [{"expect": "("}]}}"#, "tcp.query_response"),
            (
                r#"{"prober": "dns", "dns": {"query_name": "x", "validate_answer_rrs": {"fail_if_matches_regexp": ["("]}}}"#,
                "dns.validate_answer_rrs.fail_if_matches_regexp",
            ),
        ] {
            let module: Module = serde_json::from_str(module).unwrap();
            assert!(refusal(&module).unwrap().contains(&format!("`{key}`")), "{key}");
        }
        let lenient: Module =
            serde_json::from_str(r#"{"prober": "tcp", "tcp": {"tls_config": {"min_version": "TLS10"}}}"#).unwrap();
        assert_eq!((of(&lenient).len(), refusal(&lenient)), (1, None));
    }
}
