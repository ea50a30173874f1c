//! One terminal in the browser: the emulator, the socket behind it, and how they come back when the line breaks. Browser only.

mod wire;

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use js_sys::Uint8Array;
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};
use server::{
    clock::Timestamp,
    terminals::{BYTES, JSON, Notice, Request, Watching},
};
use web_sys::{HtmlElement, KeyboardEvent};

use self::wire::Socket;

use super::{
    desk::{Desk, Line},
    ears::{self, Ears},
    rules::{self, Letters},
    xterm::{self, Emulator, Handlers},
};

/// How often it is looked whether the line still stands.
const LOOK: Duration = Duration::from_secs(1);
/// How long the bell is shown.
const BELL: Duration = Duration::from_secs(3);
/// Letters that one can read, in pixels.
const USUAL: f64 = 13.0;

/// A terminal that somebody looks at.
pub(super) struct Session {
    desk: Desk,
    name: String,
    screen: Emulator,
    /// What the grid may fill.
    glass: HtmlElement,
    socket: RefCell<Option<Socket>>,
    /// Tries to connect since the line last stood.
    tries: Cell<u32>,
    /// The keyboard was held when the line broke, and since when; it is taken again unless somebody else has it now.
    held: Cell<Option<Timestamp>>,
    /// When keys went out that nothing has come after yet.
    unheard: Cell<Option<f64>>,
    /// When a sign of life was asked for that has not come.
    asked: Cell<Option<f64>>,
    /// When the line was used last.
    used: Cell<f64>,
    /// Whether the picture pans with the cursor: until somebody pans it, and again when they type.
    follows: Cell<bool>,
    /// The next try, or the end of patience with this one.
    retry: Cell<Option<TimeoutHandle>>,
    /// The try that is under way: an older one has nothing to say.
    attempt: Cell<u32>,
    ears: RefCell<Vec<Ears>>,
}

impl Session {
    /// Brings the emulator, puts it into `glass`, and connects.
    pub(super) async fn begin(desk: Desk, name: String, glass: HtmlElement) {
        if let Err(why) = xterm::load().await {
            let _ = desk.line.try_set(Line::Closed(why));
            return;
        }
        // The page may have been left meanwhile.
        if !xterm::placed(&glass, || desk.session.try_get_value().is_none()).await {
            return;
        }
        let screen = Emulator::new(&glass, 80, 24, USUAL);
        let session = Rc::new(Self {
            desk,
            name,
            screen,
            glass,
            socket: RefCell::default(),
            tries: Cell::new(0),
            held: Cell::new(None),
            unheard: Cell::new(None),
            asked: Cell::new(None),
            used: Cell::new(0.0),
            follows: Cell::new(true),
            retry: Cell::new(None),
            attempt: Cell::new(0),
            ears: RefCell::default(),
        });
        session.listen();
        desk.recall();
        session.screen.read_aloud(desk.aloud.get_untracked());
        session.lay();
        session.connect();
        desk.session.set_value(Some(session));
    }

    fn listen(self: &Rc<Self>) {
        let me = Rc::downgrade(self);
        let with = |act: fn(&Rc<Self>, String)| {
            let me = me.clone();
            Box::new(move |text: String| {
                if let Some(me) = me.upgrade() {
                    act(&me, text);
                }
            })
        };
        let (keys, bell, wheel, moved) = (me.clone(), me.clone(), me.clone(), me.clone());
        self.screen.listen(Handlers {
            typed: with(|me, text| me.typed(&text)),
            // One byte a character.
            binary: with(|me, text| me.send(BYTES, &text.chars().map(|char| char as u8).collect::<Vec<_>>())),
            key: Box::new(move |event| keys.upgrade().is_none_or(|me| me.key(&event))),
            link: with(|me, address| me.desk.leaving.set(Some(address))),
            wheel: Box::new(move || {
                if let Some(me) = wheel.upgrade() {
                    me.desk.past.set(true);
                }
            }),
            bell: Box::new(move || {
                if let Some(me) = bell.upgrade() {
                    me.ring();
                }
            }),
            moved: Box::new(move || {
                if let Some(me) = moved.upgrade() {
                    me.follow();
                }
            }),
        });
        *self.ears.borrow_mut() = Ears::of(&me, &self.glass);
        let alive = me.clone();
        if let Ok(handle) = set_interval_with_handle(
            move || {
                let _ = alive.upgrade().map(|me| me.keep_alive());
            },
            LOOK,
        ) {
            self.ears.borrow_mut().push(Ears::Timer(handle));
        }
    }

    /// Says whether the page is looked at.
    pub(super) fn look(&self) {
        let hidden = web_sys::window().and_then(|window| window.document()).is_some_and(|page| page.hidden());
        self.ask(&Request::Visible { on: !hidden });
    }

    /// A frame from the server.
    fn take(self: &Rc<Self>, frame: &Uint8Array) {
        if frame.length() == 0 {
            return;
        }
        self.heard();
        let rest = frame.subarray(1, frame.length());
        match frame.get_index(0) {
            BYTES => self.screen.write(&rest),
            JSON => match serde_json::from_slice::<Notice>(&rest.to_vec()) {
                Ok(Notice::State(now)) => self.stand(now),
                Ok(Notice::Refused { why }) => self.desk.words.set(Some(rules::sentence(&why))),
                // A newer hub may say more; what is known still holds.
                Ok(Notice::Alive) | Err(_) => {}
            },
            _ => {}
        }
    }

    fn stand(&self, now: Watching) {
        // Only now: a hub that lets in and at once closes would be asked without a pause.
        self.tries.set(0);
        let before = self.desk.watching.with_untracked(|old| old.as_ref().map(|old| (old.cols, old.rows)));
        if before != Some((now.cols, now.rows)) {
            self.screen.resize(now.cols, now.rows);
            self.lay();
        }
        let yours = rules::yours(&now);
        // What was held is asked for once the machine is there.
        if now.away.is_none()
            && let Some(since) = self.held.take()
            && !yours
        {
            match &now.keyboard {
                None if now.may_type => self.ask(&Request::Take { over: false }),
                // The hub does not know yet that the old line is gone.
                Some(old) if old.since == since => self.ask(&Request::Take { over: true }),
                other => {
                    self.screen.typing(false);
                    let other = other.as_ref().map(|other| rules::person(&other.holder));
                    let words = other.map(|other| format!("{other} took the keyboard while the line was broken."));
                    self.desk.words.update(|said| *said = words.or(said.take()));
                }
            }
        }
        let mine = self.mine();
        self.desk.watching.set(Some(now));
        if yours != mine {
            // What was refused was for lack of it, or is past with it.
            self.desk.words.update(|said| *said = said.take().filter(|said| said == rules::LOST));
            self.desk.ctrl.set(false);
            self.screen.typing(yours);
        }
    }

    fn mine(&self) -> bool {
        self.desk.watching.with_untracked(|now| now.as_ref().is_some_and(rules::yours))
    }

    /// Asks the server.
    pub(super) fn ask(&self, request: &Request) {
        if let Ok(json) = serde_json::to_vec(request) {
            self.send(JSON, &json);
        }
        if matches!(request, Request::Paste { .. }) {
            self.doubted();
        }
        if matches!(request, Request::HandBack) && self.held.take().is_some() {
            // The line is broken: nobody is to be given it back.
            self.screen.typing(false);
        }
    }

    /// Sends keys while the keyboard is held, with Ctrl where it was pressed on the screen.
    pub(super) fn typed(&self, keys: &str) {
        if !self.mine() {
            return;
        }
        let mut chars = keys.chars();
        let with_ctrl = match (self.desk.ctrl.get_untracked(), chars.next(), chars.next()) {
            (true, Some(only), None) => rules::with_ctrl(only),
            _ => None,
        };
        if self.desk.ctrl.get_untracked() {
            self.desk.ctrl.set(false);
        }
        match with_ctrl {
            Some(control) => self.send(BYTES, control.to_string().as_bytes()),
            None => self.send(BYTES, keys.as_bytes()),
        }
    }

    /// A key goes down while the terminal has the focus. Everything is the program's, except the ways out and the clipboard.
    fn key(&self, event: &KeyboardEvent) -> bool {
        let both = event.ctrl_key() && event.shift_key() && !event.alt_key();
        let down = event.type_() == "keydown";
        match event.key().as_str() {
            "Enter" if both => {
                if down {
                    event.prevent_default();
                    self.ask(&Request::HandBack);
                }
                false
            }
            "C" | "c" if both => {
                if down {
                    event.prevent_default();
                    self.copy();
                }
                false
            }
            // The browser pastes, and the page hears of it.
            "V" | "v" if both => false,
            _ => true,
        }
    }

    /// Copies what is selected, and says so.
    pub(super) fn copy(&self) {
        let text = self.screen.selection();
        let desk = self.desk;
        if text.is_empty() {
            return desk.words.set(Some(
                "Nothing is selected: drag over the text first (with Shift where a program uses the mouse).".to_owned(),
            ));
        }
        leptos::task::spawn_local(async move {
            let Some(window) = web_sys::window().filter(|window| window.is_secure_context()) else {
                return desk
                    .words
                    .set(Some("This page came over plain http: the browser gives it no clipboard.".to_owned()));
            };
            let done = wasm_bindgen_futures::JsFuture::from(window.navigator().clipboard().write_text(&text)).await;
            if done.is_err() {
                desk.words.set(Some("The browser did not allow to copy.".to_owned()));
            }
        });
    }

    /// Whether Ctrl C copies here: nobody types in this window, and something of the terminal is selected.
    pub(super) fn copies_by_key(&self) -> bool {
        !self.mine() && !self.screen.selection().is_empty()
    }

    /// Text from the browser's clipboard.
    pub(super) fn pasted(&self, text: String) {
        self.desk.paste(text);
    }

    fn ring(&self) {
        let bell = self.desk.bell;
        bell.set(true);
        set_timeout(
            move || {
                let _ = bell.try_set(false);
            },
            BELL,
        );
    }

    /// Keys go here.
    pub(super) fn focus(&self) {
        self.screen.focus();
    }

    /// A key that was pressed where nobody wants it; true if it is dealt with.
    pub(super) fn stray(&self, event: &KeyboardEvent) -> bool {
        self.mine() && self.screen.press(event)
    }

    /// The focus comes back after something else was pressed, while the keyboard is held.
    pub(super) fn return_focus(&self) {
        if self.mine() && !xterm::touch() && ears::unused_focus() {
            self.screen.focus();
        }
    }

    /// See [`Desk::read_aloud`].
    pub(super) fn read_aloud(&self, on: bool) {
        self.screen.read_aloud(on);
    }

    /// Takes the theme's colours.
    pub(super) fn recolor(&self) {
        self.screen.recolor();
    }

    /// Letters as they were chosen, for the window and the grid as they are now.
    pub(super) fn lay(&self) {
        self.screen.lay(self.desk.letters.get_untracked());
        self.follow();
    }

    /// Letters larger or smaller than these.
    pub(super) fn beside(&self, by: f64) -> Letters {
        self.screen.beside(by)
    }

    /// Somebody pans.
    pub(super) fn let_go(&self) {
        self.follows.set(false);
    }

    /// Pans to the cursor, unless somebody pans. Only for who types also along the line: programs leave it anywhere.
    fn follow(&self) {
        if self.follows.get() {
            self.screen.follow(self.mine());
        }
    }

    /// Asks for the grid that this window has room for, at letters one can read.
    pub(super) fn resize_to_window(&self) {
        let (cols, rows) = self.screen.grid_for_room(USUAL);
        self.ask(&Request::Resize { cols: cols.clamp(20, 400), rows: rows.clamp(5, 200) });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.no_more_tries();
    }
}

/// A session that may be gone.
pub(super) type Faint = Weak<Session>;
