//! Who may come in, under which name, from which page, with how much.

use super::*;

const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

#[tokio::test]
async fn a_stranger_sees_the_public_doors_and_nothing_else() {
    let house = House::new().await;
    for path in ["/", "/healthz", "/readyz"] {
        assert_eq!(house.status(ask(Method::GET, path, &[])).await, StatusCode::OK, "{path}");
    }
    // Whether there is such a path is nobody's business either.
    let closed =
        ["/overview", "/live", "/pictures/00", "/images/x/preview", "/nonsense", "/healthz/", "//", "/api/write"];
    for path in closed {
        let response = house.send(ask(Method::GET, path, &[])).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(value(response.headers(), "www-authenticate").starts_with("Bearer"), "{path}");
        assert!(failure(response).await.message.contains("sign in first"), "{path}");
    }
    for path in ["/api/write", "/uploads", "/nonsense", "/live"] {
        assert_eq!(house.status(ask(Method::POST, path, &[])).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    // A public file that is not there is an honest 404.
    assert_eq!(house.status(ask(Method::GET, "/pkg/none.css", &[])).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_browser_is_led_to_the_door_and_back() {
    let house = House::new().await;
    let response = house.send(ask(Method::GET, "/overview", &[HTML])).await;
    assert_eq!((response.status(), value(response.headers(), "location")), (StatusCode::SEE_OTHER, "/setup"));
    let cookie = house.owner().await;
    let response = house.send(ask(Method::GET, "/overview?page=2&x=/a", &[HTML])).await;
    assert_eq!(value(response.headers(), "location"), "/login?next=%2Foverview%3Fpage%3D2%26x%3D%2Fa");
    // A form that a stranger posts is not led anywhere.
    assert_eq!(house.status(ask(Method::POST, "/api/write", &[HTML])).await, StatusCode::UNAUTHORIZED);
    assert_eq!(house.status(ask(Method::GET, "/overview", &[HTML, ("cookie", &cookie)])).await, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_told_so_even_at_a_public_door() {
    let house = House::new().await;
    let good = house.token(Role::Viewer, Some(1)).await;
    let (name, sent) = bearer(&good);
    assert_eq!(house.status(ask(Method::GET, "/overview", &[(name, &sent)])).await, StatusCode::OK);
    for wrong in ["Bearer ", "Bearer nonsense", "Basic YTpi", "cmcp", "", &format!("{sent}0"), &sent[..sent.len() - 1]]
    {
        for path in ["/", "/overview", "/healthz"] {
            let response = house.send(ask(Method::GET, path, &[("authorization", wrong), HTML])).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{wrong} {path}");
            assert!(failure(response).await.message.contains("unknown, expired or revoked"));
        }
    }
    // A valid cookie does not lend its rights to a wrong token.
    let cookie = house.owner().await;
    let both = [("authorization", "Bearer nonsense"), ("cookie", cookie.as_str())];
    assert_eq!(house.status(ask(Method::GET, "/overview", &both)).await, StatusCode::UNAUTHORIZED);
    house.clock.advance(25 * crate::clock::HOUR);
    assert_eq!(house.status(ask(Method::GET, "/overview", &[(name, &sent)])).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_session_cookie_is_taken_only_under_its_own_name() {
    let plain = House::new().await;
    let cookie = plain.owner().await;
    let beside = format!("theme=dark; {cookie}; other=1");
    assert_eq!(plain.status(ask(Method::GET, "/overview", &[("cookie", &beside)])).await, StatusCode::OK);
    let host = cookie.replace("session=", "__Host-session=");
    assert_eq!(plain.status(ask(Method::GET, "/overview", &[("cookie", &host)])).await, StatusCode::UNAUTHORIZED);

    let secure = House::open(Some("https://hub.example.org")).await;
    let cookie = secure.owner().await;
    // On https a cookie without the prefix may have been planted by another host of the domain.
    assert_eq!(secure.status(ask(Method::GET, "/overview", &[("cookie", &cookie)])).await, StatusCode::UNAUTHORIZED);
    let host = cookie.replace("session=", "__Host-session=");
    assert_eq!(secure.status(ask(Method::GET, "/overview", &[("cookie", &host)])).await, StatusCode::OK);
}

#[tokio::test]
async fn a_foreign_name_is_refused_before_anything_else() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Operator, None).await);
    for host in ["evil.example", "evil.example:3000", "localhost.evil.example", "hub.example.org"] {
        for path in ["/", "/healthz", "/overview"] {
            let response = house.send(ask(Method::GET, path, &[("host", host), (name, &sent)])).await;
            assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
            assert!(failure(response).await.message.contains(host));
        }
    }
    let mut nameless = ask(Method::GET, "/", &[]);
    nameless.headers_mut().remove(header::HOST);
    assert_eq!(house.status(nameless).await, StatusCode::MISDIRECTED_REQUEST);
    let ours = House::open(Some("https://hub.example.org")).await;
    for host in ["hub.example.org", "API.hub.example.org", "127.0.0.1:3000"] {
        assert_eq!(ours.status(ask(Method::GET, "/", &[("host", host)])).await, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_write_with_our_cookie() {
    let house = House::new().await;
    let (cookie, (name, sent)) = (house.owner().await, bearer(&house.token(Role::Operator, None).await));
    let cookie = ("cookie", cookie.as_str());
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "http://localhost:4000"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for header in foreign {
        for path in ["/api/write", "/uploads", "/nonsense"] {
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert_eq!(
                    house.status(ask(method, path, &[cookie, header])).await,
                    StatusCode::FORBIDDEN,
                    "{header:?}"
                );
            }
        }
        // Reading is left to the browser's own rule: the answer cannot be read there.
        assert_eq!(house.status(ask(Method::GET, "/overview", &[cookie, header])).await, StatusCode::OK);
        // A token is sent on purpose, never by a browser by itself.
        assert_eq!(house.status(ask(Method::POST, "/api/write", &[header, (name, &sent)])).await, StatusCode::OK);
    }
    let own = [cookie, ("origin", "http://localhost:3000"), ("sec-fetch-site", "same-origin")];
    assert_eq!(house.status(ask(Method::POST, "/api/write", &own)).await, StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_two_megabytes_is_refused_except_as_an_upload() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Operator, None).await);
    let send = |path, size: usize, announced: bool| {
        let body = if announced {
            Body::from(vec![b'x'; size])
        } else {
            let pieces = (0..size >> 16).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1 << 16])));
            Body::from_stream(futures_util::stream::iter(pieces))
        };
        let length = size.to_string();
        let mut headers = vec![(name, sent.as_str())];
        if announced {
            headers.push(("content-length", length.as_str()));
        }
        house.send(ask_with(Method::POST, path, &headers, body))
    };
    assert_eq!(send("/api/write", 2 << 20, true).await.status(), StatusCode::OK);
    for announced in [true, false] {
        for (path, size) in [("/api/write", 5 << 20), ("/uploads", 41 << 20)] {
            let response = send(path, size, announced).await;
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path} {announced}");
            assert!(failure(response).await.message.contains("at most 2 MiB"), "{path} {announced}");
        }
    }
    // Between the two limits the room itself answers, and says why.
    let response = send("/uploads", 33 << 20, true).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(failure(response).await.message.contains("use at most 32 MiB"));
}

#[tokio::test]
async fn a_wrong_method_is_told_in_words_and_which_are_right() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Operator, None).await);
    let response = house.send(ask(Method::GET, "/api/write", &[(name, &sent)])).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(value(response.headers(), "allow"), "POST");
    assert_eq!(value(response.headers(), "content-type"), "application/json");
    assert!(failure(response).await.message.contains("method"));
}

#[tokio::test]
async fn who_waits_too_long_is_told_in_words() {
    // From there on nothing happens but that time passes.
    let slow = async || {
        tokio::time::pause();
        std::future::pending::<()>().await
    };
    let slow = Router::new().route("/api/slow", get(slow));
    let house = House::with(None, slow).await;
    let (name, sent) = bearer(&house.token(Role::Operator, None).await);
    let response = house.send(ask(Method::GET, "/api/slow", &[(name, &sent)])).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(failure(response).await.message.contains("not ready within 90 s"));
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_it() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Operator, None).await);
    let answers = [
        (ask(Method::GET, "/", &[]), StatusCode::OK),
        (ask(Method::GET, "/overview", &[]), StatusCode::UNAUTHORIZED),
        (ask(Method::GET, "/", &[("host", "evil.example")]), StatusCode::MISDIRECTED_REQUEST),
        (ask(Method::GET, "/nonsense", &[(name, &sent)]), StatusCode::NOT_FOUND),
        (ask(Method::POST, "/api/panic", &[(name, &sent)]), StatusCode::INTERNAL_SERVER_ERROR),
    ];
    for (request, status) in answers {
        let path = request.uri().path().to_owned();
        let response = house.send(request).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(value(response.headers(), "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(value(response.headers(), "x-frame-options"), "DENY", "{path}");
        assert!(value(response.headers(), "content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert!(!value(response.headers(), "x-request-id").is_empty(), "{path}");
        let text = body(response).await;
        assert!(!String::from_utf8_lossy(&text).contains("secret cause"), "{path}");
    }
}

#[tokio::test]
async fn a_hub_that_ends_is_alive_but_not_ready() {
    let house = House::new().await;
    let response = house.send(ask(Method::GET, "/readyz", &[])).await;
    assert_eq!((response.status(), body(response).await.as_ref()), (StatusCode::OK, b"ready\n".as_slice()));
    house.hub.stop.cancel();
    assert_eq!(house.status(ask(Method::GET, "/healthz", &[])).await, StatusCode::OK);
    assert_eq!(house.status(ask(Method::GET, "/readyz", &[])).await, StatusCode::SERVICE_UNAVAILABLE);

    let other = House::new().await;
    other.hub.db.close().await;
    assert_eq!(other.status(ask(Method::GET, "/healthz", &[])).await, StatusCode::OK);
    assert_eq!(other.status(ask(Method::GET, "/readyz", &[])).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn every_request_with_an_agents_token_is_heard_of_it() {
    let house = House::new().await;
    let (token, auth) = (house.fox().await, house.hub.auth.clone());
    assert_eq!(auth.heard("fox").call, None);
    // A heartbeat of a script is the cheapest of all requests; those to pages and server functions count alike.
    for (method, path) in [(Method::GET, "/healthz"), (Method::GET, "/overview"), (Method::POST, "/api/write")] {
        house.clock.advance(1_000);
        let (name, value) = bearer(&token);
        assert_eq!(house.status(ask(method, path, &[(name, &value)])).await, StatusCode::OK, "{path}");
        assert_eq!(auth.heard("fox").call, Some(house.clock.now()), "{path}");
    }
    let before = auth.heard("fox");
    house.clock.advance(1_000);
    house.status(ask(Method::GET, "/healthz", &[])).await;
    house.status(ask(Method::GET, "/healthz", &[("authorization", "Bearer cmcp_wrong")])).await;
    assert_eq!(auth.heard("fox"), before, "a stranger is not it");
}
