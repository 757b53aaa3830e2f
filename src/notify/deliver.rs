//! The worker of a channel: claims what is due, sends, and settles. Nothing is held while a message is on its way but
//! a lease, so a crash loses nothing; what was being sent then is sent again, and says that it may be a second copy.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;

use crate::alert::Severity;
use crate::clock::{Clock, later};
use crate::store::{Delivery, Settlement, Store, StoreError};
use crate::task::Tasks;

use super::{Anchor, Channel, Retry, SendError, backoff};

mod failover;
mod gate;
mod meters;

pub use failover::Rules;
use gate::Gate;
pub use gate::Gates;
pub use meters::Meters;

/// What all workers share.
#[derive(Clone)]
pub struct Post {
    /// Where messages wait.
    pub store: Arc<dyn Store>,
    /// Where workers and sends run: told to end, the workers finish what they are sending.
    pub tasks: Tasks,
    /// Time.
    pub clock: Clock,
    /// What is counted; made once, kept over reloads.
    pub meters: Meters,
    /// What holds channels back; made once, kept over reloads.
    pub gates: Gates,
    /// What is settled beyond one channel.
    pub rules: Rules,
}

/// A channel is looked at this often even when nobody rings: a lost ring costs a delay, not a message.
const LOOK: Duration = Duration::from_secs(30);
/// A lease lasts this much longer than a send may take, so that only a dead worker loses one.
const SPARE: Duration = Duration::from_mins(1);
/// The pause after the store failed; also the shortest between two looks.
const STORE: Duration = Duration::from_secs(1);
/// So often a result is offered to a store that does not take it: longer than the lease is pointless.
const OFFERS: u32 = 60;

/// Starts one supervised worker a channel.
pub fn start(channels: &[Channel], post: &Post) {
    let names: BTreeSet<String> = channels.iter().map(|channel| channel.name.clone()).collect();
    let order = post.rules.order(channels);
    for channel in channels {
        post.meters.begin(&channel.name);
        let others = names.iter().filter(|name| **name != channel.name).cloned().collect();
        let (channel, post, order) = (channel.clone(), post.clone(), order.clone());
        let gate = post.gates.of(&channel);
        let worker = Arc::new(Worker { channel, post, gate, others, order });
        worker.tell_whether_it_rests(worker.post.clock.now());
        let tasks = worker.post.tasks.clone();
        tasks.supervise("deliver", move || Arc::clone(&worker).run());
    }
}

struct Worker {
    channel: Channel,
    post: Post,
    gate: Arc<Mutex<Gate>>,
    /// All other channels: they hear when this one fails.
    others: Vec<String>,
    /// The channels that may take its incidents over.
    order: Vec<String>,
}

type Outcome = Result<Option<Anchor>, SendError>;
/// Sends at work, each giving its delivery back.
type Sending = FuturesUnordered<BoxFuture<'static, (Delivery, Outcome)>>;

impl Worker {
    async fn run(self: Arc<Self>) {
        let bell = self.post.store.bell();
        let mut sending = Sending::new();
        let mut stopping = pin!(self.post.tasks.stopping());
        loop {
            // Armed before we look: it hears every ring from here on, so what falls due while we look is not missed.
            let rung = bell.notified();
            let handover = self.fail_over(self.post.clock.now()).await;
            let wake = self.look(&mut sending).await;
            let wake = handover.map_or(wake, |at| wake.min(at));
            tokio::select! {
                () = &mut stopping => break,
                Some((delivery, outcome)) = sending.next() => self.settle(&delivery, outcome).await,
                () = rung => {}
                () = self.post.clock.sleep_until(wake) => {}
            }
        }
        while let Some((delivery, outcome)) = sending.next().await {
            self.settle(&delivery, outcome).await;
        }
    }

    /// Starts what is due and allowed. Returns when to look again.
    async fn look(&self, sending: &mut Sending) -> Timestamp {
        let now = self.post.clock.now();
        let (room, wait) = self.gate().room(now, sending.len());
        if room == 0 {
            return wait.unwrap_or(later(now, LOOK));
        }
        let lease = self.channel.limits.timeout + SPARE;
        let claimed = match self.post.store.claim(&self.channel.name, room, lease).await {
            Ok(claimed) => claimed,
            Err(error) => return self.store_failed(&error, now),
        };
        let full = claimed.len() >= room;
        for delivery in claimed {
            self.gate().started(now);
            sending.push(self.send(delivery));
        }
        if full {
            return self.gate().room(now, sending.len()).1.unwrap_or(later(now, LOOK));
        }
        match self.post.store.next_due(&self.channel.name).await {
            // What is due already waits for an older message of its subject; that one's end is heard, or its lease's.
            Ok(due) => due.map_or(later(now, LOOK), |due| due.clamp(later(now, STORE), later(now, LOOK))),
            Err(error) => self.store_failed(&error, now),
        }
    }

    fn store_failed(&self, error: &StoreError, now: Timestamp) -> Timestamp {
        if self.gate().store_failed() {
            tracing::error!(channel = self.channel.name, %error, "the store does not give messages out: they wait");
        }
        later(now, STORE)
    }

    fn send(&self, delivery: Delivery) -> BoxFuture<'static, (Delivery, Outcome)> {
        let notifier = Arc::clone(&self.channel.notifier);
        let (limit, message) = (self.channel.limits.timeout, delivery.clone());
        let sent =
            self.post.tasks.spawn("send", async move { tokio::time::timeout(limit, notifier.send(&message)).await });
        async move {
            let outcome = match sent.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => {
                    let what = format!("cut off after {limit:?}");
                    Err(SendError { retry: Retry::Ambiguous, reason: "timeout", what })
                }
                // It may have come after the message was on its way.
                Err(panic) => Err(SendError { retry: Retry::Ambiguous, reason: "panic", what: panic.to_string() }),
            };
            (delivery, outcome)
        }
        .boxed()
    }

    async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        let now = self.post.clock.now();
        let settlement = settlement(delivery, &outcome, now, fastrand::f64());
        self.post.meters.attempt(&self.channel.name, &settlement);
        let mut again = false;
        match &outcome {
            Ok(_) => {
                self.post.meters.dwelt(&self.channel.name, delivery.waiting_since, now, self.post.rules.late);
                let arrived = self.gate().succeeded();
                if arrived.is_news {
                    tracing::info!(channel = self.channel.name, "the channel delivers again");
                }
                again = arrived.others_wait_to_hear;
            }
            Err(error) => {
                if self.gate().failed(error.retry, now) {
                    let (channel, reason) = (&self.channel.name, error.reason);
                    tracing::warn!(channel, reason, %error, "the channel does not deliver");
                }
            }
        }
        self.tell_whether_it_rests(now);
        let dead = matches!(settlement, Settlement::Dead { .. });
        self.offer(delivery, settlement).await;
        if let (true, Err(error)) = (dead, outcome) {
            self.dead(delivery, &error).await;
        }
        if again {
            self.works_again().await;
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_whether_it_rests(&self, now: Timestamp) {
        self.post.meters.rests(&self.channel.name, self.gate().is_open(now));
    }

    /// Offers the result until the store takes it: a result that is lost sends the message a second time.
    async fn offer(&self, delivery: &Delivery, settlement: Settlement) {
        for _ in 0..OFFERS {
            match self.post.store.settle(delivery, settlement.clone()).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(channel = self.channel.name, %error, "a result waits for the store");
                    self.post.clock.sleep(STORE).await;
                }
            }
        }
        tracing::error!(channel = self.channel.name, "the store took no result: a message may be sent a second time");
    }
}

/// What follows from an attempt.
fn settlement(delivery: &Delivery, outcome: &Outcome, now: Timestamp, random: f64) -> Settlement {
    let error = match outcome {
        Ok(anchor) => return Settlement::Delivered { anchor: anchor.clone() },
        Err(error) => error,
    };
    let pause = match error.retry {
        Retry::Never => return Settlement::Dead { error: error.to_string() },
        Retry::After(asked) => backoff::asked(asked),
        Retry::Later | Retry::Ambiguous => backoff::pause(delivery.attempt, random),
    };
    let waited = now.duration_since(delivery.waiting_since);
    let long = Duration::try_from(waited).is_ok_and(|waited| waited >= backoff::GIVE_UP);
    let critical = delivery.incident.as_ref().is_some_and(|incident| incident.severity == Severity::Critical);
    let pause = match (long, critical) {
        (false, _) => pause,
        (true, true) => pause.max(backoff::HOURLY),
        // The wait counts from the first message that this one stands for: a fresh one gets its tries all the same.
        (true, false) if delivery.attempt < backoff::TRIES => pause,
        (true, false) => return Settlement::Dead { error: format!("given up after a day: {error}") },
    };
    let ambiguous = error.retry == Retry::Ambiguous;
    Settlement::Retry { at: later(now, pause), error: error.to_string(), ambiguous }
}
