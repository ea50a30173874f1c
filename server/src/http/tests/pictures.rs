//! Uploads, and how stored pictures are served.

use super::*;

/// Uploads `bytes` by a token of `role`.
async fn upload(house: &House, role: Role, bytes: Vec<u8>) -> Response {
    let (name, sent) = bearer(&house.token(role, None).await);
    house.send(ask_with(Method::POST, "/uploads", &[(name, &sent)], bytes)).await
}

async fn uploaded(house: &House, bytes: Vec<u8>) -> String {
    let response = upload(house, Role::Agent, bytes).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = serde_json::from_slice(&body(response).await).unwrap();
    assert_eq!((&answer["width"], &answer["height"]), (&64.into(), &48.into()));
    answer["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_picture_is_served_with_its_own_type_cached_for_ever_and_inert() {
    let house = House::new().await;
    let (png, (name, sent)) = (png(1), bearer(&house.token(Role::Viewer, None).await));
    let sha256 = uploaded(&house, png.clone()).await;
    let path = format!("/pictures/{sha256}");

    assert_eq!(house.status(ask(Method::GET, &path, &[])).await, StatusCode::UNAUTHORIZED);
    let response = house.send(ask(Method::GET, &path, &[(name, &sent)])).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    let expected = [
        ("content-type", "image/png"),
        ("content-length", &png.len().to_string()),
        ("content-disposition", "inline"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, max-age=31536000, immutable"),
        ("cross-origin-resource-policy", "same-origin"),
        ("etag", &format!("\"{sha256}\"")),
    ];
    for (header, expected) in expected {
        assert_eq!(value(&headers, header), expected, "{header}");
    }
    assert_eq!(body(response).await, png);

    let etag = value(&headers, "etag");
    let again = house.send(ask(Method::GET, &path, &[(name, &sent), ("if-none-match", etag)])).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(value(again.headers(), "etag"), etag);
    assert!(body(again).await.is_empty());
    let other = house.send(ask(Method::GET, &path, &[(name, &sent), ("if-none-match", "\"other\"")])).await;
    assert_eq!(other.status(), StatusCode::OK);

    let saved = house.send(ask(Method::GET, &format!("{path}?download=1"), &[(name, &sent)])).await;
    let expected = format!("attachment; filename=\"central-mcp-{}.png\"", &sha256[..12]);
    assert_eq!(value(saved.headers(), "content-disposition"), expected);
}

#[tokio::test]
async fn a_name_that_is_no_hash_reaches_no_file() {
    let house = House::new().await;
    let (name, sent) = bearer(&house.token(Role::Owner.min(Role::Operator), None).await);
    let names = [
        "0".repeat(64),
        "F".repeat(64),
        "..%2F..%2Fsecret.key".to_owned(),
        "%2Fetc%2Fpasswd".to_owned(),
        "partial".to_owned(),
        "x".to_owned(),
        "%00".to_owned(),
        "é".repeat(32).replace('é', "%C3%A9"),
    ];
    for picture in names {
        let response = house.send(ask(Method::GET, &format!("/pictures/{picture}"), &[(name, &sent)])).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{picture}");
    }
    for image in ["x", "0198c0de-0000-7000-8000-000000000000"] {
        let response = house.send(ask(Method::GET, &format!("/images/{image}/preview"), &[(name, &sent)])).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{image}");
    }
}

#[tokio::test]
async fn only_whole_pictures_are_taken_and_only_from_those_who_may_draw() {
    let house = House::new().await;
    let whole = png(2);
    assert_eq!(upload(&house, Role::Viewer, whole.clone()).await.status(), StatusCode::FORBIDDEN);
    let wrong = [
        Vec::new(),
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec(),
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec(),
        whole[..whole.len() / 2].to_vec(),
    ];
    for bytes in wrong {
        let response = upload(&house, Role::Agent, bytes.clone()).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{}", String::from_utf8_lossy(&bytes));
    }
    // The same picture twice is one.
    assert_eq!(uploaded(&house, whole.clone()).await, uploaded(&house, whole).await);
}
