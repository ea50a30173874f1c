//! Tells clients what changed: lists of resources, and resources they subscribed to.
//!
//! One task of the hub reads the events table, and everybody who listens hears of it from there: a thousand listeners cost
//! one query. What a slow listener missed it is told as one change of the list.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{ErrorData, model::ResourceUpdatedNotificationParam, service::SubscriptionSink};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{
    door::Client,
    resources::{Address, SUBSCRIPTIONS},
};
use crate::{Hub, error::Error, events::Topic, id::ImageId};

/// Changes a slow listener may be behind.
const BACKLOG: usize = 256;
/// A changed list is told at most so often: clients fetch it again each time.
const PAUSE: Duration = Duration::from_secs(1);
/// Events read at once.
const BATCH: i64 = 200;
/// How often it is looked whether a session is still there.
const LOOK: Duration = Duration::from_secs(30);

/// Something happened to an image.
#[derive(Clone, Copy, Debug)]
struct Change {
    image: ImageId,
    /// Whether lists of images look different now.
    list: bool,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Changes(broadcast::Sender<Change>);

impl Changes {
    /// Begins to read the events of `hub`.
    pub(super) fn start(hub: &Hub) -> Self {
        let sender = broadcast::Sender::new(BACKLOG);
        let (changes, feeding) = (Self(sender.clone()), hub.clone());
        hub.tasks.spawn(async move {
            let stop = feeding.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = feed(feeding, sender) => {}
            }
        });
        changes
    }

    /// Tells `ear` until it is gone, or the hub stops.
    pub(super) fn tell(&self, ear: Ear, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let mut receiver = self.0.subscribe();
        async move {
            let telling = async {
                let (mut list, mut recent) = (false, false);
                let mut pause = Box::pin(tokio::time::sleep(Duration::ZERO));
                while !ear.gone() {
                    let told = tokio::select! {
                        change = receiver.recv() => match change {
                            Ok(change) => {
                                (list, recent) = (list || change.list, true);
                                ear.updated(|wanted| wanted.concerns(change.image)).await
                            }
                            // What it was about is lost, so it may have been about anything.
                            Err(RecvError::Lagged(_)) => {
                                (list, recent) = (true, true);
                                ear.updated(|wanted| wanted != Address::Recent).await
                            }
                            Err(RecvError::Closed) => return,
                        },
                        () = &mut pause, if recent => {
                            let changed = std::mem::take(&mut list);
                            recent = false;
                            pause.set(tokio::time::sleep(PAUSE));
                            (!changed || ear.list_changed().await)
                                && ear.updated(|wanted| wanted == Address::Recent).await
                        }
                        () = tokio::time::sleep(LOOK) => true,
                    };
                    if !told {
                        return;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = telling => {}
            }
        }
    }
}

async fn feed(hub: Hub, sender: broadcast::Sender<Change>) {
    let mut changed = hub.events.follow();
    let mut seen = *changed.borrow_and_update();
    while changed.changed().await.is_ok() {
        if let Err(error) = pass_on(&hub, &sender, &mut seen).await {
            tracing::warn!(%error, "changes cannot be read for MCP clients now");
        }
    }
}

async fn pass_on(hub: &Hub, sender: &broadcast::Sender<Change>, seen: &mut i64) -> Result<(), Error> {
    loop {
        let events = hub.events.after(*seen, BATCH).await?;
        let Some(last) = events.last() else { return Ok(()) };
        *seen = last.seq;
        for event in events.into_iter().filter(|event| event.topic == Topic::Images) {
            let Ok(image) = event.subject.parse() else { continue };
            let list = matches!(event.kind.as_str(), "queued" | "done" | "deleted");
            // An error means that nobody listens.
            let _ = sender.send(Change { image, list });
        }
    }
}

/// Who is told.
pub(super) enum Ear {
    /// `subscriptions/listen` of 2026-07-28; its sink lets through only what was asked for.
    Listener(SubscriptionSink),
    /// A session of a handshake revision.
    Session(Client, Subscribed),
}

impl Ear {
    fn gone(&self) -> bool {
        match self {
            Self::Listener(_) => false, // its request's end drops the future
            Self::Session(client, _) => client.is_transport_closed(),
        }
    }

    /// `false` when there is no use in telling more.
    async fn list_changed(&self) -> bool {
        match self {
            Self::Listener(sink) if sink.accepted().resources_list_changed != Some(true) => true,
            Self::Listener(sink) => sink.notify_resource_list_changed().await.is_ok(),
            Self::Session(client, _) => client.notify_resource_list_changed().await.is_ok(),
        }
    }

    /// Tells of those resources it subscribed to that `changed`.
    async fn updated(&self, changed: impl Fn(Address) -> bool) -> bool {
        match self {
            Self::Listener(sink) => {
                let wanted = sink.accepted().resource_subscriptions.iter().flatten();
                for uri in wanted.filter(|uri| Address::read(uri).is_some_and(&changed)) {
                    if sink.notify_resource_updated(uri).await.is_err() {
                        return false;
                    }
                }
            }
            Self::Session(client, subscribed) => {
                for address in subscribed.those(changed) {
                    let told = ResourceUpdatedNotificationParam::new(address.uri());
                    if client.notify_resource_updated(told).await.is_err() {
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// What a session has subscribed to. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Subscribed {
    addresses: Arc<Mutex<HashSet<Address>>>,
    begun: Arc<AtomicBool>,
}

impl Subscribed {
    /// Whether this is the first time, however often a client says that it is ready.
    pub(super) fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }

    pub(super) fn add(&self, address: Address) -> Result<(), ErrorData> {
        let mut addresses = self.lock();
        if addresses.len() >= SUBSCRIPTIONS && !addresses.contains(&address) {
            let message = format!("{SUBSCRIPTIONS} subscriptions are the most; end some first");
            return Err(ErrorData::invalid_params(message, None));
        }
        addresses.insert(address);
        Ok(())
    }

    pub(super) fn remove(&self, address: Address) {
        self.lock().remove(&address);
    }

    fn those(&self, wanted: impl Fn(Address) -> bool) -> Vec<Address> {
        self.lock().iter().copied().filter(|address| wanted(*address)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Address>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
