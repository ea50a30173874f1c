//! `/live`: what a page hears, where it resumes, when it ends.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;

use super::*;

/// One message of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    event: String,
    id: Option<i64>,
    data: Value,
}

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(house: &House, headers: &[(&str, &str)]) -> Self {
        Self::at(house, "/live", headers).await
    }

    async fn at(house: &House, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = house.send(ask(Method::GET, path, headers)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(value(response.headers(), "content-type"), "text/event-stream");
        assert_eq!(value(response.headers(), "x-accel-buffering"), "no");
        assert_eq!(value(response.headers(), "content-encoding"), "", "a compressor would hold events back");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let mut heard = Heard::default();
                for line in message.lines() {
                    match line.split_once(": ") {
                        Some(("event", event)) => heard.event = event.to_owned(),
                        Some(("id", id)) => heard.id = id.parse().ok(),
                        Some(("data", data)) => heard.data = serde_json::from_str(data).unwrap(),
                        _ => {}
                    }
                }
                self.text = rest.to_owned();
                if !heard.event.is_empty() {
                    return Some(heard);
                }
                continue;
            }
            let piece = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
            let piece = piece.expect("something is heard within 10 s")?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn expect(&mut self, event: &str, id: i64) {
        let heard = self.next().await.expect("the stream goes on");
        assert_eq!((heard.event.as_str(), heard.id), (event, Some(id)), "{heard:?}");
        if event == "change" {
            assert_eq!(heard.data["seq"], id);
        }
    }
}

#[tokio::test]
async fn a_new_page_is_greeted_and_then_told_what_changed() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    house.change("before").await;
    let newest = house.hub.events.newest().await.unwrap();
    let mut stream = Stream::open(&house, &[(name, &sent)]).await;
    stream.expect("hello", newest).await;
    house.change("pod").await;
    let heard = stream.next().await.unwrap();
    let expected = serde_json::json!({ "seq": newest + 1, "topic": "services" });
    assert_eq!(heard, Heard { event: "change".into(), id: Some(newest + 1), data: expected });
}

#[tokio::test]
async fn a_page_that_comes_back_hears_exactly_what_it_missed() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    let start = house.hub.events.newest().await.unwrap();
    for n in 0..5 {
        house.change(&format!("pod {n}")).await;
    }
    let id = (start + 2).to_string();
    let mut stream = Stream::open(&house, &[(name, &sent), ("last-event-id", &id)]).await;
    for seq in start + 3..=start + 5 {
        stream.expect("change", seq).await;
    }
    house.change("pod new").await;
    stream.expect("change", start + 6).await;
}

#[tokio::test]
async fn a_page_hears_what_changed_since_it_was_rendered() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    let rendered = house.hub.events.newest().await.unwrap();
    house.change("in between").await;
    house.change("and again").await;
    let path = format!("/live?after={rendered}");
    let mut stream = Stream::at(&house, &path, &[(name, &sent)]).await;
    stream.expect("hello", rendered).await;
    stream.expect("change", rendered + 1).await;
    stream.expect("change", rendered + 2).await;
    // A stream that broke knows more than its page.
    let id = (rendered + 1).to_string();
    let mut stream = Stream::at(&house, &path, &[(name, &sent), ("last-event-id", &id)]).await;
    stream.expect("change", rendered + 2).await;
    // A page of another time, and nonsense.
    for path in [format!("/live?after={}", rendered + 9), "/live?after=-300".into()] {
        let mut stream = Stream::at(&house, &path, &[(name, &sent)]).await;
        stream.expect("hello", rendered + 2).await;
        stream.expect("resync", rendered + 2).await;
    }
    for path in ["/live?after=", "/live?after=x&after=1", "/live?before=1", "/live?"] {
        let mut stream = Stream::at(&house, path, &[(name, &sent)]).await;
        stream.expect("hello", rendered + 2).await;
    }
}

#[tokio::test]
async fn a_page_that_missed_too_much_or_knows_the_future_is_told_to_fetch_everything() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    for n in 0..201 {
        house.change(&format!("pod {n}")).await;
    }
    let newest = house.hub.events.newest().await.unwrap();
    let far = (newest - 201).to_string();
    let future = (newest + 1).to_string();
    for id in [far.as_str(), future.as_str(), "-5", "0"] {
        let mut stream = Stream::open(&house, &[(name, &sent), ("last-event-id", id)]).await;
        stream.expect("resync", newest).await;
    }
    // The edge: as many as are replayed.
    let edge = (newest - 200).to_string();
    let mut stream = Stream::open(&house, &[(name, &sent), ("last-event-id", &edge)]).await;
    stream.expect("change", newest - 199).await;
    // Nonsense is a new page.
    let mut stream = Stream::open(&house, &[(name, &sent), ("last-event-id", "nonsense")]).await;
    stream.expect("hello", newest).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_session_it_was_opened_with() {
    let house = House::new().await;
    let cookie = house.owner().await;
    let auth = &house.hub.auth;
    let mine = auth.by_session(cookie.trim_start_matches("session=")).await.unwrap().unwrap();
    let other = auth.login("ada", PASSWORD, Visitor::default()).await.unwrap();
    let newest = house.hub.events.newest().await.unwrap();

    let mut kept = Stream::open(&house, &[("cookie", &cookie)]).await;
    let mut ended = Stream::open(&house, &[("cookie", &format!("session={}", other.secret))]).await;
    kept.expect("hello", newest).await;
    ended.expect("hello", newest).await;
    auth.revoke_session(&mine, other.caller.session.unwrap()).await.unwrap();
    // The revocation itself may be heard; nothing after it.
    if let Some(heard) = ended.next().await {
        assert_eq!(heard.id, Some(newest + 1));
        assert_eq!(ended.next().await, None);
    }
    kept.expect("change", newest + 1).await;
    house.change("pod").await;
    kept.expect("change", newest + 2).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_with() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    let mut stream = Stream::open(&house, &[(name, &sent)]).await;
    assert_eq!(stream.next().await.unwrap().event, "hello");
    let token = house.hub.auth.tokens(&Caller::cli()).await.unwrap().remove(0);
    house.hub.auth.revoke_token(&Caller::cli(), token.id).await.unwrap();
    while let Some(heard) = stream.next().await {
        assert_eq!(heard.data["topic"], "auth", "nothing after the revocation");
    }
    assert_eq!(house.status(ask(Method::GET, "/live", &[(name, &sent)])).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stream_ends_when_its_credential_expires_although_nothing_changes() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, Some(1)).await);
    let mut stream = Stream::open(&house, &[(name, &sent)]).await;
    assert_eq!(stream.next().await.unwrap().event, "hello");
    house.clock.advance(crate::clock::DAY);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn streams_end_with_the_hub() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Viewer, None).await);
    let mut stream = Stream::open(&house, &[(name, &sent)]).await;
    assert_eq!(stream.next().await.unwrap().event, "hello");
    house.hub.close().await;
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_stream_that_only_the_hub_writes_to_is_no_sign_of_life() {
    let house = House::new().await;
    let (name, token) = bearer(&house.fox().await);
    let mut stream = Stream::open(&house, &[(name, &token)]).await;
    stream.next().await.unwrap();
    let began = house.hub.auth.heard("fox");
    house.clock.advance(5 * 60_000);
    // The hub asks whether the token still holds before it tells of the second one.
    for name in ["one", "two"] {
        house.change(name).await;
        assert_eq!(stream.next().await.unwrap().event, "change");
    }
    assert_eq!(house.hub.auth.heard("fox"), began);
}
