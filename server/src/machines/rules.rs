//! Pure decisions: which names are acceptable, what a secret looks like.

use super::{HUB, MachineDraft};
use crate::{
    clock::{HOUR, MINUTE},
    error::Failure,
    secrets::{hex, random},
};

/// How long a one-time secret may be used, in milliseconds.
pub(super) const JOIN_AGE: i64 = HOUR;
/// How often it is written that a connected machine is here, in milliseconds.
pub(super) const SEEN_EVERY: i64 = MINUTE;
/// Machines beside the hub's own.
pub(super) const MOST: i64 = 200;

/// What a one-time secret begins with.
pub(super) const JOIN: &str = "cmj_";
/// What a machine's key begins with.
pub(super) const KEY: &str = "cmr_";
/// The length of either's random part, in hexadecimal characters.
const SECRET: usize = 64;
/// The most characters that are kept of what a machine says of itself.
const WORDS: usize = 120;

/// The name of a machine to add, or why it is refused.
pub(super) fn check(draft: MachineDraft) -> Result<String, Failure> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edges = !draft.name.starts_with('-') && !draft.name.ends_with('-');
    if draft.name.is_empty() || draft.name.len() > 32 || !draft.name.bytes().all(fits) || !edges {
        let said: String = draft.name.chars().take(40).collect();
        let message = format!(
            "\"{said}\" is no name for a machine; use 1 to 32 of a-z 0-9 -, without - at its ends, such as gpu-1"
        );
        return Err(Failure::invalid(message));
    }
    if draft.name == HUB {
        return Err(Failure::invalid("\"hub\" is the hub's own machine; choose another name"));
    }
    Ok(draft.name)
}

/// A new secret of 256 random bits, told apart from others by how it begins.
pub(super) fn secret(kind: &str) -> String {
    format!("{kind}{}", hex(&random::<{ SECRET / 2 }>()))
}

/// Whether `text` has the form of a secret of `kind`; spares the database what has not.
pub(super) fn is_secret(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|random| {
        random.len() == SECRET && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What a machine says of itself, as it may be kept and shown: one line, not long.
pub(super) fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_name_is_a_short_slug_and_not_the_hubs() {
        let long = "a".repeat(33);
        for (name, good) in [
            ("gpu-1", true),
            ("a", true),
            (&long[..32], true),
            (&long, false),
            ("", false),
            ("hub", false),
            ("-a", false),
            ("a-", false),
            ("GPU", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
        ] {
            assert_eq!(check(MachineDraft { name: name.to_owned() }).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_secret_has_its_kind_and_256_bits() {
        let join = secret(JOIN);
        assert!(is_secret(JOIN, &join) && !is_secret(KEY, &join));
        assert_ne!(join, secret(JOIN));
        for bad in ["", "cmj_", &join[..67], &join.to_uppercase(), &format!("{join}0")] {
            assert!(!is_secret(JOIN, bad), "{bad}");
        }
    }
}
