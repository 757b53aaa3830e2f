//! The ledger as samples: what became of every alert and every message, and whether that balances.

use crate::alert::Counts;
use crate::metrics::{Batch, Desc};
use crate::store::{Balance, Ledger};

static RECEIVED: Desc = Desc::counter("tidewatch_ledger_alerts_received_total", "Alerts that were answered 200.", &[]);
static ALERTS: Desc = Desc::counter(
    "tidewatch_ledger_alerts_total",
    "What became of them, since the data folder was begun: their sum is those received.",
    &["result"],
);
static DUE: Desc = Desc::counter("tidewatch_ledger_messages_due_total", "Messages that fell due.", &[]);
static MESSAGES: Desc = Desc::gauge(
    "tidewatch_ledger_messages",
    "Where they stand, since the data folder was begun: their sum is those due.",
    &["state"],
);
static BALANCED: Desc = Desc::gauge(
    "tidewatch_ledger_balanced",
    "Whether both equations hold, and the ledger agrees with the outbox. 0: something was lost or counted wrongly.",
    &[],
);
static LATE: Desc =
    Desc::gauge("tidewatch_outbox_late", "Messages that have waited for longer than `delivery.late`.", &[]);

/// Every family that this file writes.
pub(super) const DESCS: [&Desc; 6] = [&RECEIVED, &ALERTS, &DUE, &MESSAGES, &BALANCED, &LATE];

/// Pushes the ledger; that it does not balance is an error in the log too, each time somebody looks.
pub(super) fn push(balance: &Balance, batch: &mut Batch) {
    let Ledger { alerts, due, delivered, superseded, dead, discarded, suppressed, pending } = &balance.ledger;
    let Counts { received, opened, repeated, closed, stale, held, quarantined, truncated } = alerts;
    batch.push(&RECEIVED, &[], *received as f64);
    for (result, count) in [
        ("opened", opened),
        ("repeated", repeated),
        ("closed", closed),
        ("stale", stale),
        ("held", held),
        ("quarantined", quarantined),
        ("truncated", truncated),
    ] {
        batch.push(&ALERTS, &[result], *count as f64);
    }
    batch.push(&DUE, &[], *due as f64);
    for (state, count) in [
        ("delivered", delivered),
        ("superseded", superseded),
        ("dead", dead),
        ("discarded", discarded),
        ("suppressed", suppressed),
        ("pending", pending),
    ] {
        batch.push(&MESSAGES, &[state], *count as f64);
    }
    let faults = balance.faults();
    for fault in &faults {
        tracing::error!(fault, "the ledger does not balance");
    }
    batch.push(&BALANCED, &[], f64::from(u8::from(faults.is_empty())));
    batch.push(&LATE, &[], balance.late as f64);
}
