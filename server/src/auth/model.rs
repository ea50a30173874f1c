//! What the browser may know of users, sessions and tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    caller::Role,
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Its id.
    pub id: UserId,
    /// The sign-in name: 1 to 40 of `a-z 0-9 . _ -`.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// One signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id; says nothing about the secret.
    pub id: SessionId,
    /// When it signed in.
    pub created_at: Timestamp,
    /// The last request, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
    /// The address it signed in from.
    pub address: String,
    /// The browser's own words about itself, cut at 200 characters. Untrusted.
    pub user_agent: String,
    /// Whether it is the one asking.
    pub current: bool,
}

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The agent it speaks for.
    pub agent: Option<String>,
    /// Its first characters, to recognise it by: `cmcp_ab12`.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// The last call with it, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDraft {
    /// What people call it: 1 to 60 characters.
    pub name: String,
    /// What it may do; not above its maker's own role.
    pub role: Role,
    /// The agent it speaks for: a slug of 1 to 32 of `a-z 0-9 -`.
    pub agent: Option<String>,
    /// Days until it stops working, 1 to 3650; `None` is never.
    pub expires_in_days: Option<u32>,
}

/// A token just made. The secret is shown this once and stored only as a hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// The secret itself.
    pub secret: String,
    /// The same as in the list.
    pub token: TokenView,
}

/// A user to make.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDraft {
    /// The sign-in name: 1 to 40 of `a-z 0-9 . _ -`.
    pub name: String,
    /// At least 10 characters, at most 1024 bytes.
    pub password: String,
    /// What they may do; `agent` is for tokens only.
    pub role: Role,
}

// By hand, so that no log ever holds a secret.
impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("token", &self.token).finish_non_exhaustive()
    }
}

impl fmt::Debug for UserDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserDraft").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}
