//! The families of redis_exporter.

use crate::support::compat::{Exceptions, compare, parse, reference};

#[test]
fn the_references_agree_with_themselves() {
    for name in ["redis_exporter-1.88.0-redis7", "redis_exporter-1.88.0-valkey9-extra"] {
        let text = reference(name);
        assert!(parse(&text).len() > 150, "{name}");
        assert_eq!(compare(&text, &text, &Exceptions::of(name)), Vec::<String>::new(), "{name}");
    }
}
