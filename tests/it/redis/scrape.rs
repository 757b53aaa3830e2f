//! `/scrape?target=`: as the original's, but only what the configuration allows.

use super::{ask, built, has, target, value};
use crate::support::redis::{Kind, Server};
use tidewatch::collect::Refused;

#[tokio::test]
async fn configured_servers_and_allowed_ones_are_reached_and_no_others() {
    let (own, other) = (Server::start(Kind::Redis, ""), Server::start(Kind::Valkey, ""));
    own.cli(&["set", "a", "7"]);
    let section = target(&own.address(), "");
    let closed = built(&section);
    for name in ["main", &own.address(), &format!("127.0.0.1:{}", own.port)] {
        let text = ask(&closed, &[("target", name)]).await.unwrap();
        assert_eq!(value(&text, "redis_up"), Some(1.0), "{name}\n{text}");
    }
    let text = ask(&closed, &[("target", "main"), ("check-single-keys", "db0=a")]).await.unwrap();
    assert_eq!(value(&text, "redis_key_value{db=\"db0\",key=\"a\"}"), Some(7.0), "{text}");
    assert!(matches!(ask(&closed, &[("target", &other.address())]).await, Err(Refused::Forbidden(_))));
    assert!(matches!(ask(&closed, &[]).await, Err(Refused::Senseless(_))));
    assert!(matches!(ask(&closed, &[("target", "http://x")]).await, Err(Refused::Senseless(_))));
    let wrong = ask(&closed, &[("target", "main"), ("check-keys", "dbx=a")]).await;
    assert!(matches!(wrong, Err(Refused::Senseless(_))));
    let (text, _) = super::run(&closed).await;
    assert_eq!(value(&text, "redis_target_scrape_request_errors_total"), Some(4.0), "{text}");

    let open = built(&format!("{section}[scrape]\nallow = [\"127.0.0.1:*\"]\nkeys = false\n"));
    let text = ask(&open, &[("target", &other.address()), ("check-single-keys", "a")]).await.unwrap();
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}");
    assert!(!has(&text, "redis_key_size"), "the configuration does not let queries name keys");
    let dead = crate::support::free_port();
    let text = ask(&open, &[("target", &format!("127.0.0.1:{dead}"))]).await.unwrap();
    assert_eq!(value(&text, "redis_up"), Some(0.0), "{text}");
}

#[tokio::test]
async fn credentials_of_an_address_in_a_query_are_not_used() {
    let server = Server::launch(Kind::Redis, "requirepass right-one", &[], &["-a", "right-one"]);
    server.ready();
    let with = format!("redis://:right-one@127.0.0.1:{}", server.port);
    let none = built("[scrape]\nallow = [\"127.0.0.1:*\"]\n");
    let text = ask(&none, &[("target", &with)]).await.unwrap();
    assert_eq!(value(&text, "redis_up"), Some(0.0));
    assert!(!text.contains("right-one"), "{text}");
    let own = built("[scrape]\nallow = [\"127.0.0.1:*\"]\n[scrape.target]\npassword = \"right-one\"\n");
    let text = ask(&own, &[("target", &with)]).await.unwrap();
    assert_eq!(value(&text, "redis_up"), Some(1.0), "{text}");
}
