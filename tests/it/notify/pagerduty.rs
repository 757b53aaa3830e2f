//! PagerDuty: one incident there for one here.

use serde_json::Value;
use tidewatch::alert::Kind;

use super::{channel, next};
use crate::support::deliveries::{deps, notice, opened};
use crate::support::http_stub::{HttpStub, Reply};

#[tokio::test]
async fn an_incident_is_triggered_and_resolved_under_one_key() {
    let stub = HttpStub::start(|_| Reply::status(202, r#"{"status": "success"}"#)).await;
    let section = format!("[pagerduty.ops]\nrouting_key = 'canary-key'\napi_url = '{}'\n", stub.url(""));
    let channel = channel(&section, &deps("02:49"));
    for delivery in [opened(), next(Kind::Changed, 2, None), next(Kind::Resolved, 3, None), notice()] {
        assert_eq!(channel.notifier.send(&delivery).await.unwrap(), None);
    }
    let events: Vec<Value> = stub.asked().iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect();
    assert!(stub.asked().iter().all(|asked| asked.path == "/v2/enqueue"));
    let actions: Vec<_> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "trigger", "resolve", "trigger"]);
    let key = |at: usize| events[at]["dedup_key"].as_str().unwrap();
    assert!(key(0) == key(1) && key(1) == key(2) && key(3) != key(0), "{events:#?}");
    assert_eq!(events[0]["routing_key"], "canary-key");
    assert_eq!(events[0]["payload"]["severity"], "critical");
}
