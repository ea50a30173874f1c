//! The recording in the browser: fetched, drawn up to a moment, moved on by the clock. Browser only.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use leptos::prelude::*;
use server::id::RecordingId;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlElement, Response};

use super::{
    cast::{Cast, What},
    ears::Ears,
    player::Desk,
    rules::{self, Letters},
    xterm::{self, Emulator},
};

/// How often the picture moves on.
const TICK: Duration = Duration::from_millis(40);
/// Pauses are cut to this, in milliseconds.
const IDLE: u64 = 2_000;
const FONT: f64 = 13.0;

/// A recording on the screen.
pub(super) struct Reel {
    desk: Desk,
    cast: RefCell<Cast>,
    screen: Emulator,
    /// How many events are drawn.
    place: Cell<usize>,
    /// The clock at the last tick.
    ticked: Cell<f64>,
    ears: RefCell<Vec<Ears>>,
}

impl Reel {
    /// Fetches the recording and the emulator, and shows its first picture.
    pub(super) async fn begin(desk: Desk, id: RecordingId, glass: HtmlElement) {
        let cast = match (xterm::load().await, fetch(id).await) {
            (Ok(()), Ok(text)) => Cast::read(&text),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
        let cast = match cast {
            Ok(cast) => cast,
            Err(why) => {
                let _ = desk.words.try_set(Some(rules::sentence(&why)));
                return;
            }
        };
        if !xterm::placed(&glass, || desk.reel.try_get_value().is_none()).await {
            return;
        }
        let screen = Emulator::new(&glass, cast.cols, cast.rows, FONT);
        let reel = Rc::new(Self {
            desk,
            cast: RefCell::new(cast),
            screen,
            place: Cell::new(0),
            ticked: Cell::new(js_sys::Date::now()),
            ears: RefCell::default(),
        });
        reel.screen.lay(Letters::Usual);
        reel.squeeze();
        reel.listen(&glass);
        desk.reel.set_value(Some(reel));
        desk.ready.set(true);
    }

    fn listen(self: &Rc<Self>, glass: &HtmlElement) {
        let call = |act: fn(&Self)| {
            let me = Rc::downgrade(self);
            move || {
                if let Some(me) = me.upgrade() {
                    act(&me);
                }
            }
        };
        let mut ears = self.ears.borrow_mut();
        ears.extend(Ears::size(glass, call(|me| me.screen.lay(Letters::Usual))));
        ears.extend(Ears::theme(call(|me| me.screen.recolor())));
        ears.extend(Ears::system_theme(call(|me| me.screen.recolor())));
        ears.extend(set_interval_with_handle(call(Self::tick), TICK).ok().map(Ears::Timer));
    }

    /// Cuts long pauses, or no longer; what is shown stays the same, at its new time.
    pub(super) fn squeeze(&self) {
        let mut cast = self.cast.borrow_mut();
        cast.squeeze(self.desk.skip.get_untracked().then_some(IDLE));
        let place = self.place.get();
        let at = place.checked_sub(1).and_then(|last| cast.events.get(last)).map_or(0, |event| event.at);
        self.desk.length.set(cast.length());
        self.desk.marks.set(cast.marks());
        self.desk.at.set(at as f64);
        drop(cast);
        if place == 0 {
            self.seek(0.0);
        }
    }

    /// Shows the moment `ms`.
    pub(super) fn seek(&self, ms: f64) {
        let cast = self.cast.borrow();
        let place = cast.place(ms as u64);
        let (from, (cols, rows)) = cast.start(place);
        self.screen.reset();
        self.resize(cols, rows);
        self.draw(&cast, from, place);
    }

    fn tick(&self) {
        let now = js_sys::Date::now();
        let passed = now - self.ticked.replace(now);
        if !self.desk.playing.get_untracked() {
            return;
        }
        let cast = self.cast.borrow();
        let end = cast.length() as f64;
        let at = (self.desk.at.get_untracked() + passed * f64::from(self.desk.speed.get_untracked()) / 2.0).min(end);
        self.draw(&cast, self.place.get(), cast.place(at as u64));
        self.desk.at.set(at);
        if at >= end {
            self.desk.playing.set(false);
        }
    }

    fn draw(&self, cast: &Cast, from: usize, to: usize) {
        for event in cast.events.get(from..to).unwrap_or_default() {
            match &event.what {
                What::Output(text) => self.screen.write_text(text),
                What::Resized(cols, rows) => self.resize(*cols, *rows),
                What::Marked(_) => {}
            }
        }
        self.place.set(to);
    }

    fn resize(&self, cols: u16, rows: u16) {
        self.screen.resize(cols, rows);
        self.screen.lay(Letters::Usual);
    }
}

async fn fetch(id: RecordingId) -> Result<String, String> {
    let broken = || "the recording could not be fetched; is the hub running, and are you online?".to_owned();
    let window = web_sys::window().ok_or_else(broken)?;
    let answer = JsFuture::from(window.fetch_with_str(&format!("/casts/{id}.cast"))).await.map_err(|_| broken())?;
    let answer: Response = answer.dyn_into().map_err(|_| broken())?;
    match answer.status() {
        200 => {}
        404 => return Err("there is no such recording; it may have been deleted or outlived its time".to_owned()),
        status => return Err(format!("the hub refused the recording (status {status})")),
    }
    let text = JsFuture::from(answer.text().map_err(|_| broken())?).await.map_err(|_| broken())?;
    text.as_string().ok_or_else(broken)
}
