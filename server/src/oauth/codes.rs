//! Authorization codes: good for a minute, and once.
//!
//! They lie in memory ([`super::shelf`]): a hub that was restarted within that minute forgets them, and the person presses
//! "connect" again.

use super::rules;
use crate::{
    auth::Consent,
    clock::{MINUTE, Timestamp},
    id::TokenId,
};

/// How long a code is good.
const LIFE: i64 = MINUTE;
/// How long it is known that a code was used, to notice that it comes twice.
pub(super) const REMEMBERED: i64 = 10 * MINUTE;

/// What a code stands for. Bound to the client, its address, and the secret that only the client has.
pub(super) struct Code {
    pub(super) consent: Consent,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) made_at: Timestamp,
    pub(super) use_: Use,
}

/// What has become of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nobody came.
    Fresh,
    /// Somebody came, and the token is being made.
    Now {
        /// Whether somebody else came meanwhile.
        twice: bool,
    },
    /// It became this token.
    Made(TokenId),
    /// It is worth nothing any more.
    Dead,
}

/// What a client brings with its code.
pub(super) struct Brought<'a> {
    pub(super) client_id: &'a str,
    /// OAuth 2.1 no longer asks for it; who sends it must send the same.
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: &'a str,
}

/// What a client gets for its code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A token is to be made.
    Good(Consent),
    /// The code was used; what it became is to end.
    Again(Option<TokenId>),
    /// It is refused, and why.
    Refused(&'static str),
}

impl Code {
    /// Somebody brings the code. Whatever is wrong, it is dead then: somebody else has seen it.
    pub(super) fn take(&mut self, brought: &Brought<'_>, now: Timestamp) -> Taken {
        match self.use_ {
            Use::Fresh => {}
            Use::Now { .. } => {
                self.use_ = Use::Now { twice: true };
                return Taken::Again(None);
            }
            Use::Made(token) => {
                self.use_ = Use::Dead;
                return Taken::Again(Some(token));
            }
            Use::Dead => return Taken::Refused("this code was used before; connect again"),
        }
        self.use_ = Use::Dead;
        if now.since(self.made_at) >= LIFE {
            return Taken::Refused("this code has expired; connect again");
        }
        if self.client_id != brought.client_id {
            return Taken::Refused("this code is another client's");
        }
        if brought.redirect_uri.is_some_and(|uri| uri != self.redirect_uri) {
            return Taken::Refused("redirect_uri is not the one that the code was sent to");
        }
        if !rules::verifies(&self.challenge, brought.verifier) {
            return Taken::Refused("code_verifier does not belong to the code_challenge");
        }
        self.use_ = Use::Now { twice: false };
        Taken::Good(self.consent.clone())
    }

    /// The token was made. Whether it may stay: not if the code came a second time meanwhile.
    pub(super) fn became(&mut self, token: TokenId) -> bool {
        let once = self.use_ == Use::Now { twice: false };
        self.use_ = if once { Use::Made(token) } else { Use::Dead };
        once
    }
}
