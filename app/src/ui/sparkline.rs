//! Response times of the last checks as a line, with the numbers as a table for screen readers.

use std::fmt::Write as _;

use leptos::prelude::*;
use server::services::{CheckView, Health};

use super::format::exact;

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 20.0;

/// The line; checks that were not answered are gaps with a red mark.
#[component]
pub(crate) fn Sparkline(
    /// The checks, oldest first.
    checks: Vec<CheckView>,
) -> impl IntoView {
    let most = checks.iter().filter_map(|check| check.response_ms).max().unwrap_or(1).max(20) as f64;
    let step = WIDTH / (checks.len().max(2) - 1) as f64;
    let (mut line, mut marks, mut up) = (String::new(), String::new(), true);
    for (n, check) in checks.iter().enumerate() {
        let x = n as f64 * step;
        match check.response_ms.filter(|_| check.health != Health::Down) {
            Some(ms) => {
                let y = HEIGHT - 2.0 - (HEIGHT - 4.0) * ms as f64 / most;
                let _ = write!(line, "{}{x:.1} {y:.1}", if up { "M" } else { "L" });
                up = false;
            }
            None => {
                let _ = write!(marks, "M{x:.1} 2V{:.1}", HEIGHT - 2.0);
                up = true;
            }
        }
    }
    let newest = checks.iter().rev().take(10);
    let rows = newest
        .map(|check| {
            let ms = check.response_ms.map_or_else(|| "no answer".into(), |ms| format!("{ms} ms"));
            view! { <tr><td>{exact(check.at)}</td><td>{check.health.word()}</td><td>{ms}</td></tr> }
        })
        .collect_view();
    view! {
        <span class="spark">
            <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") width=WIDTH.to_string() height=HEIGHT.to_string() aria-hidden="true" focusable="false">
                <path class="line" d=line></path>
                <path class="gap" d=marks></path>
            </svg>
            <table class="hidden">
                <caption>"The last checks, newest first"</caption>
                <thead><tr><th>"When"</th><th>"Health"</th><th>"Answer"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </span>
    }
}
