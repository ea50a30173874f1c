//! The line of a terminal to the hub: how it is opened, used, doubted, given up and opened again.

use std::{rc::Rc, time::Duration};

use js_sys::{ArrayBuffer, Uint8Array};
use leptos::prelude::*;
use server::{
    error::FailureKind,
    terminals::{BYTES, Closing, Request, SUBPROTOCOL, Watching},
};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::{
    super::{calls, desk::Line, rules, xterm},
    Session,
};

/// How often the line is used when nothing else uses it, in milliseconds; proxies cut silent ones after a minute.
const ALIVE: f64 = 20_000.0;
/// A line that does not answer for so long is dead, and TCP will not say so for minutes.
const SILENT: f64 = 15_000.0;
/// Keys after which nothing comes for so long are doubted: a sign of life is asked for, and waited for as long again.
const DOUBT: f64 = 3_000.0;
/// How long one try to connect may take.
const TRY: Duration = Duration::from_secs(10);
/// A socket with what listens to it; dropped, nobody does.
pub(super) struct Socket {
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
    /// Opens the line with a new ticket. What refuses for good is said; what may pass is tried again.
    pub(super) fn connect(self: &Rc<Self>) {
        self.socket.borrow_mut().take();
        let attempt = self.attempt.get().wrapping_add(1);
        self.attempt.set(attempt);
        // A network that is gone may let even this hang.
        self.soon(TRY, |me| me.later());
        let me = Rc::downgrade(self);
        let name = self.name.clone();
        leptos::task::spawn_local(async move {
            let ticket = calls::terminal_ticket(name).await;
            let Some(me) = me.upgrade().filter(|me| me.attempt.get() == attempt) else { return };
            match ticket {
                Ok(ticket) => me.open(&ticket.ticket),
                Err(refusal) => match refusal.0.kind {
                    FailureKind::Outside | FailureKind::Internal => me.later(),
                    _ => me.ended(refusal.to_string()),
                },
            }
        });
    }

    /// Does this later, and not what was to be done before.
    fn soon(self: &Rc<Self>, pause: Duration, act: fn(&Rc<Self>)) {
        self.no_more_tries();
        let me = Rc::downgrade(self);
        let act = move || {
            if let Some(me) = me.upgrade() {
                act(&me);
            }
        };
        self.retry.set(set_timeout_with_handle(act, pause).ok());
    }

    pub(super) fn no_more_tries(&self) {
        if let Some(handle) = self.retry.take() {
            handle.clear();
        }
    }

    /// Tries at once, because somebody asked or came back to the page.
    pub(in super::super) fn connect_now(self: &Rc<Self>) {
        if self.desk.line.get_untracked() == Line::Open {
            return;
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
        self.no_more_tries();
        self.heard();
        self.desk.line.set(Line::Open);
        self.look();
    }

    pub(super) fn closed(self: &Rc<Self>, code: u16, reason: &str) {
        self.socket.borrow_mut().take();
        let held = |now: &Watching| now.keyboard.as_ref().filter(|_| rules::yours(now)).map(|keys| keys.since);
        let held = self.desk.watching.with_untracked(|now| now.as_ref().and_then(held));
        self.held.set(held.or(self.held.get()));
        self.desk.watching.update(|now| {
            if let Some(now) = now {
                now.keyboard = None;
            }
        });
        if self.unheard.take().is_some() {
            self.desk.words.set(Some(rules::LOST.to_owned()));
        }
        if Closing::comes_back(code) {
            match self.held.get() {
                Some(_) => self.screen.hold_keys(),
                None => self.screen.typing(false),
            }
            return self.later();
        }
        let known = Closing::ALL.into_iter().find(|it| it.code() == code).map(Closing::words);
        let words = if reason.is_empty() { known.unwrap_or("the line was closed") } else { reason };
        self.ended(words.to_owned());
    }

    /// It is not tried again by itself.
    fn ended(&self, why: String) {
        self.no_more_tries();
        self.screen.typing(false);
        self.held.set(None);
        self.desk.line.set(Line::Closed(why));
    }

    fn later(self: &Rc<Self>) {
        let tries = self.tries.get();
        self.tries.set(tries.saturating_add(1));
        self.desk.line.set(Line::Reconnecting);
        self.soon(Duration::from_millis(rules::pause(tries, js_sys::Math::random())), |me| me.connect());
    }

    pub(super) fn keep_alive(self: &Rc<Self>) {
        if self.desk.line.get_untracked() != Line::Open {
            return;
        }
        let now = js_sys::Date::now();
        let unheard = self.unheard.get();
        let patience = if unheard.is_some() { DOUBT } else { SILENT };
        match self.asked.get() {
            Some(asked) if now - asked >= patience => self.closed(0, ""),
            Some(_) => {}
            None if now - self.used.get() >= ALIVE || unheard.is_some_and(|since| now - since >= DOUBT) => {
                self.asked.set(Some(now));
                self.ask(&Request::Alive);
            }
            None => {}
        }
    }

    /// Something came: the line stands, and what was sent before has a hub that hears.
    pub(super) fn heard(&self) {
        self.unheard.set(None);
        self.asked.set(None);
        self.used.set(js_sys::Date::now());
    }

    /// Keys went out; from now on something should come.
    pub(super) fn doubted(&self) {
        self.follows.set(true);
        if self.unheard.get().is_none() && self.desk.line.get_untracked() == Line::Open {
            self.unheard.set(Some(js_sys::Date::now()));
        }
    }

    pub(super) fn send(&self, kind: u8, body: &[u8]) {
        if kind == BYTES && !self.mine() {
            return;
        }
        if let Some(socket) = self.socket.borrow().as_ref().filter(|socket| socket.it.ready_state() == WebSocket::OPEN)
        {
            let frame: Vec<u8> = std::iter::once(kind).chain(body.iter().copied()).collect();
            let _ = socket.it.send_with_u8_array(&frame);
            if kind == BYTES {
                self.doubted();
            }
        }
    }

    /// Comes back at once if the line waits to be tried again: the page is looked at, or the network is back.
    pub(in super::super) fn connect_again(self: &Rc<Self>) {
        if self.desk.line.get_untracked() == Line::Reconnecting {
            self.connect_now();
        }
    }
}
