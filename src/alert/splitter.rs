//! Cuts a webhook's body into the elements of its top-level `alerts` while it arrives, so that a body of many megabytes
//! needs memory for one alert at a time: serde reads each element, and at the end the envelope around them.

/// One element of `alerts`.
#[derive(Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Its JSON text, not yet checked.
    Json(&'a [u8]),
    /// Why it is not read, and how it begins.
    Refused(&'static str, &'a [u8]),
}

/// The body is not a webhook's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

/// Deeper nesting than this is nobody's alert.
const MOST_DEPTH: usize = 64;
/// The longest single alert. Alertmanager escapes, so that a label of 1 MB arrives as 2 MB.
const MOST_ELEMENT: usize = 8 << 20;
/// The longest envelope: a group's labels stand in it up to twice.
const MOST_ENVELOPE: usize = 16 << 20;
/// An alert is seldom longer.
const USUAL: usize = 1 << 10;
/// How much of a refused element is kept.
const KEPT: usize = 64 << 10;

/// Where the cut is at.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Everything but the elements.
    envelope: Vec<u8>,
    element: Vec<u8>,
    refused: Option<&'static str>,
    /// How many brackets are open.
    depth: usize,
    in_alerts: bool,
    in_string: bool,
    escaped: bool,
    /// Where in the envelope the last string of the top level begins, after its quote.
    string: Option<usize>,
    /// The next value of the top level is `alerts`.
    named_alerts: bool,
}

/// The depth within the array `alerts`, between its elements.
const BETWEEN: usize = 2;

impl Splitter {
    /// As if the body had been an envelope without elements, to its end.
    pub fn ended() -> Self {
        Self { envelope: br#"{"alerts":[]}"#.to_vec(), ..Self::default() }
    }

    /// Takes the next piece of the body, and gives every element that ends in it.
    ///
    /// # Errors
    /// The body cannot be a webhook's; nothing that follows matters.
    pub fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(Element<'_>)) -> Result<(), Broken> {
        loop {
            // Most of a body is text, which is taken a string at a time.
            if self.in_string && !self.escaped {
                let end = chunk.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(chunk.len());
                let (text, rest) = chunk.split_at(end);
                if self.in_alerts {
                    self.keep(text);
                } else {
                    self.surround(text)?;
                }
                chunk = rest;
            }
            let Some((byte, rest)) = chunk.split_first() else { return Ok(()) };
            if self.in_alerts {
                self.alerts(*byte, &mut each);
            } else {
                self.outside(*byte)?;
            }
            chunk = rest;
        }
    }

    /// The envelope, with an empty `alerts` where there were elements.
    ///
    /// # Errors
    /// The body ended too early.
    pub fn finish(self) -> Result<Vec<u8>, Broken> {
        if self.depth > 0 || self.in_string {
            return Err(Broken("the body ends in the middle"));
        }
        Ok(self.envelope)
    }

    fn outside(&mut self, byte: u8) -> Result<(), Broken> {
        self.surround(&[byte])?;
        if self.in_string {
            self.string_byte(byte);
            return Ok(());
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.string = (self.depth == 1).then_some(self.envelope.len());
            }
            b':' if self.depth == 1 => {
                let text = self.string.take().and_then(|start| self.envelope.get(start..));
                self.named_alerts = text.is_some_and(|text| text.starts_with(br#"alerts""#));
            }
            b'[' if self.named_alerts && self.depth == 1 => {
                self.element.reserve(USUAL);
                self.depth = BETWEEN;
                self.in_alerts = true;
                self.named_alerts = false;
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.named_alerts = false;
                if self.depth > MOST_DEPTH {
                    return Err(Broken("the body is nested too deep"));
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or(Broken("a bracket closes that was not opened"))?;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => self.named_alerts = false,
        }
        Ok(())
    }

    fn surround(&mut self, text: &[u8]) -> Result<(), Broken> {
        if self.envelope.len() + text.len() > MOST_ENVELOPE {
            return Err(Broken("what stands around the alerts is too long"));
        }
        self.envelope.extend_from_slice(text);
        Ok(())
    }

    fn alerts(&mut self, byte: u8, each: &mut impl FnMut(Element<'_>)) {
        if self.in_string {
            self.keep(&[byte]);
            self.string_byte(byte);
            return;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b',' if self.depth == BETWEEN => self.flush(each),
            b']' if self.depth == BETWEEN => {
                self.flush(each);
                self.envelope.push(byte);
                self.depth -= 1;
                self.in_alerts = false;
            }
            _ => {
                self.keep(&[byte]);
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => {
                        self.depth += 1;
                        if self.depth > MOST_DEPTH {
                            self.refused = Some("nested too deep");
                        }
                    }
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1).max(BETWEEN),
                    _ => {}
                }
            }
        }
    }

    fn string_byte(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }

    fn keep(&mut self, text: &[u8]) {
        if self.refused.is_none() && self.element.len() + text.len() > MOST_ELEMENT {
            self.refused = Some("too long");
        }
        let room = if self.refused.is_none() { text.len() } else { KEPT.saturating_sub(self.element.len()) };
        self.element.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    fn flush(&mut self, each: &mut impl FnMut(Element<'_>)) {
        match self.refused.take() {
            Some(why) => each(Element::Refused(why, self.element.get(..KEPT).unwrap_or(&self.element))),
            None if self.element.is_empty() => {}
            None => each(Element::Json(&self.element)),
        }
        self.element.clear();
        self.element.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The elements and the envelope, with the body cut into pieces of `size` bytes.
    fn split(body: &[u8], size: usize) -> Result<(Vec<String>, String), Broken> {
        let mut splitter = Splitter::default();
        let mut elements = Vec::new();
        for chunk in body.chunks(size.max(1)) {
            splitter.push(chunk, |element| {
                elements.push(match element {
                    Element::Json(text) => String::from_utf8_lossy(text).into_owned(),
                    Element::Refused(why, kept) => format!("{why}: {}", kept.len()),
                });
            })?;
        }
        let envelope = splitter.finish()?;
        Ok((elements, String::from_utf8_lossy(&envelope).into_owned()))
    }

    #[test]
    fn elements_and_envelope_come_apart() {
        let body = br#"{ "a": {"alerts": [1]}, "alerts" : [ {"x":"]}\"," }, null , "s,]" ], "b": ["alerts", [2]] }"#;
        let (elements, envelope) = split(body, 3).unwrap();
        assert_eq!(elements, [r#"{"x":"]}\","}"#, "null", r#""s,]""#]);
        assert_eq!(envelope, r#"{ "a": {"alerts": [1]}, "alerts" : [], "b": ["alerts", [2]] }"#);
    }

    #[test]
    fn an_alert_too_deep_or_too_long_costs_itself_only() {
        let deep = format!(r#"{{"alerts":[{}1{},{{"ok":1}}]}}"#, "[".repeat(100), "]".repeat(100));
        assert_eq!(split(deep.as_bytes(), 7).unwrap().0, ["nested too deep: 201", r#"{"ok":1}"#]);
        let long = format!(r#"{{"alerts":["{}",2]}}"#, "x".repeat(MOST_ELEMENT));
        assert_eq!(split(long.as_bytes(), 65_536).unwrap().0, ["too long: 65536", "2"]);
    }

    #[test]
    fn what_is_no_webhook_is_broken() {
        for body in [r#"{"alerts":[{"a":1}"#, "]", r#"{"alerts":["x"#, "{", "\""] {
            assert!(split(body.as_bytes(), 1).is_err(), "{body}");
        }
        assert!(split("[".repeat(100_000).as_bytes(), 4096).is_err());
        assert!(split(&vec![b' '; MOST_ENVELOPE + 1], 65_536).is_err());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            r#"[\[\]{}",:\\a-c é]{0,12}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop_oneof!["[a-c]{0,2}".prop_map(String::from), Just("alerts".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde(alerts in prop::collection::vec(json(), 0..5), other in json(), size in 1_usize..40) {
            let body = serde_json::json!({"a": other, "alerts": alerts, "z": [other.clone(), {"alerts": [other]}]});
            let text = serde_json::to_vec_pretty(&body).unwrap();
            let (elements, envelope) = split(&text, size).unwrap();
            let elements: Vec<Value> = elements.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(&elements, &alerts);
            let mut expected = body;
            expected["alerts"] = Value::Array(vec![]);
            prop_assert_eq!(serde_json::from_str::<Value>(&envelope).unwrap(), expected);
        }

        #[test]
        fn garbage_never_panics(body in prop::collection::vec(prop_oneof![Just(b'['), Just(b'{'), Just(b'"'), Just(b']'), any::<u8>()], 0..200)) {
            drop(split(&[br#"{"alerts":["#.as_slice(), &body].concat(), 5));
            drop(split(&body, 3));
        }
    }
}
