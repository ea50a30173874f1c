//! Who a client is: its id, the document behind it, and where answers may go. Pure.

use serde::Deserialize;
use url::{Host, Url};

use crate::error::Failure;

/// A client as its document describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The URL of its document.
    pub(super) id: String,
    /// What it calls itself, fit to be shown: one line of at most 60 characters. Untrusted.
    pub(super) name: String,
    /// The host of its document, which vouches for it.
    pub(super) host: String,
    redirect_uris: Vec<String>,
}

/// The document (draft-ietf-oauth-client-id-metadata-document §4; names of RFC 7591 §2). What is not named here is not used:
/// pictures and links of strangers are neither fetched nor shown.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    /// What ChatGPT adds, because it can do without a secret where the server wants none.
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    client_secret: Option<serde_json::Value>,
}

/// Clients whose document is behind a wall for programs: claude.ai answers data centres with a challenge for browsers (403,
/// "cf-mitigated: challenge", seen 2026-09). These are its own words from 2026-09-29, used only while it does not give them.
const KNOWN: [(&str, &str, &[&str]); 2] = [
    ("https://claude.ai/oauth/mcp-oauth-client-metadata", "Claude", &["https://claude.ai/api/mcp/auth_callback"]),
    (
        "https://claude.ai/oauth/claude-code-client-metadata",
        "Claude Code",
        &["http://localhost/callback", "http://127.0.0.1/callback"],
    ),
];

/// The client with this id, if the hub knows its document by heart.
pub(super) fn known(id: &Url) -> Option<Client> {
    let (id, name, redirect_uris) = KNOWN.into_iter().find(|(known, ..)| *known == id.as_str())?;
    let redirect_uris = redirect_uris.iter().map(|&uri| uri.to_owned()).collect();
    Some(Client { id: id.into(), name: name.into(), host: "claude.ai".into(), redirect_uris })
}

/// The URL that a client says it is: https, a name and not a number, the usual port, a path, and written in one way only.
/// `loopback` also lets http and other ports pass, for tests.
pub(super) fn client_id(text: &str, loopback: bool) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        Failure::invalid(format!(
            "client_id \"{shown}\" {why}. Clients are known here by the https address of their metadata document"
        ))
    };
    let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
    if text.len() > 500 {
        return Err(wrong("is longer than 500 characters"));
    }
    if url.as_str() != text {
        return Err(wrong("is not written as a browser would write it"));
    }
    if !matches!((url.scheme(), loopback), ("https", _) | ("http", true)) {
        return Err(wrong("is not https"));
    }
    if !matches!(url.host(), Some(Host::Domain(_))) {
        return Err(wrong("has no name of a host"));
    }
    if url.port().is_some() && !loopback {
        return Err(wrong("has a port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user in it"));
    }
    if url.path() == "/" || url.fragment().is_some() {
        return Err(wrong("must have a path, and no fragment"));
    }
    Ok(url)
}

/// The client whose id is `id` from the bytes of its document.
pub(super) fn document(id: &Url, bytes: &[u8]) -> Result<Client, Failure> {
    let wrong = |why: &str| Failure::invalid(format!("the client's document {id} {why}; tell its makers"));
    let document: Document = serde_json::from_slice(bytes).map_err(|_| wrong("is not JSON of the right form"))?;
    if document.client_id != id.as_str() {
        return Err(wrong("is of another client: its client_id is not its own address"));
    }
    if document.client_secret.is_some() {
        return Err(wrong("has a secret in it, which is none then"));
    }
    // RFC 7591: absent would mean a shared secret, but the draft knows none, so it means a public client here.
    let method = document.token_endpoint_auth_method.as_deref().unwrap_or("none");
    let more = document.token_endpoint_auth_methods_supported.unwrap_or_default();
    if method != "none" && !more.iter().any(|method| method == "none") {
        return Err(wrong("asks for a way to prove itself that this hub does not know; it knows \"none\""));
    }
    let lacks =
        |list: &Option<Vec<String>>, word: &str| list.as_ref().is_some_and(|list| !list.iter().any(|it| it == word));
    if lacks(&document.grant_types, "authorization_code") || lacks(&document.response_types, "code") {
        return Err(wrong("does not ask for authorization codes"));
    }
    if document.redirect_uris.is_empty() || document.redirect_uris.len() > 50 {
        return Err(wrong("must have 1 to 50 redirect_uris"));
    }
    let host = host(id);
    let name = document.client_name.as_deref().map(shown).filter(|name| !name.is_empty());
    Ok(Client {
        id: document.client_id,
        name: name.unwrap_or_else(|| host.clone()),
        host,
        redirect_uris: document.redirect_uris,
    })
}

/// A stranger's words, fit to be shown: no control characters, and none that turn the direction of what follows.
fn shown(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let text: String = text.chars().filter(|c| !c.is_control() && !turns(*c)).take(60).collect();
    text.trim().to_owned()
}

impl Client {
    /// Where the answer goes: an address that stands in the document, letter by letter. Only the port of a program on the
    /// person's own computer may be another (RFC 8252 §7.3).
    pub(super) fn redirect(&self, asked: &str) -> Result<Url, Failure> {
        let unlisted = || {
            let message = "the address to go back to is not in the client's document; nothing was sent there. \
                If you did not start this yourself, close this page";
            Failure::invalid(message)
        };
        let url = Url::parse(asked).map_err(|_| unlisted())?;
        let listed = self.redirect_uris.iter().any(|it| it == asked || same_but_port(it, &url));
        if !listed || !may_be_left_to(&url) {
            return Err(unlisted());
        }
        Ok(url)
    }
}

/// Whether both lead to the same page of this computer, at whatever port.
fn same_but_port(listed: &str, asked: &Url) -> bool {
    let Ok(mut listed) = Url::parse(listed) else { return false };
    if !own_computer(&listed) || !own_computer(asked) {
        return false;
    }
    let mut asked = asked.clone();
    listed.set_port(None).is_ok() && asked.set_port(None).is_ok() && listed == asked
}

/// Whether `url` leads to a program on the person's own computer.
pub(super) fn own_computer(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

/// Not over the open network in clear, and to nothing that a browser runs or opens itself. Other schemes are programs.
fn may_be_left_to(url: &Url) -> bool {
    let inside = [
        "http",
        "javascript",
        "data",
        "vbscript",
        "file",
        "blob",
        "filesystem",
        "about",
        "view-source",
        "ws",
        "wss",
        "ftp",
        "mailto",
    ];
    url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && (own_computer(url) || !inside.contains(&url.scheme()))
        && (url.scheme() != "https" || url.has_host())
}

/// The host of `url` with its port, or the scheme of one that has none.
pub(super) fn host(url: &Url) -> String {
    match (url.host_str().filter(|host| !host.is_empty()), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) if matches!(url.scheme(), "http" | "https") => host.to_owned(),
        _ => format!("{}:", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "https://client.example/oauth/client.json";

    #[test]
    fn a_client_is_an_https_address_with_a_path() {
        for good in [ID, "https://client.example/c", "https://client.example/c?v=1", "https://xn--bcher-kva.example/c"]
        {
            assert_eq!(client_id(good, false).expect(good).as_str(), good);
        }
        for bad in [
            "",
            "client",
            "cmcp_client",
            "https://client.example",
            "https://client.example/",
            "http://client.example/c",
            "HTTPS://client.example/c",
            "https://CLIENT.example/c",
            "https://client.example:443/c",
            "https://client.example:8443/c",
            "https://client.example/a/../c",
            "https://client.example/./c",
            "https://client.example/c#x",
            "https://user@client.example/c",
            "https://user:word@client.example/c",
            "https://client.example\\c",
            "https://127.0.0.1/c",
            "https://0x7f.1/c",
            "https://2130706433/c",
            "https://[::1]/c",
            "https://[::ffff:10.0.0.1]/c",
            "https://169.254.169.254/latest",
            "ftp://client.example/c",
            "file:///etc/passwd",
            "javascript:alert(1)",
            &format!("https://client.example/{}", "c".repeat(500)),
        ] {
            assert!(client_id(bad, false).is_err(), "{bad}");
        }
        assert!(client_id("http://localhost:4000/c", true).is_ok());
        assert!(client_id("http://127.0.0.1:4000/c", true).is_err());
    }

    fn about(more: Value) -> Vec<u8> {
        let mut all = json!({ "client_id": ID, "client_name": "Fox", "redirect_uris": ["https://client.example/cb"] });
        for (key, value) in more.as_object().expect("an object") {
            all[key] = value.clone();
        }
        all.to_string().into_bytes()
    }

    #[test]
    fn a_document_says_who_the_client_is() {
        let id = Url::parse(ID).expect("a URL");
        let named = |more| document(&id, &about(more)).expect("a client").name;
        assert_eq!(named(json!({})), "Fox");
        assert_eq!(named(json!({ "client_name": null })), "client.example");
        assert_eq!(named(json!({ "client_name": " \u{202e}\n\u{7} " })), "client.example");
        assert_eq!(named(json!({ "client_name": "a\u{202e}b\nc" })), "ab c");
        assert_eq!(named(json!({ "client_name": "x".repeat(99) })).len(), 60);
        for good in [
            json!({ "token_endpoint_auth_method": "none", "response_types": ["code"], "scope": "x" }),
            json!({ "grant_types": ["refresh_token", "authorization_code"], "logo_uri": "http://10.0.0.1/x" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt",
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"] }),
        ] {
            assert!(document(&id, &about(good.clone())).is_ok(), "{good}");
        }
        for bad in [
            json!({ "client_id": "https://client.example/other" }),
            json!({ "client_id": "https://client.example/oauth/client.json/" }),
            json!({ "client_id": 7 }),
            json!({ "client_id": null }),
            json!({ "redirect_uris": [] }),
            json!({ "redirect_uris": null }),
            json!({ "redirect_uris": "https://client.example/cb" }),
            json!({ "redirect_uris": vec!["https://client.example/cb"; 51] }),
            json!({ "client_secret": "x" }),
            json!({ "token_endpoint_auth_method": "client_secret_basic" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            json!({ "grant_types": ["client_credentials"] }),
            json!({ "response_types": ["token"] }),
        ] {
            assert!(document(&id, &about(bad.clone())).is_err(), "{bad}");
        }
        for bad in ["", "[]", "null", "<html>", "{}", "{\"client_id\""] {
            assert!(document(&id, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_goes_only_where_the_document_says() {
        let id = Url::parse(ID).expect("a URL");
        let client = |uris: &[&str]| document(&id, &about(json!({ "redirect_uris": uris }))).expect("a client");
        let listed = client(&[
            "https://client.example/cb",
            "http://127.0.0.1/callback",
            "http://localhost:1234/callback?x=1",
            "http://[::1]/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/cb",
        ]);
        for good in [
            "https://client.example/cb",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:53999/callback",
            "http://localhost:53999/callback?x=1",
            "http://[::1]:7/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/cb",
        ] {
            assert!(listed.redirect(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "https://client.example/cb/",
            "https://client.example/cb?x=1",
            "https://client.example/cb#x",
            "https://client.example/CB",
            "https://client.example/a/../cb",
            "https://CLIENT.example/cb",
            "https://client.example:8443/cb",
            "https://client.example.evil.example/cb",
            "https://client.example@evil.example/cb",
            "https://evil.example/cb",
            "http://client.example/cb",
            "http://127.0.0.1:53999/other",
            "http://127.0.0.1:53999/callback?x=1",
            "http://127.0.0.2:53999/callback",
            "http://localhost:53999/callback",
            "https://127.0.0.1/callback",
            "http://localhost.evil.example:1234/callback?x=1",
            "cursor://evil/oauth/callback",
            "javascript:alert(1)",
        ] {
            assert!(listed.redirect(bad).is_err(), "{bad}");
        }
        // Not even if a document lists them.
        for bad in [
            "http://client.example/cb",
            "javascript:alert(1)",
            "javascript://client.example/%0aalert(1)",
            "data:text/html,x",
            "file:///tmp/x",
            "https://client.example/cb#x",
            "https://user:word@client.example/cb",
        ] {
            assert!(client(&[bad]).redirect(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_known_by_heart_follows_the_same_rules() {
        for (id, name, uris) in KNOWN {
            let id = client_id(id, false).expect("an id");
            let by_heart = known(&id).expect("known");
            let bytes = json!({ "client_id": id.as_str(), "client_name": name, "redirect_uris": uris }).to_string();
            assert_eq!(by_heart, document(&id, bytes.as_bytes()).expect("a document"));
            assert!(uris.iter().all(|uri| by_heart.redirect(uri).is_ok()), "{id}");
        }
        assert_eq!(known(&Url::parse(ID).expect("a URL")), None);
    }

    #[test]
    fn an_address_is_named_by_its_host_or_its_scheme() {
        let cases = [
            ("https://client.example/cb", "client.example"),
            ("http://localhost:7/cb", "localhost:7"),
            ("cursor://anysphere.cursor-mcp/x", "cursor:"),
            ("com.example.app:/cb", "com.example.app:"),
        ];
        for (url, expected) in cases {
            assert_eq!(host(&Url::parse(url).expect("a URL")), expected);
        }
    }
}
