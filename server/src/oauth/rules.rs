//! What a client may ask, and how it is asked. Pure.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::{Url, form_urlencoded};

use crate::{caller::Role, secrets::sha256};

/// The scopes: to look, and to draw, which is to look too.
pub(super) const SCOPES: [&str; 2] = ["look", "draw"];

/// The scope that says what `role` may do. Never more than agent.
pub(super) fn scope(role: Role) -> &'static str {
    if role >= Role::Agent { "look draw" } else { "look" }
}

/// The role that a scope asks for. None at all asks for what the hub's own challenge names; words we do not know
/// (`offline_access`, `openid`) are left out, as RFC 6749 §3.3 allows; if nothing is left, it is `None`.
pub(super) fn role(scope: Option<&str>) -> Option<Role> {
    let words: Vec<&str> = scope.unwrap_or_default().split_ascii_whitespace().collect();
    if words.is_empty() || words.contains(&"draw") {
        return Some(Role::Agent);
    }
    words.contains(&"look").then_some(Role::Viewer)
}

/// Parameters of a query or a form. Each may come once (RFC 6749 §3.1); empty ones count as absent.
pub(super) struct Params(HashMap<String, String>);

impl Params {
    /// Reads them; the name of one that came twice is the error.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let mut found = HashMap::new();
        for (name, value) in form_urlencoded::parse(text).filter(|(_, value)| !value.is_empty()) {
            if found.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(name.chars().filter(|c| !c.is_control()).take(40).collect());
            }
        }
        Ok(Self(found))
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Why a request is answered with an error: the word of the standard, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl Wrong {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }
}

/// What a client asks for, once it is sure who it is and where the answer goes: its challenge and the role.
pub(super) fn asked(params: &Params, resource: &str) -> Result<(String, Role), Wrong> {
    let invalid = |description: &str| Wrong::new("invalid_request", description);
    match params.get("response_type") {
        Some("code") => {}
        None => return Err(invalid("response_type is missing; send code")),
        Some(_) => return Err(Wrong::new("unsupported_response_type", "response_type must be code")),
    }
    if params.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(invalid("response_mode must be query"));
    }
    // Without a method it would be plain (RFC 7636 §4.3).
    if params.get("code_challenge_method") != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    let challenge = params.get("code_challenge").unwrap_or_default();
    if challenge.len() != 43 || !challenge.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_')) {
        return Err(invalid("code_challenge must be a SHA-256 in base64url: 43 characters"));
    }
    self::resource(params, resource)?;
    let role = role(params.get("scope"));
    let role = role.ok_or_else(|| Wrong::new("invalid_scope", "ask for look, or for look and draw"))?;
    Ok((challenge.to_owned(), role))
}

/// Tokens are for `/mcp` of this hub, and nothing else (RFC 8707).
pub(super) fn resource(params: &Params, ours: &str) -> Result<(), Wrong> {
    match params.get("resource") {
        Some(asked) if asked.trim_end_matches('/') != ours => {
            Err(Wrong::new("invalid_target", format!("this hub gives tokens for {ours} alone")))
        }
        _ => Ok(()),
    }
}

/// Whether `verifier` is what `challenge` was made of (S256).
pub(super) fn verifies(challenge: &str, verifier: &str) -> bool {
    let unreserved = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) == challenge
}

/// `redirect` with an answer in its query.
pub(super) fn with_answer(redirect: &Url, answer: &[(&str, &str)]) -> String {
    let mut url = redirect.clone();
    url.query_pairs_mut().extend_pairs(answer);
    url.into()
}

/// A slug for an agent from what a client calls itself.
pub(super) fn slug(name: &str) -> String {
    let plain = name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(32).collect();
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "agent".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_standard_verifies() {
        // RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(verifies(challenge, verifier));
        for wrong in [challenge, "", &verifier[1..], &format!("{verifier}="), &"a".repeat(43), &"a".repeat(129)] {
            assert!(!verifies(challenge, wrong), "{wrong}");
        }
        assert!(!verifies(verifier, verifier), "plain is no method");
    }

    #[test]
    fn scopes_ask_for_a_role_and_never_for_more_than_an_agents() {
        let cases = [
            (None, Some(Role::Agent)),
            (Some(""), Some(Role::Agent)),
            (Some("look"), Some(Role::Viewer)),
            (Some("draw"), Some(Role::Agent)),
            (Some("look draw offline_access"), Some(Role::Agent)),
            (Some("openid look"), Some(Role::Viewer)),
            (Some("operator"), None),
            (Some("Look"), None),
        ];
        for (scope, expected) in cases {
            assert_eq!(role(scope), expected, "{scope:?}");
        }
        let told = Role::ALL.map(scope);
        assert_eq!(told, ["look", "look draw", "look draw", "look draw"]);
    }

    #[test]
    fn a_parameter_may_come_once() {
        let params = Params::read(b"a=1&b=&c=%20x").map_err(|_| "twice").expect("reads");
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), None, Some(" x")));
        assert_eq!(Params::read(b"a=1&b=2&a=1").err().as_deref(), Some("a"));
    }

    #[test]
    fn a_clients_name_becomes_a_slug() {
        let cases = [
            ("Claude", "claude"),
            ("Claude Code", "claude-code"),
            ("  --A.I.  Helper (v2)!", "a-i-helper-v2"),
            ("Ünïcode", "n-code"),
            ("漢字", "agent"),
            ("", "agent"),
            ("a234567890123456789012345678901 b", "a234567890123456789012345678901"),
        ];
        for (name, expected) in cases {
            assert_eq!(slug(name), expected, "{name}");
        }
    }

    #[test]
    fn an_answer_is_added_to_the_query_that_is_there() {
        let redirect = Url::parse("https://client.example/cb?x=1").expect("a URL");
        let url = with_answer(&redirect, &[("code", "a b"), ("state", "é&")]);
        assert_eq!(url, "https://client.example/cb?x=1&code=a+b&state=%C3%A9%26");
    }
}
