//! What the scraper asked for.

/// The format of a response, chosen by the scraper's `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for first, among those that we write; the text format if it asks for
    /// none. Prometheus 3 adds `escaping`, which needs no answer: our names are valid without any escaping.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for wish in wishes(accept) {
            let format = match (wish.name.as_str(), wish.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => Self::OpenMetrics,
                ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", None) => Self::Text,
                _ => continue,
            };
            if wish.quality > best.0 {
                best = (wish.quality, format);
            }
        }
        best.1
    }

    /// The `Content-Type` of the response.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whether an `Accept-Encoding` header wants gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    let mut any = false;
    for wish in wishes(accept_encoding) {
        match wish.name.as_str() {
            "gzip" | "x-gzip" => return wish.quality > 0.0,
            "*" => any = wish.quality > 0.0,
            _ => {}
        }
    }
    any
}

/// One element of an `Accept…` header.
struct Wish<'a> {
    name: String,
    version: Option<&'a str>,
    quality: f32,
}

/// The elements of such a header (RFC 9110, 12.4 and 12.5); one whose weight is no number from 0 to 1 is left out.
fn wishes(header: &str) -> impl Iterator<Item = Wish<'_>> {
    header.split(',').filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let mut wish = Wish { name: parts.next()?.to_ascii_lowercase(), version: None, quality: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                wish.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
            } else if name.eq_ignore_ascii_case("version") {
                wish.version = Some(value);
            }
        }
        Some(wish)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_2_and_3_get_openmetrics() {
        let two = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,\
                     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::negotiate(two), Format::OpenMetrics);
        assert_eq!(Format::negotiate(three), Format::OpenMetrics);
    }

    #[test]
    fn the_greatest_weight_decides_and_then_the_order() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain", Format::Text),
            ("text/html, image/png", Format::Text),
            (";;,,=;q=", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.2", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;version=1.0.0;q=0", Format::Text),
            ("application/openmetrics-text;version=1.0.0;q=nan", Format::Text),
            ("application/openmetrics-text;version=1.0.0;q=2", Format::Text),
            ("application/openmetrics-text;version=1.0.0;q=0.5,*/*", Format::Text),
            ("text/plain;version=0.0.4;q=0.3,application/openmetrics-text;version=1.0.0;q=0.4", Format::OpenMetrics),
            ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0", Format::Text),
            ("text/plain;version=1.0.0,application/openmetrics-text;version=1.0.0;q=0.1", Format::OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept}");
        }
    }

    #[test]
    fn gzip_is_used_where_it_is_wanted() {
        for wanted in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.1", "x-gzip"] {
            assert!(accepts_gzip(wanted), "{wanted}");
        }
        for unwanted in ["", "identity", "gzip;q=0", "gzip;q=0, *", "*;q=0", "gzip;q=high", "gzipped"] {
            assert!(!accepts_gzip(unwanted), "{unwanted}");
        }
    }
}
