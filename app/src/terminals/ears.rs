//! What a terminal hears of its page: the clipboard, the window, the theme, whether somebody looks. Each stops when dropped.

use js_sys::Function;
use leptos::{leptos_dom::helpers::IntervalHandle, prelude::request_animation_frame};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{
    ClipboardEvent, Element, Event, EventTarget, HtmlElement, KeyboardEvent, MutationObserver, MutationObserverInit,
    ResizeObserver,
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
        all.push(hear(&document, "keydown", stray_key));
        all.push(hear(&document, "pointerdown", |_, event| leave_menu(&event)));
        // The focus stays on a button that was pressed, and comes back to one from a dialog.
        for name in ["click", "close"] {
            all.push(hear(&document, name, |session, _| {
                let session = std::rc::Rc::downgrade(session);
                request_animation_frame(move || {
                    if let Some(session) = session.upgrade().filter(|_| !busy()) {
                        session.return_focus();
                    }
                });
            }));
        }
        all.extend(Self::size(glass, calls(session, |session| session.lay())));
        all.extend(Self::theme(calls(session, |session| session.recolor())));
        all.extend(Self::system_theme(calls(session, |session| session.recolor())));
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

    /// Calls when the system has another theme.
    pub(super) fn system_theme(act: impl Fn() + 'static) -> Option<Self> {
        let system = web_sys::window()?.match_media("(prefers-color-scheme: light)").ok()??;
        Some(Self::event(&system, "change", move |_| act()))
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

/// Keys that nothing on the page wants are the terminal's while its keyboard is held: all of those pressed where nothing has the
/// focus, and letters on a button of the terminal.
fn stray_key(session: &std::rc::Rc<Session>, event: JsValue) {
    let Ok(event) = event.dyn_into::<KeyboardEvent>() else { return };
    let Some(on) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) else { return };
    let key = event.key();
    let palette = (event.ctrl_key() || event.meta_key()) && key.eq_ignore_ascii_case("k");
    let nowhere = is_nowhere(&on) && !matches!(key.as_str(), "Tab" | "Shift" | "Control" | "Alt" | "Meta");
    let letter = key.chars().count() == 1 && key != " " && !event.ctrl_key() && !event.meta_key() && of_terminal(&on);
    if !palette && (nowhere || letter) && !busy() && session.stray(&event) {
        event.prevent_default();
        event.stop_propagation();
    }
}

/// Whether a focus here is one on nothing: a press on plain text gives it to the page's middle, where the link to skip the rail leads.
fn is_nowhere(element: &Element) -> bool {
    matches!(element.tag_name().as_str(), "BODY" | "MAIN")
}

/// Whether it is a part of a terminal that nobody writes into.
fn of_terminal(element: &Element) -> bool {
    element.matches("button, summary, .glass").unwrap_or_default()
        && element.closest(".terminal").ok().flatten().is_some()
        && element.closest(".keybar").ok().flatten().is_none()
}

/// Whether something lies open that has keys of its own.
fn busy() -> bool {
    let page = web_sys::window().and_then(|window| window.document());
    page.and_then(|page| page.query_selector("dialog[open], .menu[open], .past").ok()?).is_some()
}

/// Whether the focus is where nobody wants it while they type: nowhere, or on a part of a terminal that was pressed.
pub(super) fn unused_focus() -> bool {
    let page = web_sys::window().and_then(|window| window.document());
    let focused = page.and_then(|page| page.active_element());
    focused.is_none_or(|element| is_nowhere(&element) || of_terminal(&element))
}

/// A press outside of an open menu closes it.
fn leave_menu(event: &JsValue) {
    let on = event.dyn_ref::<Event>().and_then(Event::target).and_then(|target| target.dyn_into::<Element>().ok());
    if on.is_none_or(|on| on.closest(".menu").ok().flatten().is_none()) {
        super::menu::close_menu();
    }
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
