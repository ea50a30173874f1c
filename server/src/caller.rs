//! Who is acting, and what they may do. Rights come from the credential alone, never from a field of the call.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Failure, FailureKind},
    id::{LinkId, TokenId, UserId},
};

/// What a user or token may do. Each role holds every right of the one before it, except that only people own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May look and ask for images. The role of a coding agent: of terminals it sees its own alone.
    Agent,
    /// May also manage services and other people's images.
    Operator,
    /// May also manage users and every token.
    Owner,
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Agent, Self::Operator, Self::Owner];

    /// The one word for this role, as stored, sent and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }

    /// Whether this role holds `right`.
    pub fn may(self, right: Right) -> bool {
        self >= match right {
            Right::Look => Self::Viewer,
            Right::Draw => Self::Agent,
            Right::Operate => Self::Operator,
            Right::Own => Self::Owner,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| format!("unknown role \"{text}\"; use viewer, agent, operator or owner"))
    }
}

/// One thing a caller may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// See images, services, events.
    Look,
    /// Ask for images, and cancel or delete one's own.
    Draw,
    /// Manage services, workflows and everybody's images.
    Operate,
    /// Manage users and everybody's tokens.
    Own,
}

/// Who did something, as written into the events table: `user:NAME`, `token:NAME`, `agent:SLUG`, `guest:LINK`, `loop:NAME`,
/// `hub:ROOM`, `cli`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A signed-in person.
    User(UserId, String),
    /// A token without an agent: a script.
    Token(TokenId, String),
    /// A token that belongs to an agent.
    Agent(TokenId, String),
    /// Somebody without an account, by this share link.
    Guest(LinkId),
    /// The hub itself, in the named loop.
    Loop(&'static str),
    /// The hub itself, in the named room: what followed from somebody's doing, or from nobody's. Rows of before this word was
    /// there say `loop:ROOM`; a log is not written again.
    Hub(&'static str),
    /// Somebody with a shell on the machine.
    Cli,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(_, name) => write!(f, "user:{name}"),
            Self::Token(_, name) => write!(f, "token:{name}"),
            Self::Agent(_, slug) => write!(f, "agent:{slug}"),
            Self::Guest(link) => write!(f, "guest:{link}"),
            Self::Loop(name) => write!(f, "loop:{name}"),
            Self::Hub(room) => write!(f, "hub:{room}"),
            Self::Cli => f.write_str("cli"),
        }
    }
}

/// The one who acts in a call, with their role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who, for the audit log.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// The browser session the call came with, if it came with one.
    pub session: Option<crate::id::SessionId>,
}

impl Caller {
    /// The hub's own loop `name`, with every right.
    pub const fn of_loop(name: &'static str) -> Self {
        Self { actor: Actor::Loop(name), role: Role::Owner, session: None }
    }

    /// The hub's own room `name`, with every right.
    pub const fn of_hub(name: &'static str) -> Self {
        Self { actor: Actor::Hub(name), role: Role::Owner, session: None }
    }

    /// Somebody at the machine's own command line, with every right: they can read the database anyway.
    pub const fn cli() -> Self {
        Self { actor: Actor::Cli, role: Role::Owner, session: None }
    }

    /// The agent this caller is, if it is one.
    pub fn agent(&self) -> Option<&str> {
        match &self.actor {
            Actor::Agent(_, slug) => Some(slug),
            _ => None,
        }
    }

    /// Whether this caller may look at every terminal: who may look at all may, but an agent only where it was given the role
    /// of an operator. What runs on somebody else's machine with an agent's token must not read the others' screens.
    pub fn sees_all_terminals(&self) -> bool {
        let agent = self.role == Role::Agent || self.agent().is_some();
        self.role.may(if agent { Right::Operate } else { Right::Look })
    }

    /// Refuses with `forbidden` unless the role holds `right`.
    pub fn must(&self, right: Right) -> Result<(), Failure> {
        if self.role.may(right) {
            return Ok(());
        }
        let needs = Role::ALL.into_iter().find(|role| role.may(right)).unwrap_or(Role::Owner);
        Err(Failure::new(
            FailureKind::Forbidden,
            format!("this needs the role {needs}; you are {}. Ask an owner to do it or to change your role", self.role),
        ))
    }
}
