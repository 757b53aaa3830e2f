//! Whether the store takes writes: on a disk that is full or read-only every read still works.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::store::StoreError;

/// How often it is asked.
const OFTEN: Duration = Duration::from_secs(15);

/// A disk that hangs gives no answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks now and then; what is found stands in health and in the metrics, and a store that refuses is not ready.
pub(super) fn watch(shared: &Arc<Shared>) {
    let Some(store) = shared.parts.store.clone() else { return };
    let shared = Arc::clone(shared);
    let tasks = shared.parts.tasks.clone();
    tasks.supervise("store-watch", move || {
        let (shared, store) = (Arc::clone(&shared), Arc::clone(&store));
        async move {
            let mut stopping = std::pin::pin!(shared.parts.tasks.stopping());
            let mut unready = None;
            loop {
                let answer = tokio::time::timeout(PATIENCE, store.probe()).await;
                let outcome = answer
                    .unwrap_or_else(|_| Err(StoreError::Unavailable(format!("no answer within {PATIENCE:?}"))))
                    .map_err(|error| error.to_string());
                match &outcome {
                    Ok(()) => unready = None,
                    Err(_) if unready.is_none() => unready = Some(shared.readiness.latch("the store")),
                    Err(_) => {}
                }
                shared.set_writes(outcome);
                tokio::select! {
                    () = &mut stopping => return,
                    () = tokio::time::sleep(OFTEN) => {}
                }
            }
        }
    });
}
