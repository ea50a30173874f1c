//! The landing page: one look, no script. Every claim names where to check it.

use leptos::prelude::*;

use crate::ui::icon;

/// Claim, what stands behind it, and where to check it.
const CLAIMS: [(&str, &str, &str); 4] = [
    (
        "Nothing accepted is lost",
        "The queue is one SQLite file. A test kills the hub with kill -9 twenty times during a hundred jobs: none is lost, none is drawn twice.",
        "end2end/it/kill.rs",
    ),
    (
        "Tested on a real ComfyUI",
        "The tests draw, cancel and kill a real ComfyUI on the CPU, and replay the recorded traffic of two versions.",
        "end2end/it/comfyui_real.rs",
    ),
    (
        "Closed by default",
        "Every route refuses strangers, and a test knocks at each. Stored credentials are sealed and never shown again.",
        "end2end/it/strangers.rs",
    ),
    (
        "One file, one folder",
        "No Docker, no Node at run time, no outside account. Its size, its memory and its speed are measured.",
        "BENCHMARKS.md",
    ),
];

/// The page; who is signed in is led on, others to the sign-in.
pub(crate) fn page(signed_in: bool) -> impl IntoView {
    let (address, word) = if signed_in { ("/overview", "Open the dashboard") } else { ("/login", "Sign in") };
    let claims = CLAIMS
        .map(|(claim, proof, place)| view! { <section><h2>{claim}</h2><p>{proof}</p><code>{place}</code></section> });
    view! {
        <div class="landing">
            <header>{icon("mark")} "central-mcp"</header>
            <main>
                <div class="words">
                    <h1>"A home for your crew of coding agents"</h1>
                    <p class="lead">
                        "One program on a small VM. Agents connect over MCP with one line, people with a browser. ComfyUI draws their pictures on machines of yours, and everybody sees progress, preview, result and cost."
                    </p>
                    <p class="try"><code>"cargo xtask run"</code> <span class="quiet">"builds it, starts it, and prints a link that makes you the owner"</span></p>
                    <p><a class="button primary" href=address>{word}</a></p>
                </div>
                <picture>
                    <source srcset="/shot-overview-light.webp" media="(prefers-color-scheme: light)" />
                    <img src="/shot-overview-dark.webp" width="1200" height="750" loading="lazy" decoding="async"
                        alt="The overview: a picture being drawn and the latest ones, what the crew just did, and the health of the services" />
                </picture>
                <div class="claims">{claims.into_iter().collect_view()}</div>
            </main>
            <footer>"Apache-2.0 · how it is made: ARCHITECTURE.md · what it weighs: BENCHMARKS.md"</footer>
        </div>
    }
}
