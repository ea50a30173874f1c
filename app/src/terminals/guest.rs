//! The page that a share link leads to: one terminal, read-only, without an account. The secret is in the fragment of its
//! address, which no server sees; `app/js/share.mjs` exchanges it for a cookie of this one terminal.

use leptos::prelude::*;

use crate::ui::icon;

/// The body of the page; `nonce` lets its import map in.
pub(crate) fn page(nonce: String) -> impl IntoView {
    view! {
        <main class="guest">
            <header>
                <a class="mark" href="/" title="central-mcp">{icon("mark")} <span class="hidden">"central-mcp"</span></a>
                <h1 id="name">"Shared terminal"</h1>
                <span class="badge">"read-only"</span>
                <span id="facts" class="quiet"></span>
                <span class="letters" role="group" aria-label="Letters">
                    <button id="smaller" class="quiet" type="button" aria-label="A− smaller letters">"A−"</button>
                    <button id="larger" class="quiet" type="button" aria-label="A+ larger letters">"A+"</button>
                    <button id="whole" class="quiet" type="button" aria-pressed="false" title="See the whole screen, however small; again: letters to read">"fit"</button>
                </span>
                <span id="line" class="dot" role="status" data-state="wait">"connecting"</span>
            </header>
            <p id="words" class="strip bad" role="alert" hidden></p>
            <p id="away" class="strip warn" hidden>
                <span>
                    <span role="status"><b id="machine"></b> " is not connected"</span> <span id="away-since"></span>
                    ". Its sessions run on; this is the last picture."
                </span>
            </p>
            <div class="glass" tabindex="0"><div class="screen" id="screen"></div></div>
            <noscript><p class="strip">"A terminal is drawn by a script; this browser does not run any."</p></noscript>
        </main>
        <script type="importmap" nonce=nonce inner_html=crate::site::import_map()></script>
        <script type="module" src=crate::site::script("share.mjs")></script>
    }
}
