//! One viewer at one terminal: what they see, what they may do, and that they leave.

use tokio::sync::watch;

use super::{
    Keyboard, Notice, Request, Watching,
    feed::{Next, Pace},
    keyboard::{Typist, Why},
    room::Terminals,
    rules,
    sessions::Watch,
};
use crate::{
    caller::{Actor, Caller, Right},
    error::{Error, Failure, FailureKind},
    id::LinkId,
};

/// Who holds the keyboard, as guests are told.
const SOMEBODY: &str = "somebody";

/// Who looks at a terminal.
#[derive(Clone, Debug)]
pub enum Who {
    /// Somebody with an account or a token.
    Known(Caller),
    /// Somebody with a share link, who may look and nothing else.
    Guest(LinkId),
}

impl Who {
    /// Who it is whatever they are called, for names of tokens are not unique. One person has it in every window.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Known(caller) => match &caller.actor {
                Actor::User(id, _) => format!("user:{id}"),
                Actor::Token(id, _) | Actor::Agent(id, _) => format!("token:{id}"),
                actor => actor.to_string(),
            },
            Self::Guest(link) => format!("guest:{link}"),
        }
    }

    /// Whether they may type.
    fn may_type(&self) -> bool {
        matches!(self, Self::Known(caller) if caller.role.may(Right::Operate))
    }

    /// Who the audit log says it was.
    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Known(caller) => caller.actor.clone(),
            Self::Guest(link) => Actor::Guest(*link),
        }
    }
}

/// The half of a viewer that acts. The other half is [`Eyes`].
pub struct Hands {
    pub(super) room: Terminals,
    pub(super) terminal: String,
    pub(super) who: Who,
    pub(super) typist: Typist,
    pub(super) feed: std::sync::Arc<super::feed::Feed>,
}

/// The half of a viewer that looks.
pub struct Eyes {
    /// The terminal.
    pub screen: Looking,
    /// Says that something beside the screen changed.
    pub changed: watch::Receiver<()>,
}

/// A place in the session's feed.
pub struct Looking(pub(super) Watch);

impl Looking {
    /// What to show next. Dropping the future loses nothing.
    pub async fn next(&mut self, pace: Pace) -> Next {
        self.0.next(pace).await
    }
}

impl Hands {
    /// How things stand.
    pub fn state(&self) -> Notice {
        let (cols, rows) = self.feed.size();
        let count = self.room.stages().count(&self.terminal);
        let holding = self.room.keyboards().holding(&self.terminal, self.room.now());
        // The names of those who work here are none of a guest's business.
        let guest = matches!(self.who, Who::Guest(_));
        Notice::State(Watching {
            cols,
            rows,
            title: self.feed.title(),
            viewers: count.viewers,
            guests: count.guests,
            keyboard: holding.map(|it| Keyboard {
                you: it.by.viewer == self.typist.viewer,
                holder: if guest { SOMEBODY.to_owned() } else { it.by.actor },
                since: it.since,
            }),
            may_type: self.who.may_type(),
            recording: if guest { None } else { self.room.recording_since(&self.terminal) },
            machine: self.room.machine_of(&self.terminal),
            away: self.feed.away(),
        })
    }

    /// Whether this viewer holds the keyboard.
    pub fn holds(&self) -> bool {
        self.room.keyboards().is_held_by(&self.terminal, self.typist.viewer, self.room.now())
    }

    /// Hands typed bytes on. A free keyboard is taken by it.
    pub async fn typed(&self, bytes: &[u8]) -> Result<(), Error> {
        self.may_type()?;
        let now = self.room.now();
        let taken = self.room.keyboards().typed(&self.terminal, &self.typist, bytes.len(), now).map_err(held)?;
        let written = self.feed.write(bytes).await;
        if written.is_err() {
            self.room.keyboards().lost(&self.terminal, self.typist.viewer, bytes.len());
        }
        // Whether or not the key arrived, the keyboard is theirs.
        if taken.began {
            self.room.taken(self, taken.from);
        }
        written
    }

    /// Does what is asked.
    pub async fn ask(&self, request: Request) -> Result<(), Error> {
        match request {
            Request::Take { over } => {
                self.may_type()?;
                let now = self.room.now();
                let taken = self.room.keyboards().take(&self.terminal, &self.typist, over, now).map_err(held)?;
                if taken.began {
                    self.room.taken(self, taken.from);
                }
            }
            Request::HandBack => {
                let ended = self.room.keyboards().release(&self.terminal, self.typist.viewer, Why::HandedBack);
                self.room.handed_back(&self.terminal, ended);
            }
            Request::Paste { text } => self.typed(&rules::paste(&text, self.feed.pastes_in_brackets())?).await?,
            Request::Resize { cols, rows } => {
                self.may_type()?;
                rules::size(cols, rows)?;
                if !self.holds() {
                    let message = "only who holds the keyboard changes the size; take the keyboard first";
                    return Err(Failure::new(FailureKind::Forbidden, message).into());
                }
                self.room.resize(self, cols, rows).await?;
            }
            Request::Visible { .. } | Request::Alive => {}
        }
        Ok(())
    }

    /// Leaves: gives the keyboard back, and says so in the audit log.
    pub fn leave(self) {
        let ended = self.room.keyboards().release(&self.terminal, self.typist.viewer, Why::Gone);
        self.room.stages().leave(&self.terminal, self.typist.viewer);
        self.room.left(&self, ended);
    }

    fn may_type(&self) -> Result<(), Failure> {
        match &self.who {
            Who::Known(caller) => caller.must(Right::Operate),
            Who::Guest(_) => Err(Failure::new(FailureKind::Forbidden, "a share link lets you look, not type")),
        }
    }
}

fn held(refused: super::keyboard::Refused) -> Failure {
    Failure::new(
        FailureKind::Conflict,
        format!("{} holds the keyboard; ask for it back, or take it over", refused.holder),
    )
}
