//! Which drafts are taken.

use super::*;

#[tokio::test]
async fn each_wrong_field_of_a_draft_is_named_in_the_refusal() {
    type Change = fn(&mut ServiceDraft);
    let auth = |auth: ServiceAuth| Some(auth);
    let cases: Vec<(&str, Change)> = vec![
        ("name must be 1 to 60", |d| d.name = String::new()),
        ("name must be 1 to 60", |d| d.name = " pod".into()),
        ("name must be 1 to 60", |d| d.name = "x".repeat(61)),
        ("name must be 1 to 60", |d| d.name = "two\nlines".into()),
        ("built-in renderer", |d| d.name = "sketch".into()),
        ("price per hour", |d| d.price_per_hour = MicroUsd(-1)),
        ("price per hour", |d| d.price_per_hour = MicroUsd(1_000_000_001)),
        ("is not an address", |d| d.base_url = String::new()),
        ("is not an address", |d| d.base_url = "127.0.0.1:8188".into()),
        ("http:// or https://", |d| d.base_url = "ftp://pod.example".into()),
        ("http:// or https://", |d| d.base_url = "file:///etc/passwd".into()),
        ("http:// or https://", |d| d.base_url = "javascript:alert(1)".into()),
        ("into the authentication", |d| d.base_url = "http://me:secret@pod.example".into()),
        ("before any ? or #", |d| d.base_url = "http://pod.example/?token=secret".into()),
        ("before any ? or #", |d| d.base_url = "http://pod.example/#x".into()),
        ("bearer token", |d| d.auth = Some(ServiceAuth::Bearer { token: String::new() })),
        ("bearer token", |d| d.auth = Some(ServiceAuth::Bearer { token: "a\r\nHost: evil".into() })),
        ("user and password", |d| d.auth = Some(ServiceAuth::Basic { user: "a:b".into(), password: "c".into() })),
        ("user and password", |d| d.auth = Some(ServiceAuth::Basic { user: "a".into(), password: String::new() })),
        ("1 to 16 headers", |d| d.auth = Some(ServiceAuth::Headers { headers: Vec::new() })),
        ("1 to 16 headers", |d| d.auth = Some(ServiceAuth::Headers { headers: vec![("a".into(), "b".into()); 17] })),
        ("not a header name", |d| d.auth = Some(ServiceAuth::Headers { headers: vec![("a b".into(), "c".into())] })),
        ("not a header name", |d| d.auth = Some(ServiceAuth::Headers { headers: vec![("a".into(), "c\n".into())] })),
        ("connection's own", |d| d.auth = Some(ServiceAuth::Headers { headers: vec![("Host".into(), "evil".into())] })),
    ];
    let house = House::new().await;
    for (expected, change) in cases {
        let mut wrong = draft("pod", "http://127.0.0.1:8188");
        change(&mut wrong);
        for refusal in [
            refused(house.services.add(&Caller::cli(), wrong.clone()).await),
            refused(house.services.test(&Caller::cli(), wrong.clone(), None).await),
        ] {
            assert_eq!(refusal.kind, FailureKind::Invalid);
            assert!(refusal.message.contains(expected), "expected \"{expected}\", got \"{}\"", refusal.message);
            assert!(!refusal.message.contains("secret"), "{}", refusal.message);
        }
    }
    assert!(house.kinds().await.is_empty());
    // The same draft, unchanged and with every kind of credential, is taken.
    let kinds = [
        auth(ServiceAuth::None),
        auth(ServiceAuth::Bearer { token: "t".into() }),
        auth(ServiceAuth::Basic { user: "u".into(), password: "p:q".into() }),
        auth(ServiceAuth::Headers { headers: vec![("CF-Access-Client-Id".into(), "x".into())] }),
    ];
    for (n, auth) in kinds.into_iter().enumerate() {
        house.added(ServiceDraft { auth, ..draft(&format!("pod {n}"), "https://pod.example:8443/comfy") }).await;
    }
}

#[test]
fn dollars_are_read_exactly() {
    let cases =
        [("0", 0), ("0.59", 590_000), ("$2", 2_000_000), (" 1.000001 ", 1_000_001), (".5", 500_000), ("3.", 3_000_000)];
    for (text, micro) in cases {
        assert_eq!(MicroUsd::parse_dollars(text), Ok(MicroUsd(micro)), "{text}");
    }
    for text in ["", "$", ".", "-1", "1e3", "0.0000001", "1,5", "1234567", "٣", "NaN"] {
        assert!(MicroUsd::parse_dollars(text).is_err(), "{text}");
    }
}
