//! The room's methods.

use crate::{
    caller::Caller,
    clock::Clock,
    db::Db,
    error::Error,
    events::Events,
    id::{SessionId, TokenId, UserId},
};

use super::{NewToken, SessionView, TokenDraft, TokenView, UserDraft, UserView};

/// Where a sign-in comes from.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// The network address, without port.
    pub address: String,
    /// The browser's own words about itself. Untrusted.
    pub user_agent: String,
}

/// A session just begun.
#[derive(Clone)]
pub struct SignedIn {
    /// The cookie's value: 256 random bits in hex. Stored only as a hash.
    pub secret: String,
    /// Who it is.
    pub caller: Caller,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    db: Db,
    events: Events,
    clock: Clock,
}

fn not_yet<T>() -> Result<T, Error> {
    Err(anyhow::anyhow!("not built yet").into())
}

#[expect(unused_variables, clippy::unused_async, reason = "stub being replaced")]
impl Auth {
    /// Opens the room. While there is no user, a set-up code is made (32 hex characters, only in memory).
    pub async fn open(db: Db, events: Events, clock: Clock) -> Result<Self, Error> {
        Ok(Self { db, events, clock })
    }
    /// The set-up code, while there is no user.
    pub async fn setup_code(&self) -> Result<Option<String>, Error> { not_yet() }
    /// Makes the owner account with the one-time code and signs it in.
    pub async fn setup(&self, code: &str, name: &str, password: &str, visitor: Visitor) -> Result<SignedIn, Error> { not_yet() }
    /// Signs in with name and password.
    pub async fn login(&self, name: &str, password: &str, visitor: Visitor) -> Result<SignedIn, Error> { not_yet() }
    /// Ends the caller's own session.
    pub async fn logout(&self, who: &Caller) -> Result<(), Error> { not_yet() }
    /// Who a session cookie's value belongs to, if it is valid.
    pub async fn by_session(&self, secret: &str) -> Result<Option<Caller>, Error> { not_yet() }
    /// Who a bearer token belongs to, if it is valid.
    pub async fn by_token(&self, secret: &str) -> Result<Option<Caller>, Error> { not_yet() }
    /// The caller's sessions, newest first.
    pub async fn sessions(&self, who: &Caller) -> Result<Vec<SessionView>, Error> { not_yet() }
    /// Ends one of the caller's sessions (an owner: anybody's).
    pub async fn revoke_session(&self, who: &Caller, id: SessionId) -> Result<(), Error> { not_yet() }
    /// All users. Needs `Own`.
    pub async fn users(&self, who: &Caller) -> Result<Vec<UserView>, Error> { not_yet() }
    /// Makes a user. Needs `Own`.
    pub async fn create_user(&self, who: &Caller, draft: UserDraft) -> Result<UserView, Error> { not_yet() }
    /// Deletes a user with their sessions. Needs `Own`; the last owner stays.
    pub async fn delete_user(&self, who: &Caller, id: UserId) -> Result<(), Error> { not_yet() }
    /// Changes the caller's own password and ends their other sessions.
    pub async fn change_password(&self, who: &Caller, old: &str, new: &str) -> Result<(), Error> { not_yet() }
    /// Tokens: an owner sees all, others those they made.
    pub async fn tokens(&self, who: &Caller) -> Result<Vec<TokenView>, Error> { not_yet() }
    /// Makes a token. Needs `Operate`; not above the maker's role.
    pub async fn create_token(&self, who: &Caller, draft: TokenDraft) -> Result<NewToken, Error> { not_yet() }
    /// Revokes a token of one's own (an owner: anybody's).
    pub async fn revoke_token(&self, who: &Caller, id: TokenId) -> Result<(), Error> { not_yet() }
    /// Deletes what has expired; says how many rows.
    pub async fn prune(&self) -> Result<u64, Error> { not_yet() }
}
