//! Times, money, names: how facts are written. No locale and no clock, so that both halves of a render agree.

use leptos::prelude::*;
use server::{clock::Timestamp, services::MicroUsd};

use super::icon;
use crate::live;

/// A relative time with the exact one on hover; moves by itself.
#[component]
pub(crate) fn Ago(
    /// The time.
    at: Timestamp,
) -> impl IntoView {
    let live = live::live();
    let exact = exact(at);
    view! { <time datetime=exact.clone() title=exact>{move || ago(live.now.get() - at.millis())}</time> }
}

/// `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`; `now` below five seconds and for what is yet to come.
fn ago(ms: i64) -> String {
    if ms < 5000 { "now".into() } else { format!("{} ago", span(ms)) }
}

/// `12 s`, `3 min`, `2 h`, `5 d`: how long something lasts so far, in its largest unit.
pub(crate) fn span(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s {
        ..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// `2026-11-22 15:04:05 UTC`
pub(crate) fn exact(at: Timestamp) -> String {
    let seconds = at.millis().div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days, after Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `840 ms`, `8.2 s`, `3 min 4 s`, `2 h 5 min`.
pub(crate) fn duration(ms: i64) -> String {
    match ms {
        ..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Dollars with as many digits as tell something: `$3.18`, `$0.0013`, `$0`.
pub(crate) fn money(amount: MicroUsd) -> String {
    let micro = amount.0;
    match micro {
        0 => "$0".into(),
        100_000.. => {
            let cents = (micro + 5_000) / 10_000;
            format!("${}.{:02}", cents / 100, cents % 100)
        }
        100..100_000 => format!("$0.{:04}", (micro + 50) / 100),
        _ => format!("$0.{micro:06}"),
    }
}

/// `$0.59/h`, or `free` for a machine of one's own.
pub(crate) fn price_per_hour(price: MicroUsd) -> String {
    if price.0 == 0 { "free".into() } else { format!("{}/h", money(price)) }
}

/// `812 B`, `38 kB`, `4.1 MB`.
pub(crate) fn bytes(n: i64) -> String {
    match n {
        ..1000 => format!("{n} B"),
        1000..1_000_000 => format!("{} kB", n / 1000),
        _ => format!("{}.{} MB", n / 1_000_000, n / 100_000 % 10),
    }
}

/// `1 image`, `3 images`.
pub(crate) fn count(n: i64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `Found down` from `found down`: people read sentences.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A state, as a word in its colour. `class` is one of `ok warn bad info quiet`.
#[component]
pub(crate) fn StatusBadge(
    /// The word.
    #[prop(into)]
    word: String,
    /// Its colour.
    class: &'static str,
) -> impl IntoView {
    view! { <span class=format!("badge {class}")>{word}</span> }
}

/// The small square that stands for who did something: the letter and hue of an agent, a sign for others.
pub(crate) fn actor_face(actor: &str) -> impl IntoView + use<> {
    let (kind, name) = actor.split_once(':').unwrap_or(("cli", actor));
    let letter: String = match kind {
        "agent" | "user" => name.chars().take(1).flat_map(char::to_uppercase).collect(),
        "loop" | "hub" => "⟳".into(),
        _ => "$".into(),
    };
    let hue = if kind == "agent" { agent_hue(name) } else { 0 };
    let class = if kind == "agent" { "face agent" } else { "face" };
    view! { <span class=class style=format!("--hue:{hue}") title=actor.to_owned() aria-label=actor.to_owned() role="img">{letter}</span> }
}

/// The hue of an agent, for life: the first four have their own, others are spread by the golden angle.
pub(crate) fn agent_hue(slug: &str) -> u32 {
    match slug {
        "a" => 32,
        "b" => 280,
        "c" => 155,
        "d" => 88,
        _ => slug.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 360 * 137 % 360,
    }
}

/// A button that copies `text`.
#[component]
pub(crate) fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What it is, for the button's name: "Copy WHAT".
    what: &'static str,
) -> impl IntoView {
    let copied = RwSignal::new(false);
    let copy = move |_| {
        let text = text.get_untracked();
        leptos::task::spawn_local(async move {
            #[cfg(feature = "hydrate")]
            if let Some(window) = web_sys::window() {
                // Browsers have no clipboard for pages that came over plain http from another machine.
                if !window.is_secure_context() {
                    crate::ui::say("This page came over plain http: select the text and copy it by hand");
                    return;
                }
                let done = wasm_bindgen_futures::JsFuture::from(window.navigator().clipboard().write_text(&text)).await;
                copied.set(done.is_ok());
                set_timeout(move || copied.set(false), std::time::Duration::from_secs(2));
            }
            #[cfg(not(feature = "hydrate"))]
            drop(text);
        });
    };
    view! {
        <button class="quiet copy" type="button" on:click=copy aria-label=format!("Copy {what}") title=format!("Copy {what}")>
            {move || if copied.get() { icon("check").into_any() } else { icon("copy").into_any() }}
            <span class="hidden" role="status">{move || copied.get().then_some("Copied")}</span>
        </button>
    }
}

/// An error beside the thing that failed.
#[component]
pub(crate) fn Words(
    /// What went wrong; nothing is shown while it is `None`.
    #[prop(into)]
    failure: Signal<Option<String>>,
) -> impl IntoView {
    view! { <div role="alert" class="failure" hidden=move || failure.get().is_none()>{move || failure.get()}</div> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_written_with_as_many_digits_as_tell_something() {
        let money_cases = [
            (0, "$0"),
            (7, "$0.000007"),
            (1_300, "$0.0013"),
            (99_950, "$0.1000"),
            (590_000, "$0.59"),
            (3_184_999, "$3.18"),
        ];
        for (micro, expected) in money_cases {
            assert_eq!(money(MicroUsd(micro)), expected);
        }
        for (ms, expected) in
            [(0, "0 ms"), (999, "999 ms"), (8_249, "8.2 s"), (184_000, "3 min 4 s"), (7_500_000, "2 h 5 min")]
        {
            assert_eq!(duration(ms), expected);
        }
        for (ms, expected) in
            [(-1, "now"), (4_999, "now"), (59_999, "59 s ago"), (3_599_999, "59 min ago"), (172_800_000, "2 d ago")]
        {
            assert_eq!(ago(ms), expected);
        }
        for (text, expected) in [("found down:", "Found down:"), ("", "")] {
            assert_eq!(capital(text), expected);
        }
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (1_709_210_096_123, "2024-02-29 12:34:56 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(exact(Timestamp::from_millis(ms)), expected);
        }
    }
}
