//! What a document may be, and where it may come from.

use super::*;
use crate::clock::Stopwatch;

#[tokio::test]
async fn a_document_that_is_none_is_told_and_not_waited_for() {
    let house = House::new().await;
    let ada = house.ada().await;
    let watch = Stopwatch::start();
    for (name, status, expected) in [
        ("secret.json", 400, "does not know"),
        ("broken.json", 400, "not JSON of the right form"),
        ("none.json", 502, "status 404"),
        ("moved.json", 502, "status 307"),
        ("page.json", 502, "did not answer with JSON"),
        ("wall.json", 502, "status 403"),
        ("large.json", 502, "over 64 KiB"),
        ("endless.json", 502, "over 64 KiB"),
        ("slow.json", 502, "took too long"),
        ("dripping.json", 502, "took too long"),
    ] {
        let url = house.documents.url(name);
        let said = house.ask(&ada, &[("client_id", Some(&url))]).await;
        let said = said.refused(StatusCode::from_u16(status).unwrap());
        assert!(said.contains(expected), "{name}: {said}");
    }
    assert!(watch.elapsed() < Duration::from_secs(30));
    // The turns that slow ones took are given back.
    house.ask(&ada, &[]).await.ticket();
}

#[tokio::test]
async fn a_name_that_plays_tricks_is_shown_plainly() {
    let house = House::new().await;
    let ada = house.ada().await;
    let url = house.documents.url("evil-name.json");
    let shown = house.ask(&ada, &[("client_id", Some(&url))]).await;
    let name = shown.page["client"].as_str().unwrap();
    assert!(name.starts_with("<script>evil </script>xxx") && name.chars().count() == 60, "{name}");
    assert_eq!(shown.page["agent"], "script-evil-script-xxxxxxxxxxxxx");
    // Also as the name of a token.
    let back = house.answer(&ada, &shown.ticket(), &[]).await.back();
    house.redeem(&back["code"], &[("client_id", Some(&url))]).await.pair();
    let tokens = house.hub.auth.tokens(&Caller::cli()).await.unwrap();
    assert!(tokens[0].name.contains("(localhost:"), "the host is not cut off: {}", tokens[0].name);
}

#[tokio::test]
async fn nothing_is_fetched_from_inside() {
    // As in every release: without the tests' own leave.
    let house = House::with(Some).await;
    let ada = house.ada().await;
    for (url, expected) in [
        ("https://localhost/client.json", "no address on the public internet"),
        ("https://x.localhost/client.json", ""),
        ("https://localhost:8443/client.json", "has a port"),
        ("http://localhost/client.json", "is not https"),
        ("https://127.0.0.1/client.json", "no name of a host"),
        ("https://0x7f000001/client.json", "is not written as a browser"),
        ("https://169.254.169.254/latest/meta-data", "no name of a host"),
        ("https://[fd00::1]/client.json", "no name of a host"),
    ] {
        let shown = house.ask(&ada, &[("client_id", Some(url))]).await;
        assert_eq!(shown.page["page"], "refused", "{url}");
        assert!(shown.page["message"].as_str().unwrap().contains(expected), "{url}: {shown:?}");
    }
}
