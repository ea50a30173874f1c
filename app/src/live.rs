//! What is new: one `EventSource` on `/live` per tab, as signals that pages read.
//!
//! A change only raises its topic's version; resources that read the version fetch again. Progress lines carry everything
//! there is to know of a running image, so a missed one is no loss.

use std::collections::HashMap;

use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use server::{error::FailureKind, events::Topic, id::ImageId, images::Progress};

use crate::Refusal;

/// The truth about the connection.
#[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "only a browser connects"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not asked yet: the page was just rendered.
    Connecting,
    /// Connected; the last answer took this many milliseconds.
    Live(Option<u32>),
    /// The stream broke at this time (milliseconds since 1970 UTC); the browser tries again by itself.
    Reconnecting(i64),
    /// It has been broken for a while, since this hour and minute of the day where the person is.
    Offline(u32, u32),
}

/// Signals that follow the hub.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    /// The connection.
    pub(crate) link: RwSignal<Link>,
    /// Milliseconds since 1970 UTC, moved every few seconds; begins with the server's time so that both halves render the same.
    pub(crate) now: RwSignal<i64>,
    progress: RwSignal<HashMap<ImageId, Progress>>,
    auth: RwSignal<u32>,
    services: RwSignal<u32>,
    images: RwSignal<u32>,
    terminals: RwSignal<u32>,
    agents: RwSignal<u32>,
    machines: RwSignal<u32>,
}

impl Live {
    /// Makes the signals; they move once the stream is open.
    pub(crate) fn new(now: i64) -> Self {
        Self {
            link: RwSignal::new(Link::Connecting),
            now: RwSignal::new(now),
            progress: RwSignal::default(),
            auth: RwSignal::new(0),
            services: RwSignal::new(0),
            images: RwSignal::new(0),
            terminals: RwSignal::new(0),
            agents: RwSignal::new(0),
            machines: RwSignal::new(0),
        }
    }

    /// Follows the hub from now on, for as long as the tab is open.
    #[cfg(feature = "hydrate")]
    pub(crate) fn open(self) {
        browser::open(self);
    }

    /// Grows when something of `topic` changed. Read it in a resource's source.
    pub(crate) fn version(self, topic: Topic) -> u32 {
        self.signal(topic).get()
    }

    /// How far a running image is, newer than what its page was rendered with.
    pub(crate) fn progress(self, id: ImageId) -> Option<Progress> {
        self.progress.read().get(&id).cloned()
    }

    fn signal(self, topic: Topic) -> RwSignal<u32> {
        match topic {
            Topic::Auth => self.auth,
            Topic::Services => self.services,
            Topic::Images => self.images,
            Topic::Terminals => self.terminals,
            Topic::Agents => self.agents,
            Topic::Machines => self.machines,
        }
    }
}

/// The signals of this tab.
pub(crate) fn live() -> Live {
    expect_context()
}

/// What `fetch` answers, asked again when `source` changes. While the hub cannot be reached, what was loaded last stays; a failure
/// is only shown where there never was anything, or where the hub itself refused.
pub(crate) fn kept<S, T, F>(
    source: impl Fn() -> S + Send + Sync + 'static,
    fetch: impl Fn(S) -> F + Send + Sync + 'static,
) -> Resource<Result<T, Refusal>>
where
    S: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Result<T, Refusal>> + Send + 'static,
{
    let this = StoredValue::new(None::<Resource<Result<T, Refusal>>>);
    let resource = Resource::new(source, move |asked| {
        let answer = fetch(asked);
        async move {
            let answer = answer.await;
            // On the server every render begins with nothing.
            if cfg!(feature = "hydrate")
                && answer.as_ref().is_err_and(unreached)
                && let Some(old @ Ok(_)) =
                    this.try_get_value().flatten().and_then(|this| this.try_get_untracked().flatten())
            {
                return old;
            }
            answer
        }
    });
    this.set_value(Some(resource));
    // What could not be asked for is, as soon as the hub is there again.
    let live = live();
    let there = Memo::new(move |_| matches!(live.link.get(), Link::Live(_)));
    Effect::new(move || {
        if there.get() && resource.with_untracked(|answer| matches!(answer, Some(Err(why)) if unreached(why))) {
            resource.refetch();
        }
    });
    resource
}

/// Fetches `resource` again and again until the page is left: for what no event tells of. Only in the browser, and only while
/// somebody looks at the page.
pub(crate) fn follow<T>(resource: Resource<T>, every: std::time::Duration)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        let ask = move || {
            if web_sys::window().and_then(|window| window.document()).is_some_and(|page| !page.hidden()) {
                resource.refetch();
            }
        };
        if let Ok(handle) = set_interval_with_handle(ask, every) {
            on_cleanup(move || handle.clear());
        }
    });
    #[cfg(not(feature = "hydrate"))]
    let _ = (resource, every);
}

/// Whether it was not the hub that spoke: nobody did, or a proxy in front of it.
fn unreached(refusal: &Refusal) -> bool {
    matches!(refusal.0.kind, FailureKind::Outside | FailureKind::Internal)
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
        time::Duration,
    };

    use leptos::prelude::*;
    use serde::Deserialize;
    use server::{error::FailureKind, events::Topic, id::ImageId, images::Progress};
    use wasm_bindgen::{JsCast as _, closure::Closure};
    use web_sys::{EventSource, MessageEvent};

    use super::{Link, Live};

    /// How often the connection is timed, and relative times move.
    const PING: Duration = Duration::from_secs(15);
    const TICK: Duration = Duration::from_secs(5);
    /// Pause before a closed stream is opened again.
    const RETRY: Duration = Duration::from_secs(2);
    /// How long it is only said to reconnect.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// An answer that takes longer will not come: the line hangs, and nobody else says so.
    const HANGS: Duration = Duration::from_secs(5);

    thread_local! {
        /// The newest event that this page knows: at first the one that it was rendered from.
        static KNOWN: Cell<Option<i64>> = const { Cell::new(None) };
        /// The stream. The browser opens it again by itself where it broke, but not where it hangs.
        static STREAM: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    }

    #[derive(Deserialize)]
    struct Change {
        topic: Topic,
    }

    #[derive(Deserialize)]
    struct Line {
        image: ImageId,
        progress: Progress,
    }

    pub(super) fn open(live: Live) {
        live.now.set(js_now());
        let _ = set_interval_with_handle(move || live.now.set(js_now()), TICK);
        let _ = set_interval_with_handle(move || leptos::task::spawn_local(ping(live)), PING);
        KNOWN.set(crate::frame::rendered_from());
        open_stream(live);
    }

    /// Opens the stream after what is known, so that nothing is missed on the way here, nor while a stream was refused. One that
    /// only broke is opened again by the browser, which says what came last.
    fn open_stream(live: Live) {
        let address = KNOWN.get().map_or_else(|| "/live".to_owned(), |known| format!("/live?after={known}"));
        if let Some(old) = STREAM.take() {
            old.close();
        }
        let Ok(source) = EventSource::new(&address) else { return };
        on(&source, "open", move |_| {
            live.link.set(Link::Live(None));
            leptos::task::spawn_local(ping(live));
        });
        let broken = source.clone();
        on(&source, "error", move |_| {
            lost(live);
            // A refused stream is closed for good: the session has ended, or a proxy answered for a hub that is not up.
            if broken.ready_state() == EventSource::CLOSED {
                leptos::task::spawn_local(come_back(live));
            }
        });
        on(&source, "change", move |event| {
            heard(&event);
            if let Some(change) = read::<Change>(&event) {
                live.signal(change.topic).update(|version| *version += 1);
            }
        });
        on(&source, "progress", move |event| {
            if let Some(line) = read::<Line>(&event) {
                live.progress.update(|all| {
                    all.insert(line.image, line.progress);
                });
            }
        });
        on(&source, "resync", move |event| {
            heard(&event);
            for topic in Topic::ALL {
                live.signal(topic).update(|version| *version += 1);
            }
        });
        STREAM.set(Some(source));
    }

    /// Says that the stream broke, and after a while since when. Every vain try to reconnect comes here again.
    fn lost(live: Live) {
        if matches!(live.link.get_untracked(), Link::Reconnecting(_) | Link::Offline(..)) {
            return;
        }
        let since = js_now();
        live.link.set(Link::Reconnecting(since));
        let tell = move || {
            // Not if it came back meanwhile, even when it was lost again.
            if live.link.get_untracked() == Link::Reconnecting(since) {
                let at = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(since as f64));
                live.link.set(Link::Offline(at.get_hours(), at.get_minutes()));
            }
        };
        set_timeout(tell, PATIENCE);
    }

    fn on(source: &EventSource, name: &str, act: impl FnMut(MessageEvent) + 'static) {
        let act = Closure::<dyn FnMut(MessageEvent)>::new(act);
        let _ = source.add_event_listener_with_callback(name, act.as_ref().unchecked_ref());
        // Lives as long as the page.
        act.forget();
    }

    fn heard(event: &MessageEvent) {
        KNOWN.set(event.last_event_id().parse().ok().or(KNOWN.get()));
    }

    fn read<T: for<'de> Deserialize<'de>>(event: &MessageEvent) -> Option<T> {
        serde_json::from_str(&event.data().as_string()?).ok()
    }

    /// Signs in again where the session has ended, else tries the stream again a little later.
    async fn come_back(live: Live) {
        match crate::frame::who_am_i().await {
            Err(refusal) if refusal.0.kind == FailureKind::Unauthorized => {
                if let Some(window) = web_sys::window() {
                    // The server leads a stranger to the sign-in, and back to this page after it.
                    let _ = window.location().reload();
                }
            }
            _ => set_timeout(move || open_stream(live), RETRY),
        }
    }

    async fn ping(live: Live) {
        let Some(window) = web_sys::window() else { return };
        let before = js_now();
        let answered = Rc::new(Cell::new(false));
        let late = answered.clone();
        let hung = move || {
            if !late.get() && matches!(live.link.get_untracked(), Link::Live(_)) {
                lost(live);
            }
        };
        set_timeout(hung, HANGS);
        let answer = wasm_bindgen_futures::JsFuture::from(window.fetch_with_str("/healthz")).await;
        answered.set(true);
        match live.link.get_untracked() {
            _ if answer.is_err() => {}
            Link::Live(_) => live.link.set(Link::Live(u32::try_from(js_now() - before).ok())),
            // The hub is there; the stream may still hang, or wait for its next try.
            Link::Reconnecting(_) | Link::Offline(..) => open_stream(live),
            Link::Connecting => {}
        }
    }

    fn js_now() -> i64 {
        js_sys::Date::now() as i64
    }
}
