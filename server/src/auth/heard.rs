//! When agents were last heard of by what came with their tokens. In memory, to the millisecond, and of this life of the hub
//! alone: the calls are also written down, to the minute, as a token's last use.
//!
//! Only what came from the other end counts. What the hub asks by itself, such as whether the token of an open stream still
//! holds, does not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{caller::Caller, clock::Timestamp};

/// What an agent was heard by, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// A call: a request, or a message on an open socket that asks for something.
    pub call: Option<Timestamp>,
    /// A sign of life on a connection that is open, and nothing more: MCP's `ping`, the answer to a socket's ping.
    pub heartbeat: Option<Timestamp>,
}

/// See the module. By slug: as many as have tokens. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Ears(Arc<Mutex<HashMap<String, Heard>>>);

impl Ears {
    /// A call of `who` came. Nobody asks after those who are no agents.
    pub(super) fn call(&self, who: &Caller, now: Timestamp) {
        self.note(who, |heard| heard.call = Some(now));
    }

    /// A sign of life of `who` came.
    pub(super) fn heartbeat(&self, who: &Caller, now: Timestamp) {
        self.note(who, |heard| heard.heartbeat = Some(now));
    }

    /// What was heard of this agent.
    pub(super) fn of(&self, slug: &str) -> Heard {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(slug).copied().unwrap_or_default()
    }

    fn note(&self, who: &Caller, write: impl FnOnce(&mut Heard)) {
        let Some(slug) = who.agent() else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(slug) {
            // Every call comes by here: no name is copied for it.
            Some(heard) => write(heard),
            None => write(all.entry(slug.to_owned()).or_default()),
        }
    }
}
