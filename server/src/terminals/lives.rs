//! Which sessions were seen to run in this life of the hub, and which of them have ended.
//!
//! What is wanted is started again after its machine was started anew, and only then: a command that has ended by itself is done.
//! Two things tell the one from the other. While the hub looks (its own tmux, or a machine that is connected), a session that was
//! listed and is not any more has ended. At the hub's start, and at the first list of a machine that has connected, nobody knows
//! what happened meanwhile; then a list without any session says that tmux was started anew, and all that is wanted is started.
//! A list with some says that tmux ran on: what is missing there ended by itself. Where tmux does not run at all, nothing has ended:
//! its machine may be going down. Agents' terminals are not concerned: their room starts them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Launch,
    room::{Terminals, terminal_event},
    store,
    tmux::SessionInfo,
};
use crate::{caller::Actor, db::WriteTx, error::Error};

/// See the module.
#[derive(Default)]
pub(super) struct Lives(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Counts looks and what they saw, so that an old list does not end what was started after it.
    now: u64,
    /// By name: where it was seen to run, and when last.
    seen: HashMap<String, (Option<String>, u64)>,
    /// Seen to have ended, and not yet written down.
    ended: HashSet<String>,
    /// Machines that have connected and listed nothing yet.
    silent: HashSet<String>,
    /// Whether sessions ran at the beginning, by machine (`None`: the hub's own).
    ran_on: HashMap<Option<String>, bool>,
}

impl Lives {
    /// A look begins: what [`Lives::listed`] is told of it.
    pub(super) fn look(&self) -> u64 {
        self.lock().tick()
    }

    /// What was listed on a machine (`None`: the hub's own) by a look that began at `look`.
    pub(super) fn listed(&self, look: u64, machine: Option<&str>, sessions: &[SessionInfo]) {
        let mut inner = self.lock();
        if machine.is_some_and(|machine| inner.silent.contains(machine)) {
            return;
        }
        let now = inner.tick();
        let Inner { seen, ended, .. } = &mut *inner;
        seen.retain(|name, (place, last)| {
            let gone = place.as_deref() == machine && *last < look && !sessions.iter().any(|it| it.name == *name);
            if gone {
                ended.insert(name.clone());
            }
            !gone
        });
        for session in sessions {
            seen.insert(session.name.clone(), (machine.map(str::to_owned), now));
        }
    }

    /// A session was started there.
    pub(super) fn started(&self, name: &str, machine: Option<&str>) {
        let mut inner = self.lock();
        let now = inner.tick();
        inner.seen.insert(name.to_owned(), (machine.map(str::to_owned), now));
    }

    /// Somebody ended a session: that is written down by who did it.
    pub(super) fn stopped(&self, name: &str) {
        self.lock().seen.remove(name);
    }

    /// A machine has connected: what it lists first is a beginning.
    pub(super) fn connected(&self, machine: &str) {
        let mut inner = self.lock();
        inner.seen.retain(|_, (place, _)| place.as_deref() != Some(machine));
        inner.ran_on.remove(&Some(machine.to_owned()));
        inner.silent.insert(machine.to_owned());
    }

    /// It has listed what it holds: whether that was any session.
    pub(super) fn begun(&self, machine: &str, any: bool) {
        self.began(Some(machine), any);
        self.lock().silent.remove(machine);
    }

    /// What was listed at the beginning: whether there was any session.
    fn began(&self, machine: Option<&str>, any: bool) {
        self.lock().ran_on.insert(machine.map(str::to_owned), any);
    }

    /// Whether there was; `None`: nothing was listed yet.
    pub(super) fn ran_on(&self, machine: Option<&str>) -> Option<bool> {
        self.lock().ran_on.get(&machine.map(str::to_owned)).copied()
    }

    /// These have ended, and that could not be written down; it is tried again.
    pub(super) fn ended_unwritten(&self, names: impl IntoIterator<Item = String>) {
        self.lock().ended.extend(names);
    }

    /// Whether something has ended that is not written down.
    fn any(&self) -> bool {
        !self.lock().ended.is_empty()
    }

    /// What has ended and does not run again. Asked while the database is held for writing: a start marks first and writes then.
    fn ended(&self) -> Vec<String> {
        let mut inner = self.lock();
        let ended = std::mem::take(&mut inner.ended);
        ended.into_iter().filter(|name| !inner.seen.contains_key(name)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

impl Terminals {
    /// Starts again what should run on the hub's own machine and does not, after that was started anew. Once, at the hub's start.
    pub async fn resume(&self) -> Result<usize, Error> {
        let sessions = self.engine().await?.place().list().await?;
        self.inner.lives.began(None, !sessions.is_empty());
        self.resume_on(None, &sessions).await
    }

    /// The same for one machine, which has listed these `sessions`.
    pub(super) async fn resume_on(&self, machine: Option<&str>, sessions: &[SessionInfo]) -> Result<usize, Error> {
        let mut missing = store::list(self.inner.db.read()).await?;
        missing.retain(|row| {
            let here = row.machine.as_deref() == machine && row.agent.is_none() && row.wanted;
            here && !sessions.iter().any(|session| session.name == row.name)
        });
        let mut started = 0;
        if sessions.is_empty() {
            for row in missing {
                let argv = serde_json::from_str(&row.command).unwrap_or_default();
                let launch = Launch { name: row.name.clone(), argv, folder: row.folder.into(), ..Launch::default() };
                match self.start_session(&Actor::Hub("terminals"), launch, row.machine.as_deref(), None).await {
                    Ok(_) => started += 1,
                    Err(error) => tracing::warn!(terminal = row.name, %error, "a terminal does not start"),
                }
            }
        } else {
            self.inner.lives.ended_unwritten(missing.into_iter().map(|row| row.name));
            self.settle_ended().await?;
        }
        self.reconcile_recording().await?;
        Ok(started)
    }

    /// Writes down which terminals were seen to end by themselves: they are not started again.
    pub async fn settle_ended(&self) -> Result<(), Error> {
        if !self.inner.lives.any() {
            return Ok(());
        }
        let tx = self.inner.db.write().await?;
        let names = self.inner.lives.ended();
        let written = self.write_ended(tx, &names).await;
        written.inspect_err(|_| self.inner.lives.ended_unwritten(names))
    }

    async fn write_ended(&self, mut tx: WriteTx, names: &[String]) -> Result<(), Error> {
        let mut ended = Vec::new();
        for name in names {
            // What somebody stopped or removed is not wanted, and an agent's is its room's.
            if store::get(&mut *tx, name).await?.is_some_and(|row| row.wanted && row.agent.is_none()) {
                store::set_wanted(&mut *tx, name, false).await?;
                ended.push(terminal_event("ended", name, ""));
            }
        }
        self.inner.events.commit_all(tx, &Actor::Hub("terminals"), ended).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn sessions(names: &[&str]) -> Vec<SessionInfo> {
        let session = |name: &&str| SessionInfo {
            id: "$1".into(),
            name: (*name).to_owned(),
            pid: 1,
            cols: 80,
            rows: 24,
            started_at: Timestamp::from_millis(0),
            activity: Timestamp::from_millis(0),
            bell: false,
            title: String::new(),
        };
        names.iter().map(session).collect()
    }

    #[test]
    fn what_was_listed_and_is_not_any_more_has_ended() {
        let lives = Lives::default();
        let list = |machine, names| lives.listed(lives.look(), machine, &sessions(names));
        list(None, &["a", "b"]);
        list(Some("pod"), &["c"]);
        assert!(!lives.any());
        list(None, &["a"]);
        assert_eq!(lives.ended(), ["b"]);
        assert!(lives.ended().is_empty(), "once");
        // Ended and started again before it was written down.
        list(None, &[]);
        lives.started("a", None);
        assert!(lives.ended().is_empty());
        lives.stopped("a");
        list(None, &[]);
        assert!(lives.ended().is_empty(), "somebody stopped it");
    }

    #[test]
    fn an_old_list_ends_nothing_that_was_started_after_it() {
        let lives = Lives::default();
        let (old, older) = (lives.look(), lives.look());
        lives.started("a", None);
        lives.listed(old, None, &sessions(&[]));
        assert!(!lives.any());
        // Two at once, and the one that saw it was asked first.
        lives.listed(lives.look(), None, &sessions(&["a"]));
        lives.listed(older, None, &sessions(&[]));
        assert!(!lives.any());
    }

    #[test]
    fn a_machine_that_comes_back_begins_anew() {
        let lives = Lives::default();
        let list = |names| lives.listed(lives.look(), Some("pod"), &sessions(names));
        list(&["a", "b"]);
        lives.connected("pod");
        list(&["a", "old"]);
        assert_eq!(lives.ran_on(Some("pod")), None);
        lives.begun("pod", true);
        assert_eq!(lives.ran_on(Some("pod")), Some(true));
        list(&["b"]);
        assert!(!lives.any());
        list(&[]);
        assert_eq!(lives.ended(), ["b"]);
    }
}
