//! What the parts of one terminal's page share: how things stand, and what can be asked. The server renders it at rest; in the
//! browser the session behind it (`session.rs`) moves it.

use leptos::prelude::*;
use server::terminals::{Request, Watching};

use super::rules::{self, Letters, Pasted};
use crate::ui;

/// Under these names the browser keeps what somebody chose. The page of a share link (`app/js/share.mjs`) knows the first too.
const LETTERS: &str = "letters";
const ALOUD: &str = "aloud";

/// The line to the session.
#[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "only a browser connects"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is being opened.
    Connecting,
    /// It stands.
    Open,
    /// It broke; it is tried again by itself.
    Reconnecting,
    /// It ended, and why; it is not tried again by itself.
    Closed(String),
}

/// Signals of one terminal's page.
#[derive(Clone, Copy)]
pub(super) struct Desk {
    /// The line.
    pub(super) line: RwSignal<Line>,
    /// How things stand, as last told.
    pub(super) watching: RwSignal<Option<Watching>>,
    /// Why something was not done.
    pub(super) words: RwSignal<Option<String>>,
    /// Text of several lines that waits for a yes.
    pub(super) pasting: RwSignal<Option<String>>,
    /// What is in the box of the key bar.
    pub(super) compose: RwSignal<String>,
    /// Whether what waits for a yes is from that box.
    pub(super) composed: RwSignal<bool>,
    /// The address of a link that waits for a yes.
    pub(super) leaving: RwSignal<Option<String>>,
    /// Whether the bell rang a moment ago.
    pub(super) bell: RwSignal<bool>,
    /// How large the letters are.
    pub(super) letters: RwSignal<Letters>,
    /// Whether the lines are read to a screen reader.
    pub(super) aloud: RwSignal<bool>,
    /// Whether the history lies over the screen.
    pub(super) past: RwSignal<bool>,
    /// Whether the next letter is pressed with Ctrl.
    pub(super) ctrl: RwSignal<bool>,
    #[cfg(feature = "hydrate")]
    pub(super) session: StoredValue<Option<std::rc::Rc<super::session::Session>>, LocalStorage>,
}

impl Desk {
    /// At rest.
    pub(super) fn new() -> Self {
        let desk = Self {
            line: RwSignal::new(Line::Connecting),
            watching: RwSignal::new(None),
            words: RwSignal::new(None),
            pasting: RwSignal::new(None),
            compose: RwSignal::new(String::new()),
            composed: RwSignal::new(false),
            leaving: RwSignal::new(None),
            bell: RwSignal::new(false),
            letters: RwSignal::new(Letters::Usual),
            aloud: RwSignal::new(false),
            past: RwSignal::new(false),
            ctrl: RwSignal::new(false),
            #[cfg(feature = "hydrate")]
            session: StoredValue::new_local(None),
        };
        #[cfg(feature = "hydrate")]
        on_cleanup(move || {
            let _ = desk.session.try_update_value(|session| session.take());
        });
        desk
    }

    /// Whether this viewer holds the keyboard, of a machine that is there.
    pub(super) fn holds(self) -> bool {
        self.watching.with(|now| now.as_ref().is_some_and(rules::yours))
    }

    /// Whether this viewer may take it: never while the machine is away, where no key would arrive.
    pub(super) fn may_type(self) -> bool {
        self.watching.with(|now| now.as_ref().is_some_and(|now| now.may_type && now.away.is_none()))
    }

    /// Who else holds the keyboard, for people.
    pub(super) fn other(self) -> Option<String> {
        self.holder().map(|holder| rules::person(&holder))
    }

    /// Who else holds it, as the audit log writes them; it may be oneself in another window.
    pub(super) fn holder(self) -> Option<String> {
        self.watching.with(|now| {
            let keys = now.as_ref().filter(|now| now.away.is_none())?.keyboard.as_ref()?;
            (!keys.you).then(|| keys.holder.clone())
        })
    }

    /// Asks the server.
    pub(super) fn ask(self, request: &Request) {
        #[cfg(feature = "hydrate")]
        self.with(|session| session.ask(request));
        #[cfg(not(feature = "hydrate"))]
        let _ = request;
    }

    /// Sends keys as they are; only while holding.
    pub(super) fn keys(self, keys: &str) {
        #[cfg(feature = "hydrate")]
        self.with(|session| session.typed(keys));
        #[cfg(not(feature = "hydrate"))]
        let _ = keys;
    }

    /// Pastes text: several lines are asked first, too much is refused.
    #[cfg(feature = "hydrate")]
    pub(super) fn paste(self, text: String) {
        self.judge(text, false);
    }

    /// Pastes what is in the box, with Enter after it, by the same rules. What is refused stays there.
    pub(super) fn send(self) {
        self.judge(self.compose.get_untracked(), true);
    }

    fn judge(self, text: String, composed: bool) {
        if !self.watching.with_untracked(|now| now.as_ref().is_some_and(rules::yours)) {
            self.words.set(Some("Take the keyboard first; then paste.".to_owned()));
            return;
        }
        self.composed.set(composed);
        match rules::pasted(&text) {
            Pasted::Nothing if composed => self.keys("\r"),
            Pasted::Nothing => {}
            Pasted::Send => self.put(text),
            Pasted::Ask(_) => self.pasting.set(Some(text)),
            Pasted::TooLarge(bytes) => self.words.set(Some(format!(
                "This text has {} kB; a terminal takes {} kB at once. Save it to a file and read that.",
                bytes.div_ceil(1024),
                server::terminals::PASTE / 1024
            ))),
        }
    }

    /// Pastes what nothing stands against any more.
    pub(super) fn put(self, text: String) {
        self.ask(&Request::Paste { text });
        if self.composed.get_untracked() {
            self.keys("\r");
            self.compose.set(String::new());
        }
    }

    /// Larger or smaller letters; the grid may then be larger than its window.
    pub(super) fn zoom(self, by: f64) {
        #[cfg(feature = "hydrate")]
        self.with(|session| self.choose(session.beside(by)));
        #[cfg(not(feature = "hydrate"))]
        let _ = by;
    }

    /// Letters with which the whole grid is seen, however small; then those that can be read again.
    pub(super) fn fit(self) {
        self.choose(match self.letters.get_untracked() {
            Letters::Whole => Letters::Usual,
            Letters::Usual | Letters::Own(_) => Letters::Whole,
        });
    }

    fn choose(self, letters: Letters) {
        self.letters.set(letters);
        ui::remember(LETTERS, &letters.word());
        #[cfg(feature = "hydrate")]
        self.with(|session| session.lay());
    }

    /// Takes what was chosen the last time. Only in the browser, which keeps it.
    #[cfg(feature = "hydrate")]
    pub(super) fn recall(self) {
        let _ = self.letters.try_set(Letters::read(&ui::remembered(LETTERS)));
        let _ = self.aloud.try_set(ui::remembered(ALOUD) == "on");
    }

    /// Gives the session the size that this window has room for. Everybody sees it; only who holds the keyboard may.
    pub(super) fn resize_session(self) {
        #[cfg(feature = "hydrate")]
        self.with(|session| session.resize_to_window());
    }

    /// Reads the lines to a screen reader, or stops.
    pub(super) fn read_aloud(self) {
        self.aloud.update(|on| *on = !*on);
        ui::remember(ALOUD, if self.aloud.get_untracked() { "on" } else { "" });
        #[cfg(feature = "hydrate")]
        self.with(|session| session.read_aloud(self.aloud.get_untracked()));
    }

    /// Copies what is selected.
    pub(super) fn copy(self) {
        #[cfg(feature = "hydrate")]
        self.with(|session| session.copy());
    }

    /// Connects again, because somebody asked for it.
    pub(super) fn connect(self) {
        #[cfg(feature = "hydrate")]
        self.with(super::session::Session::connect_now);
    }

    /// Puts the focus where keys go.
    pub(super) fn focus(self) {
        #[cfg(feature = "hydrate")]
        self.with(|session| session.focus());
    }

    /// Puts the focus back where keys go, if the keyboard is held and nothing else wants it.
    pub(super) fn return_focus(self) {
        #[cfg(feature = "hydrate")]
        request_animation_frame(move || self.with(|session| session.return_focus()));
    }

    #[cfg(feature = "hydrate")]
    fn with(self, act: impl FnOnce(&std::rc::Rc<super::session::Session>)) {
        // Cloned out: an act may end in one that asks for it again.
        if let Some(session) = self.session.try_get_value().flatten() {
            act(&session);
        }
    }
}
