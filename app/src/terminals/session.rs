//! One terminal in the browser: the emulator, the socket behind it, and how they come back when the line breaks. Browser only.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use js_sys::{ArrayBuffer, Uint8Array};
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};
use server::{
    error::FailureKind,
    terminals::{BYTES, Closing, JSON, Notice, Request, SUBPROTOCOL, Watching},
};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{BinaryType, CloseEvent, HtmlElement, KeyboardEvent, MessageEvent, WebSocket};

use super::{
    calls,
    desk::{Desk, Line},
    ears::Ears,
    rules,
    xterm::{self, Emulator, Handlers},
};

/// How often the line is used when nothing else uses it; proxies cut silent ones after a minute.
const ALIVE: Duration = Duration::from_secs(20);
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
    /// The keyboard was held when the line broke, and is taken again if it is free.
    held: Cell<bool>,
    /// A sign of life was asked for and has not come.
    waits: Cell<bool>,
    retry: Cell<Option<TimeoutHandle>>,
    ears: RefCell<Vec<Ears>>,
}

/// A socket with what listens to it; dropped, nobody does.
struct Socket {
    it: WebSocket,
    _message: Closure<dyn Fn(MessageEvent)>,
    _close: Closure<dyn Fn(CloseEvent)>,
    _open: Closure<dyn Fn()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.it.set_onmessage(None);
        self.it.set_onclose(None);
        self.it.set_onopen(None);
        let _ = self.it.close();
    }
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
            held: Cell::new(false),
            waits: Cell::new(false),
            retry: Cell::new(None),
            ears: RefCell::default(),
        });
        session.listen();
        session.fit();
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
        let (keys, bell, wheel) = (me.clone(), me.clone(), me.clone());
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
        });
        *self.ears.borrow_mut() = Ears::of(&me, &self.glass);
        let alive = me.clone();
        if let Ok(handle) = set_interval_with_handle(
            move || {
                let _ = alive.upgrade().map(|me| me.keep_alive());
            },
            ALIVE,
        ) {
            self.ears.borrow_mut().push(Ears::Timer(handle));
        }
    }

    /// Opens the line with a new ticket. What refuses for good is said; what may pass is tried again.
    fn connect(self: &Rc<Self>) {
        self.retry.take();
        self.socket.borrow_mut().take();
        let me = Rc::downgrade(self);
        let name = self.name.clone();
        leptos::task::spawn_local(async move {
            let ticket = calls::terminal_ticket(name).await;
            let Some(me) = me.upgrade() else { return };
            match ticket {
                Ok(ticket) => me.open(&ticket.ticket),
                Err(refusal) => match refusal.0.kind {
                    FailureKind::Outside | FailureKind::Internal => me.later(),
                    _ => me.desk.line.set(Line::Closed(refusal.to_string())),
                },
            }
        });
    }

    /// Tries at once, because somebody asked or came back to the page.
    pub(super) fn connect_now(self: &Rc<Self>) {
        if self.desk.line.get_untracked() == Line::Open {
            return;
        }
        if let Some(handle) = self.retry.take() {
            handle.clear();
        }
        self.tries.set(0);
        self.desk.line.set(Line::Connecting);
        self.connect();
    }

    fn open(self: &Rc<Self>, ticket: &str) {
        let Some(location) = web_sys::window().map(|window| window.location()) else { return };
        let scheme = if location.protocol().is_ok_and(|scheme| scheme == "https:") { "wss" } else { "ws" };
        let address = format!("{scheme}://{}/terminals/{}/ws", location.host().unwrap_or_default(), self.name);
        let words = xterm::list(&[SUBPROTOCOL, &format!("ticket.{ticket}")]);
        let Ok(it) = WebSocket::new_with_str_sequence(&address, &words) else { return self.later() };
        it.set_binary_type(BinaryType::Arraybuffer);
        let me = Rc::downgrade(self);
        let message = {
            let me = me.clone();
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                if let (Some(me), Ok(frame)) = (me.upgrade(), event.data().dyn_into::<ArrayBuffer>()) {
                    me.take(&Uint8Array::new(&frame));
                }
            })
        };
        let close = {
            let me = me.clone();
            Closure::<dyn Fn(CloseEvent)>::new(move |event: CloseEvent| {
                if let Some(me) = me.upgrade() {
                    me.closed(event.code(), &event.reason());
                }
            })
        };
        let open = Closure::<dyn Fn()>::new(move || {
            if let Some(me) = me.upgrade() {
                me.opened();
            }
        });
        it.set_onmessage(Some(message.as_ref().unchecked_ref()));
        it.set_onclose(Some(close.as_ref().unchecked_ref()));
        it.set_onopen(Some(open.as_ref().unchecked_ref()));
        *self.socket.borrow_mut() = Some(Socket { it, _message: message, _close: close, _open: open });
    }

    fn opened(&self) {
        self.waits.set(false);
        self.desk.line.set(Line::Open);
        self.look();
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
        let rest = frame.subarray(1, frame.length());
        match frame.get_index(0) {
            BYTES => self.screen.write(&rest),
            JSON => match serde_json::from_slice::<Notice>(&rest.to_vec()) {
                Ok(Notice::State(now)) => self.stand(now),
                Ok(Notice::Refused { why }) => self.desk.words.set(Some(rules::sentence(&why))),
                Ok(Notice::Alive) => self.waits.set(false),
                // A newer hub may say more; what is known still holds.
                Err(_) => {}
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
            if self.desk.fits.get_untracked() {
                self.fit();
            }
        }
        let yours = rules::yours(&now);
        // What was held is asked for once the machine is there.
        if now.away.is_none() && self.held.take() && !yours {
            match &now.keyboard {
                None if now.may_type => self.ask(&Request::Take { over: false }),
                Some(other) => self.desk.words.set(Some(format!(
                    "{} took the keyboard while the line was broken.",
                    rules::person(&other.holder)
                ))),
                None => {}
            }
        }
        let mine = self.mine();
        self.desk.watching.set(Some(now));
        if yours != mine {
            self.desk.ctrl.set(false);
            self.screen.typing(yours);
        }
    }

    fn mine(&self) -> bool {
        self.desk.watching.with_untracked(|now| now.as_ref().is_some_and(rules::yours))
    }

    fn closed(self: &Rc<Self>, code: u16, reason: &str) {
        self.socket.borrow_mut().take();
        self.held.set(self.held.get() || self.mine());
        self.desk.watching.update(|now| {
            if let Some(now) = now {
                now.keyboard = None;
            }
        });
        self.screen.typing(false);
        if Closing::comes_back(code) {
            return self.later();
        }
        let known = Closing::ALL.into_iter().find(|it| it.code() == code).map(Closing::words);
        let words = if reason.is_empty() { known.unwrap_or("the line was closed") } else { reason };
        self.held.set(false);
        self.desk.line.set(Line::Closed(words.to_owned()));
    }

    fn later(self: &Rc<Self>) {
        let tries = self.tries.get();
        self.tries.set(tries.saturating_add(1));
        self.desk.line.set(Line::Reconnecting);
        let me = Rc::downgrade(self);
        let again = move || {
            let _ = me.upgrade().map(|me| me.connect());
        };
        let pause = Duration::from_millis(rules::pause(tries, js_sys::Math::random()));
        self.retry.set(set_timeout_with_handle(again, pause).ok());
    }

    fn keep_alive(self: &Rc<Self>) {
        if self.desk.line.get_untracked() != Line::Open {
            return;
        }
        if self.waits.replace(true) {
            // Nothing came since the last time: the line is dead, and TCP will not say so for minutes.
            return self.closed(0, "");
        }
        self.ask(&Request::Alive);
    }

    /// Asks the server.
    pub(super) fn ask(&self, request: &Request) {
        if let Ok(json) = serde_json::to_vec(request) {
            self.send(JSON, &json);
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

    fn send(&self, kind: u8, body: &[u8]) {
        if kind == BYTES && !self.mine() {
            return;
        }
        if let Some(socket) = self.socket.borrow().as_ref().filter(|socket| socket.it.ready_state() == WebSocket::OPEN)
        {
            let frame: Vec<u8> = std::iter::once(kind).chain(body.iter().copied()).collect();
            let _ = socket.it.send_with_u8_array(&frame);
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

    /// Comes back at once if the line waits to be tried again: the page is looked at, or the network is back.
    pub(super) fn connect_again(self: &Rc<Self>) {
        if self.desk.line.get_untracked() == Line::Reconnecting {
            self.connect_now();
        }
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

    /// See [`Desk::read_aloud`].
    pub(super) fn read_aloud(&self, on: bool) {
        self.screen.read_aloud(on);
    }

    /// Takes the theme's colours.
    pub(super) fn recolor(&self) {
        self.screen.recolor();
    }

    /// The window changed.
    pub(super) fn window_changed(&self) {
        if self.desk.fits.get_untracked() {
            self.fit();
        }
    }

    /// Other letters than those that fit.
    pub(super) fn zoom(&self, by: f64) {
        self.screen.zoom(by);
    }

    /// The whole grid is seen.
    pub(super) fn fit(&self) {
        self.screen.fit();
    }

    /// Asks for the grid that this window has room for, at letters one can read.
    pub(super) fn resize_to_window(&self) {
        let (cols, rows) = self.screen.grid_for_room(USUAL);
        self.ask(&Request::Resize { cols: cols.clamp(20, 400), rows: rows.clamp(5, 200) });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(handle) = self.retry.take() {
            handle.clear();
        }
    }
}

/// A session that may be gone.
pub(super) type Faint = Weak<Session>;
