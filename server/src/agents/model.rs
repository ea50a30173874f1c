//! What the browser may know of agents. Secrets go in and never come out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{MINUTE, Timestamp},
    id::AgentId,
};

/// Whether an agent's session should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// It should.
    Running,
    /// It should not.
    Stopped,
}

/// How an agent's session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// Its session runs.
    Running,
    /// Its session runs, but is a plain shell, for its program is not installed there. What to install is said beside.
    NotInstalled,
    /// Its session runs, but is a plain shell, for a setting that its program needs is not there.
    NotSetUp,
    /// Its session should run and will be started.
    Starting,
    /// Its session does not run, and should not.
    Stopped,
}

impl AgentState {
    /// Whether it has a session, even if that is only a shell.
    pub const fn has_session(self) -> bool {
        matches!(self, Self::Running | Self::NotInstalled | Self::NotSetUp)
    }

    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NotInstalled => "not installed",
            Self::NotSetUp => "not set up",
            Self::Starting => "starting",
            Self::Stopped => "stopped",
        }
    }
}

/// What an agent was last heard by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactKind {
    /// A call with one of its tokens: over MCP, or any other request. Of those before the hub's start the minute is known.
    Call,
    /// A sign of life with one of its tokens on a connection that is open: MCP's `ping`, or the answer to the hub's ping on a
    /// socket.
    Heartbeat,
    /// Something written in its terminal. Its time is kept to the second.
    Terminal,
}

impl ContactKind {
    /// What it was, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Heartbeat => "heartbeat",
            Self::Terminal => "terminal",
        }
    }
}

/// The last that was heard of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// When.
    pub at: Timestamp,
    /// By what.
    pub kind: ContactKind,
}

/// Whether an agent is there; follows from the age of its last contact alone, of whichever [`ContactKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Heard of within 2 minutes.
    Online,
    /// Heard of within 10 minutes.
    Stale,
    /// Not heard of for longer, or never.
    Offline,
}

impl Presence {
    /// The one rule.
    pub const fn of(contact: Option<Contact>, now: Timestamp) -> Self {
        let Some(contact) = contact else { return Self::Offline };
        match now.since(contact.at) {
            age if age < 2 * MINUTE => Self::Online,
            age if age < 10 * MINUTE => Self::Stale,
            _ => Self::Offline,
        }
    }

    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }
}

/// Why somebody should look at an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Such as `asks: Do you want to proceed?`. Comes from its screen: untrusted.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// One variable of an agent's environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value. A secret's is never in a view; in a draft `None` keeps the stored one.
    pub value: Option<String>,
    /// Whether it is stored sealed and never shown again.
    pub secret: bool,
}

// By hand, so that no log ever holds a secret.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable").field("name", &self.name).field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// An agent to make, or the new values of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDraft {
    /// What its terminal, its token and the audit log call it: 1 to 32 of `a-z 0-9 -`. Stays for life.
    pub slug: String,
    /// What people call it: 1 to 60 characters.
    pub name: String,
    /// What it is for, at most 200 characters.
    pub role: String,
    /// The key of its profile.
    pub profile: String,
    /// The model its program is asked for; empty: the program's own choice.
    pub model: String,
    /// Program and arguments; empty: the profile's. What connects it is added.
    pub command: Vec<String>,
    /// Its variables.
    pub environment: Vec<Variable>,
    /// The folder it works in, absolute; empty: one of its own below the data folder.
    pub folder: String,
    /// The machine its session is on; `None` is the hub's own.
    pub machine: Option<String>,
    /// Whether it is started again when its program ends.
    pub restart_on_exit: bool,
}

/// An agent as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// What it was made with; the values of secrets are `None`.
    pub draft: AgentDraft,
    /// What people call its profile.
    pub profile: String,
    /// The name of its terminal: `agent-SLUG`.
    pub terminal: String,
    /// Whether its session should run.
    pub wanted: Wanted,
    /// How its session is.
    pub state: AgentState,
    /// When its session was started; of one on another machine that was there before the hub: when the hub first heard of it.
    pub started_at: Option<Timestamp>,
    /// When it is started again, while it waits for that.
    pub next_try: Option<Timestamp>,
    /// Why its session does not run, or is not what was asked for, and what to do. Outlives the hub.
    pub problem: Option<String>,
    /// The last that was heard of it; its presence follows from it and the time.
    pub contact: Option<Contact>,
    /// Why somebody should look.
    pub needs: Option<Needs>,
    /// The first characters of the token that it was last started with, while that is valid: `cmcp_ab12`.
    pub token_prefix: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An agent that needs somebody, for the first glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its slug.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Why.
    pub needs: Needs,
}

/// A kind of program that an agent runs in, as offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileView {
    /// Its key.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Its program; empty: the login shell.
    pub program: String,
    /// The command that installs it; empty: nothing to install.
    pub install: String,
    /// Whether it was found on the hub's machine.
    pub installed: bool,
    /// The variables it wants; secrets without a value are to be entered.
    pub environment: Vec<Variable>,
}

/// The name of an agent's terminal.
pub fn terminal(slug: &str) -> String {
    format!("agent-{slug}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    #[test]
    fn presence_follows_from_the_age_of_the_last_contact_alone() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let contact = Some(Contact { at: start, kind: ContactKind::Call });
        for (age, expected) in [
            (-SECOND, Presence::Online),
            (0, Presence::Online),
            (2 * MINUTE - 1, Presence::Online),
            (2 * MINUTE, Presence::Stale),
            (10 * MINUTE - 1, Presence::Stale),
            (10 * MINUTE, Presence::Offline),
        ] {
            assert_eq!(Presence::of(contact, start.plus(age)), expected, "{age} ms");
        }
        assert_eq!(Presence::of(None, start), Presence::Offline);
    }

    #[test]
    fn a_variable_says_its_name_and_never_its_value() {
        let variable = Variable { name: "KEY".into(), value: Some("hunter2".into()), secret: true };
        assert!(!format!("{variable:?}").contains("hunter2"));
    }
}
