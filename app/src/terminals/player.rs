//! A recording played again.

use leptos::{html, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};
use server::id::RecordingId;

use super::rules;
use crate::{
    frame::Bar,
    ui::{exact, icon, on_keys},
};

/// How fast it may be played, in halves.
const SPEEDS: [(u32, &str); 5] = [(1, "0.5×"), (2, "1×"), (4, "2×"), (8, "4×"), (16, "8×")];
/// How far the arrow keys go, in milliseconds.
const STEP: f64 = 5_000.0;

/// What the parts of the player share. The browser's half of it is in `reel.rs`.
#[derive(Clone, Copy)]
pub(super) struct Desk {
    /// Where it is, in milliseconds.
    pub(super) at: RwSignal<f64>,
    /// How long it plays.
    pub(super) length: RwSignal<u64>,
    /// Whether it runs.
    pub(super) playing: RwSignal<bool>,
    /// How fast, in halves.
    pub(super) speed: RwSignal<u32>,
    /// Whether long pauses are cut short.
    pub(super) skip: RwSignal<bool>,
    /// Where the size changed, or a mark is.
    pub(super) marks: RwSignal<Vec<(u64, String)>>,
    /// Whether it is there to be played.
    pub(super) ready: RwSignal<bool>,
    /// Why it cannot be played.
    pub(super) words: RwSignal<Option<String>>,
    #[cfg(feature = "hydrate")]
    pub(super) reel: StoredValue<Option<std::rc::Rc<super::reel::Reel>>, LocalStorage>,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            at: RwSignal::new(0.0),
            length: RwSignal::new(0),
            playing: RwSignal::new(false),
            speed: RwSignal::new(2),
            skip: RwSignal::new(true),
            marks: RwSignal::default(),
            ready: RwSignal::new(false),
            words: RwSignal::new(None),
            #[cfg(feature = "hydrate")]
            reel: StoredValue::new_local(None),
        };
        #[cfg(feature = "hydrate")]
        on_cleanup(move || {
            let _ = desk.reel.try_update_value(|reel| reel.take());
        });
        desk
    }

    /// Plays or pauses; from the beginning when it is at its end.
    fn toggle(self) {
        if !self.ready.get_untracked() {
            return;
        }
        if !self.playing.get_untracked() && self.at.get_untracked() >= self.length.get_untracked() as f64 {
            self.seek(0.0);
        }
        self.playing.update(|playing| *playing = !*playing);
    }

    fn seek(self, ms: f64) {
        let ms = ms.clamp(0.0, self.length.get_untracked() as f64);
        self.at.set(ms);
        #[cfg(feature = "hydrate")]
        if let Some(reel) = self.reel.get_value() {
            reel.seek(ms);
        }
    }

    fn cut_pauses(self) {
        self.skip.update(|skip| *skip = !*skip);
        #[cfg(feature = "hydrate")]
        if let Some(reel) = self.reel.get_value() {
            reel.squeeze();
        }
    }
}

/// The page.
#[component]
pub(crate) fn Player() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse::<RecordingId>().ok())));
    move || {
        match id.get() {
        Some(id) => view! { <Stage id=id /> }.into_any(),
        None => view! { <Bar title="No such recording">""</Bar> <div class="page missing"><p>"This address leads to no recording."</p></div> }.into_any(),
    }
    }
}

#[component]
fn Stage(id: RecordingId) -> impl IntoView {
    let desk = Desk::new();
    let screen = NodeRef::<html::Div>::new();
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        use wasm_bindgen::JsCast as _;
        let Some(screen) = screen.get() else { return };
        leptos::task::spawn_local(super::reel::Reel::begin(desk, id, screen.unchecked_into()));
    });
    on_keys(move |key| {
        match key {
            " " => desk.toggle(),
            "ArrowLeft" => desk.seek(desk.at.get_untracked() - STEP),
            "ArrowRight" => desk.seek(desk.at.get_untracked() + STEP),
            _ => return false,
        }
        true
    });
    let words = move || desk.words.get().map(|words| view! { <p class="strip bad" role="alert">{words}</p> });
    // Who comes from a terminal's list comes with its name; an address without it is that of a recording all the same.
    let of = use_query_map().with_untracked(|query| query.get("of")).unwrap_or_default();
    let (title, back, label) = match of.is_empty() {
        true => ("Recording".to_owned(), "/terminals".to_owned(), "All terminals".to_owned()),
        false => (format!("Recording of {of}"), format!("/terminals/{of}"), format!("Back to {of}")),
    };
    view! {
        <Bar title=title><a href=back>{label}</a> {move || desk.ready.get().then(|| format!(" · began {}", exact(id.made_at())))}</Bar>
        <div class="one alone">
            <section class="card terminal" aria-label="Recording" aria-busy=move || (!desk.ready.get()).to_string()>
                {words}
                <div class="stage"><div class="glass" tabindex="0"><div class="screen" node_ref=screen></div></div></div>
                {controls(desk, id)}
            </section>
        </div>
    }
}

/// Whole milliseconds: fractions would bring a reader of decimal numbers into the browser half.
fn whole(value: &str) -> f64 {
    value.split('.').next().and_then(|whole| whole.parse::<u32>().ok()).unwrap_or_default().into()
}

fn controls(desk: Desk, id: RecordingId) -> AnyView {
    let off = move || !desk.ready.get();
    let times = move || format!("{} / {}", rules::clock(desk.at.get() as i64), rules::clock(desk.length.get() as i64));
    let marks = move || {
        let length = desk.length.get().max(1);
        let mark = |(at, words): (u64, String)| {
            let left = at * 1000 / length;
            view! { <i style=format!("left:{}.{}%", left / 10, left % 10) title=words></i> }
        };
        desk.marks.get().into_iter().map(mark).collect_view()
    };
    let speed = |(halves, word): (u32, &'static str)| {
        view! {
            <button type="button" role="radio" aria-checked=move || (desk.speed.get() == halves).to_string() on:click=move |_| desk.speed.set(halves)>{word}</button>
        }
    };
    // The browser's own step is a hundredth of the whole, whatever that is.
    let by_key = move |event: web_sys::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => -STEP,
            "ArrowRight" | "ArrowUp" => STEP,
            _ => return,
        };
        event.prevent_default();
        desk.seek(desk.at.get_untracked() + step);
    };
    view! {
        <footer class="controls">
            <button class="primary" type="button" disabled=off on:click=move |_| desk.toggle()>
                {move || if desk.playing.get() { view! { {icon("pause")} "Pause" }.into_any() } else { view! { {icon("play")} "Play" }.into_any() }}
            </button>
            <div class="seek">
                <input type="range" min="0" step="any" aria-label="Position" aria-valuetext=times disabled=off
                    max=move || desk.length.get().to_string() prop:value=move || (desk.at.get() as u64).to_string()
                    on:keydown=by_key on:input:target=move |event| desk.seek(whole(&event.target().value())) />
                <span class="marks" aria-hidden="true">{marks}</span>
            </div>
            <output>{times}</output>
            <div class="segments" role="radiogroup" aria-label="Speed">{SPEEDS.map(speed).into_iter().collect_view()}</div>
            <button class="chip" type="button" aria-pressed=move || desk.skip.get().to_string() on:click=move |_| desk.cut_pauses()>"Skip pauses over 2 s"</button>
            <a class="button" hidden=off href=format!("/casts/{id}.cast?download") rel="external" download="">{icon("download")} "Download"</a>
        </footer>
    }
    .into_any()
}
