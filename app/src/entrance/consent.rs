//! The consent page: shall this client be let in? All that the client says about itself is shown as text, never as a link
//! or a picture.

use axum::http::{HeaderMap, HeaderValue, header::HeaderName};
use leptos::prelude::*;
use server::{
    caller::Role,
    oauth::{ConsentPage, LeavePage},
};

use super::{frame, told};

/// Clients open the way in as a window and may talk to it later: where a sign-in leads there, it does not cut the window off
/// from its opener, as all other pages do (`Cross-Origin-Opener-Policy`).
pub(crate) fn beside_opener(next: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if next.starts_with("/oauth/authorize?") {
        let name = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(name, HeaderValue::from_static("unsafe-none"));
    }
    headers
}

/// The question.
pub(crate) fn consent(page: ConsentPage) -> impl IntoView {
    let ConsentPage { ticket, client, client_host, redirect_host, own_computer, agent, role, person, failure } = page;
    let back = if own_computer {
        view! {
            <p class="failure" role="note">
                "The answer goes to a program on this computer (" <b class="mono">{redirect_host}</b>
                "). Allow only if you have just started it yourself: any program here could ask in this name."
            </p>
        }
        .into_any()
    } else {
        view! { <p>"The answer goes to " <b class="mono">{redirect_host}</b> "."</p> }.into_any()
    };
    frame(
        "Let an agent in",
        view! {
            <p><b>{client}</b> " wants to join this hub as an agent. It is vouched for by"</p>
            <p class="host mono">{client_host}</p>
            {back}
            {failure.map(told)}
            <form method="post" action="/oauth/authorize" autocomplete="off">
                <input type="hidden" name="ticket" value=ticket />
                <label>
                    "The agent's name here"
                    <input name="agent" value=agent class="mono" autocapitalize="none" spellcheck="false" maxlength="32" required />
                    <small class="help">"What it does stands under this name: a-z, 0-9 and -"</small>
                </label>
                <fieldset>
                    <legend>"It may"</legend>
                    {choice("look", "look at images, services and their state", role == Role::Viewer)}
                    {choice("draw", "look, and ask for images", role != Role::Viewer)}
                </fieldset>
                <p>
                    "You are signed in as " <b>{person}</b>
                    ". It stays let in until it is not used for 30 days, or until you revoke it under Settings, Tokens."
                </p>
                <div class="actions">
                    <button class="primary" type="submit" name="answer" value="allow">"Allow"</button>
                    // A field that is not filled in as it should must not stand in the way of a no.
                    <button type="submit" name="answer" value="deny" formnovalidate>"Deny"</button>
                </div>
            </form>
        }
        .into_any(),
    )
}

fn choice(scope: &'static str, words: &'static str, checked: bool) -> impl IntoView {
    view! { <label class="choice"><input type="radio" name="scope" value=scope checked=checked /> {words}</label> }
}

/// The way back: for browsers that do not take it by themselves, or because a person should look first.
pub(crate) fn leave(page: LeavePage) -> impl IntoView {
    let title = if page.allowed { "It is let in" } else { "It is not let in" };
    let why = match page.problem {
        None => view! { <p>"Going back. If nothing happens:"</p> }.into_any(),
        Some(problem) => view! {
            <p>"The client asked for something that this hub does not do:"</p>
            {told(problem)}
            <p>"It can be told so. If you did not start this yourself, close this page."</p>
        }
        .into_any(),
    };
    let link = view! { <p><a href=page.to rel="noreferrer">{format!("continue to {}", page.host)}</a></p> };
    frame(title, view! { {why} {link} }.into_any())
}

/// Why there is no question.
pub(crate) fn refused(why: String) -> impl IntoView {
    frame(
        "Not let in",
        view! {
            {told(why)}
            <p><a href="/overview">"Back to the hub"</a></p>
        }
        .into_any(),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use server::oauth::{Page, RefusalPage};

    use super::*;

    async fn html(page: Page) -> (StatusCode, String) {
        let response = crate::site::consent(&HeaderMap::new(), page);
        let status = response.status();
        assert!(
            response.headers()["content-security-policy"].to_str().expect("text").contains("frame-ancestors 'none'")
        );
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(bytes.to_vec()).expect("text"))
    }

    fn question() -> ConsentPage {
        ConsentPage {
            ticket: "ticket-1".into(),
            client: "<script>alert(1)</script>".into(),
            client_host: "client.example".into(),
            redirect_host: "back.example".into(),
            own_computer: false,
            agent: "fox".into(),
            role: Role::Agent,
            person: "ada".into(),
            failure: None,
        }
    }

    #[tokio::test]
    async fn the_question_shows_who_asks_and_escapes_what_they_say() {
        let (status, html) = html(Page::Consent(question())).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!html.contains("<script"), "{html}");
        for shown in
            ["&lt;script&gt;", "client.example", "back.example", "ticket-1", "value=\"fox\"", "ada", "Settings, Tokens"]
        {
            assert!(html.contains(shown), "{shown}: {html}");
        }
        let checked =
            html.split("<input").filter(|field| field.contains("type=\"radio\"") && field.contains("checked"));
        assert!(checked.map(|field| field.contains("value=\"draw\"")).eq([true]), "{html}");
    }

    #[tokio::test]
    async fn a_wrong_answer_is_told_and_kept() {
        let page =
            ConsentPage { failure: Some("not a slug".into()), role: Role::Viewer, own_computer: true, ..question() };
        let (status, html) = html(Page::Consent(page)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(html.contains("not a slug") && html.contains("a program on this computer"), "{html}");
        let checked =
            html.split("<input").filter(|field| field.contains("type=\"radio\"") && field.contains("checked"));
        assert!(checked.map(|field| field.contains("value=\"look\"")).eq([true]), "{html}");
    }

    #[tokio::test]
    async fn the_way_back_and_the_refusal_are_pages() {
        for problem in [None, Some("<i>no scope</i>".to_owned())] {
            let page = LeavePage {
                to: "https://back.example/cb?a=1&b=%22".into(),
                host: "back.example".into(),
                allowed: problem.is_none(),
                problem: problem.clone(),
            };
            let (_, back) = html(Page::Leave(page)).await;
            assert!(back.contains("href=\"https://back.example/cb?a=1&amp;b=%22\""), "{back}");
            assert_eq!(back.contains("&lt;i&gt;no scope"), problem.is_some(), "{back}");
        }
        let page = RefusalPage { status: StatusCode::FORBIDDEN, message: "<b>no</b>".into() };
        let (status, refused) = html(Page::Refused(page)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(refused.contains("&lt;b&gt;no"), "{refused}");
    }

    #[test]
    fn only_the_way_to_a_question_keeps_its_opener() {
        for (next, kept) in
            [("/oauth/authorize?x=1", true), ("/overview", false), ("", false), ("/oauth/authorized", false)]
        {
            assert_eq!(!beside_opener(next).is_empty(), kept, "{next}");
        }
    }
}
