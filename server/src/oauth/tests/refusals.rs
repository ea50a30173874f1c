//! What is refused, and to whom it is told.

use super::*;

#[tokio::test]
async fn until_the_client_is_sure_nothing_is_sent_anywhere() {
    let house = House::new().await;
    let ada = house.ada().await;
    let (impostor, script) = (house.documents.url("impostor.json"), house.documents.url("script.json"));
    let long = format!("{}?{}", house.fox(), "x".repeat(500));
    let cases: &[(Changes<'_>, &str)] = &[
        (&[("client_id", None)], "\"client_id\" is missing"),
        (&[("client_id", Some("fox"))], "is not a URL"),
        (&[("client_id", Some("https://client.example/"))], "must have a path"),
        (&[("client_id", Some("https://10.0.0.1/c"))], "no name of a host"),
        (&[("client_id", Some("https://[::1]/c"))], "no name of a host"),
        (&[("client_id", Some("ftp://localhost/c"))], "is not https"),
        (&[("client_id", Some(&long))], "longer than 500"),
        (&[("client_id", Some(&impostor))], "of another client"),
        (&[("redirect_uri", None)], "\"redirect_uri\" is missing"),
        (&[("redirect_uri", Some("https://evil.example/cb"))], "not in the client's document"),
        (&[("redirect_uri", Some("https://back.example/cb/"))], "not in the client's document"),
        (
            &[("redirect_uri", Some("https://back.example/cb?next=https://evil.example"))],
            "not in the client's document",
        ),
        (&[("redirect_uri", Some("https://back.example.evil.example/cb"))], "not in the client's document"),
        (&[("redirect_uri", Some("https://back.example@evil.example/cb"))], "not in the client's document"),
        (&[("redirect_uri", Some("https://back.example/cb#x"))], "not in the client's document"),
        (&[("redirect_uri", Some("//evil.example/cb"))], "not in the client's document"),
        (&[("redirect_uri", Some("/overview"))], "not in the client's document"),
        (&[("redirect_uri", Some("http://127.0.0.1:5/other"))], "not in the client's document"),
        (&[("redirect_uri", Some("http://localhost:5/callback"))], "not in the client's document"),
        (
            &[("client_id", Some(&script)), ("redirect_uri", Some("javascript:alert(1)"))],
            "not in the client's document",
        ),
    ];
    for (changes, expected) in cases {
        // Also when more is wrong: what is wrong with the rest is not told to an address nobody vouches for.
        for more in [None, Some("token")] {
            let mut changes = changes.to_vec();
            changes.extend(more.map(|more| ("response_type", Some(more))));
            let said = house.ask(&ada, &changes).await.refused(StatusCode::BAD_REQUEST);
            assert!(said.contains(expected), "{changes:?}: {said}");
        }
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", house.asking(&[]));
    let shown = Shown::read(house.send(to_us(Request::get(twice).header("cookie", &ada), Body::empty())).await).await;
    assert!(shown.refused(StatusCode::BAD_REQUEST).contains("\"redirect_uri\" came twice"));
}

#[tokio::test]
async fn a_client_that_is_sure_is_told_what_is_wrong() {
    let house = House::new().await;
    let ada = house.ada().await;
    let cases: &[(Changes<'_>, &str)] = &[
        (&[("response_type", None)], "invalid_request"),
        (&[("response_type", Some("token"))], "unsupported_response_type"),
        (&[("response_type", Some("code token"))], "unsupported_response_type"),
        (&[("response_mode", Some("fragment"))], "invalid_request"),
        (&[("code_challenge", None)], "invalid_request"),
        (&[("code_challenge", Some("short"))], "invalid_request"),
        (&[("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"))], "invalid_request"),
        (&[("code_challenge_method", None)], "invalid_request"),
        (&[("code_challenge_method", Some("plain"))], "invalid_request"),
        (&[("resource", Some("https://evil.example/mcp"))], "invalid_target"),
        (&[("resource", Some("https://hub.example.org/other"))], "invalid_target"),
        (&[("resource", Some("https://hub.example.org"))], "invalid_target"),
        (&[("scope", Some("operator"))], "invalid_scope"),
    ];
    for (changes, expected) in cases {
        let shown = house.ask(&ada, changes).await;
        // Not by itself: nobody has answered, and anybody can have a document.
        assert!(shown.page["problem"].is_string() && !shown.headers.contains_key("refresh"), "{shown:?}");
        let back = shown.back();
        assert_eq!(back["error"], *expected, "{changes:?}");
        assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st&te", HOME), "{changes:?}");
    }
    let back = house.ask(&ada, &[("scope", Some("operator")), ("state", None)]).await.back();
    assert_eq!(back.get("state"), None);
    for changes in [[("resource", None)], [("resource", Some("https://hub.example.org/mcp/"))]] {
        house.ask(&ada, &changes).await.ticket();
    }
}

#[tokio::test]
async fn only_a_person_who_may_make_tokens_lets_anybody_in() {
    let house = House::new().await;
    let (ada, eve) = (house.ada().await, house.person("eve", Role::Viewer).await);
    let said = house.ask(&eve, &[]).await.refused(StatusCode::FORBIDDEN);
    assert!(said.contains("needs the role operator; you are viewer"), "{said}");
    // Not even with somebody's token, which could hand itself on.
    let draft = crate::auth::TokenDraft { name: "op".into(), role: Role::Operator, agent: None, expires_in_days: None };
    let token = house.hub.auth.create_token(&Caller::cli(), draft).await.unwrap().secret;
    let request = Request::get(house.asking(&[])).header("authorization", format!("Bearer {token}"));
    let shown = Shown::read(house.send(to_us(request, Body::empty())).await).await;
    assert!(shown.refused(StatusCode::FORBIDDEN).contains("only a person"));
    // A question is answered by whom it was put to.
    let ticket = house.ask(&ada, &[]).await.ticket();
    let bob = house.person("bob", Role::Operator).await;
    assert!(house.answer(&bob, &ticket, &[]).await.refused(StatusCode::BAD_REQUEST).contains("no longer open"));
    house.answer(&eve, &ticket, &[]).await.refused(StatusCode::FORBIDDEN);
    assert_eq!(house.answer("", &ticket, &[]).await.status, StatusCode::UNAUTHORIZED);
    house.answer(&ada, "nonsense", &[]).await.refused(StatusCode::BAD_REQUEST);
    // And from our own page.
    for origin in ["https://evil.example", "null", "http://hub.example.org.evil.example"] {
        let shown = house.answer_from(&ada, &ticket, &[], origin).await;
        assert_eq!(shown.status, StatusCode::FORBIDDEN, "{origin}");
        assert!(shown.page["message"].as_str().unwrap().contains("another site's page"));
    }
    assert!(house.events("granted").await.is_empty());
    // An operator may, and a question does not stand for ever.
    let late = house.ask(&bob, &[]).await.ticket();
    let code = house.code(&bob, &[]).await;
    assert!(house.works(&house.redeem(&code, &[]).await.pair().access).await);
    house.clock.advance(30 * crate::clock::MINUTE);
    house.answer(&bob, &late, &[]).await.refused(StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_code_is_for_one_client_one_address_one_verifier_and_one_minute() {
    let house = House::new().await;
    let ada = house.ada().await;
    let owl = house.documents.url("owl.json");
    let other = "x".repeat(43);
    let wrong: &[(Changes<'_>, &str)] = &[
        (&[("code_verifier", Some(&other))], "invalid_grant"),
        (&[("code_verifier", Some(CHALLENGE))], "invalid_grant"),
        (&[("client_id", Some(&owl))], "invalid_grant"),
        (&[("redirect_uri", Some("https://evil.example/cb"))], "invalid_grant"),
        (&[("redirect_uri", Some("http://127.0.0.1:5/callback"))], "invalid_grant"),
    ];
    for (changes, expected) in wrong {
        let code = house.code(&ada, &[]).await;
        assert_eq!(house.redeem(&code, changes).await.error().0, *expected, "{changes:?}");
        // Who tries wrongly has seen what is another's: it is dead.
        assert_eq!(house.redeem(&code, &[]).await.error().0, "invalid_grant", "{changes:?}");
    }
    // What is no request does not cost the code.
    let code = house.code(&ada, &[]).await;
    let no_request: &[(Changes<'_>, &str)] = &[
        (&[("code_verifier", None)], "invalid_request"),
        (&[("client_id", None)], "invalid_request"),
        (&[("grant_type", None)], "invalid_request"),
        (&[("code", None)], "invalid_request"),
        (&[("code", Some("nonsense"))], "invalid_grant"),
        (&[("grant_type", Some("client_credentials"))], "unsupported_grant_type"),
        (&[("grant_type", Some("password"))], "unsupported_grant_type"),
        (&[("resource", Some("https://evil.example/mcp"))], "invalid_target"),
    ];
    for (changes, expected) in no_request {
        assert_eq!(house.redeem(&code, changes).await.error().0, *expected, "{changes:?}");
    }
    house.clock.advance(59_999);
    house.redeem(&code, &[("redirect_uri", None), ("resource", None)]).await.pair();
    let late = house.code(&ada, &[]).await;
    house.clock.advance(60_000);
    assert_eq!(house.redeem(&late, &[]).await.error().0, "invalid_grant");
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_it_became() {
    let house = House::new().await;
    let ada = house.ada().await;
    let code = house.code(&ada, &[]).await;
    let pair = house.redeem(&code, &[]).await.pair();
    assert!(house.works(&pair.access).await);
    house.clock.advance(5 * crate::clock::MINUTE);
    assert_eq!(house.redeem(&code, &[]).await.error().0, "invalid_grant");
    assert!(!house.works(&pair.access).await);
    assert_eq!(house.refresh(&pair.refresh, &[]).await.error().0, "invalid_grant");
    assert_eq!(house.events("reused").await.len(), 1);
    assert_eq!(house.redeem(&code, &[]).await.error().0, "invalid_grant");

    // At the same moment: whoever comes first, in the end nobody has anything.
    for _ in 0..5 {
        let code = house.code(&ada, &[]).await;
        let both = tokio::join!(house.redeem(&code, &[]), house.redeem(&code, &[]));
        for told in [both.0, both.1] {
            if told.status == StatusCode::OK {
                assert!(!house.works(&told.pair().access).await);
            }
        }
        assert!(house.hub.auth.tokens(&Caller::cli()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_no_form_or_too_much_is_refused() {
    let house = House::new().await;
    house.ada().await;
    let send = async |kind: &'static str, body: String| {
        let request = Request::post("/oauth/token").header("content-type", kind);
        Told::read(house.send(to_us(request, body.into())).await).await
    };
    let kind = "application/x-www-form-urlencoded";
    let cases = [
        ("application/json", "{}".to_owned(), "send a form"),
        ("", String::new(), "send a form"),
        (kind, String::new(), "\"client_id\" is missing"),
        (kind, "client_id=a&client_id=b".into(), "\"client_id\" came twice"),
        (kind, format!("client_id={}", "x".repeat(20 << 10)), "over 16 KiB"),
    ];
    for (kind, body, expected) in cases {
        let told = send(kind, body).await;
        assert!(told.error().1.contains(expected), "{told:?}");
        assert_eq!(told.error().0, "invalid_request");
    }
    assert_eq!(
        house.send(to_us(Request::get("/oauth/token"), Body::empty())).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    let mut told = send(kind, "client_id=a".into()).await;
    for _ in 0..60 {
        told = send(kind, "client_id=a".into()).await;
    }
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(value(&told.headers, "retry-after"), "2");
    assert_eq!(value(&told.headers, "access-control-allow-origin"), "*");
    house.clock.advance(2_000);
    assert_eq!(send(kind, "client_id=a".into()).await.status, StatusCode::BAD_REQUEST);
}
