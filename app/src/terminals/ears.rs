//! What a terminal hears of its page: the clipboard, the window, the theme, whether somebody looks. Each stops when dropped.

use js_sys::Function;
use leptos::leptos_dom::helpers::IntervalHandle;
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{
    ClipboardEvent, EventTarget, HtmlElement, KeyboardEvent, MutationObserver, MutationObserverInit, ResizeObserver,
};

use super::session::{Faint, Session};

/// One thing that is heard.
pub(super) enum Ears {
    /// An event of an element.
    Event(EventTarget, &'static str, Closure<dyn Fn(JsValue)>),
    /// The size of an element.
    Size(ResizeObserver, #[expect(dead_code, reason = "kept while the observer calls it")] Closure<dyn Fn()>),
    /// An attribute of an element.
    Attribute(MutationObserver, #[expect(dead_code, reason = "kept while the observer calls it")] Closure<dyn Fn()>),
    /// A clock.
    Timer(IntervalHandle),
}

impl Drop for Ears {
    fn drop(&mut self) {
        match self {
            Self::Event(target, name, act) => {
                let _ = target.remove_event_listener_with_callback_and_bool(name, act.as_ref().unchecked_ref(), true);
            }
            Self::Size(observer, _) => observer.disconnect(),
            Self::Attribute(observer, _) => observer.disconnect(),
            Self::Timer(handle) => handle.clear(),
        }
    }
}

impl Ears {
    /// Everything that a terminal in `glass` has to hear.
    pub(super) fn of(session: &Faint, glass: &HtmlElement) -> Vec<Self> {
        let mut all = Vec::new();
        let Some(window) = web_sys::window() else { return all };
        let Some(document) = window.document() else { return all };
        let hear = |target: &EventTarget, name, act: fn(&std::rc::Rc<Session>, JsValue)| {
            let session = session.clone();
            Self::event(target, name, move |event| {
                if let Some(session) = session.upgrade() {
                    act(&session, event);
                }
            })
        };
        all.push(hear(glass, "paste", paste));
        if let Some(window) = glass.parent_element() {
            all.push(hear(&window, "touchstart", |session, _| session.let_go()));
            all.push(hear(&window, "wheel", |session, _| session.let_go()));
        }
        all.push(hear(&document, "visibilitychange", |session, _| {
            session.look();
            session.connect_again();
        }));
        all.push(hear(&window, "online", |session, _| session.connect_again()));
        all.push(hear(&document, "keydown", copy_key));
        if let Ok(Some(system)) = window.match_media("(prefers-color-scheme: light)") {
            all.push(hear(&system, "change", |session, _| session.recolor()));
        }
        all.extend(Self::size(glass, calls(session, |session| session.lay())));
        all.extend(Self::theme(calls(session, |session| session.recolor())));
        all
    }

    fn event(target: &EventTarget, name: &'static str, act: impl Fn(JsValue) + 'static) -> Self {
        let act = Closure::<dyn Fn(JsValue)>::new(act);
        // Before the emulator hears of it.
        let _ = target.add_event_listener_with_callback_and_bool(name, act.as_ref().unchecked_ref(), true);
        Self::Event(target.clone(), name, act)
    }

    /// Calls when the window that the emulator in `glass` may fill has another size.
    pub(super) fn size(glass: &HtmlElement, act: impl Fn() + 'static) -> Option<Self> {
        let act = Closure::<dyn Fn()>::new(act);
        let observer = ResizeObserver::new(act.as_ref().unchecked_ref::<Function>()).ok()?;
        observer.observe(&glass.parent_element()?);
        Some(Self::Size(observer, act))
    }

    /// Calls when somebody chose another theme.
    pub(super) fn theme(act: impl Fn() + 'static) -> Option<Self> {
        let act = Closure::<dyn Fn()>::new(act);
        let observer = MutationObserver::new(act.as_ref().unchecked_ref::<Function>()).ok()?;
        let what = MutationObserverInit::new();
        what.set_attributes(true);
        let root = web_sys::window()?.document()?.document_element()?;
        observer.observe_with_options(&root, &what).ok()?;
        Some(Self::Attribute(observer, act))
    }
}

fn calls(session: &Faint, act: fn(&Session)) -> impl Fn() + 'static {
    let session = session.clone();
    move || {
        if let Some(session) = session.upgrade() {
            act(&session);
        }
    }
}

/// Nothing is pasted by the emulator itself: it would go out as keys, in as many lines as it has.
fn paste(session: &std::rc::Rc<Session>, event: JsValue) {
    let Ok(event) = event.dyn_into::<ClipboardEvent>() else { return };
    event.prevent_default();
    event.stop_propagation();
    let text = event.clipboard_data().and_then(|data| data.get_data("text/plain").ok()).unwrap_or_default();
    session.pasted(text);
}

/// Ctrl or ⌘ C copies for those who do not type; for who types it is the program's.
fn copy_key(session: &std::rc::Rc<Session>, event: JsValue) {
    let Ok(event) = event.dyn_into::<KeyboardEvent>() else { return };
    let pressed = (event.ctrl_key() || event.meta_key()) && event.key() == "c";
    if pressed && session.copies_by_key() {
        event.prevent_default();
        session.copy();
    }
}
