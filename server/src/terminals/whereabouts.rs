//! Which terminal is on which machine, and the machines that hold some.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Belongings, Home, LinkEnd,
    far::Machine,
    place::Place,
    room::{Terminals, terminal_event},
    rules,
    sessions::Sessions,
    store,
    tmux::SessionInfo,
    viewing::typed_event,
};
use crate::{
    caller::Actor,
    clock::Timestamp,
    error::{Error, Failure, FailureKind},
};

/// See the module. In memory; the table of terminals remembers the first half.
pub(super) struct Whereabouts {
    /// Since when a machine is away that has not connected yet.
    since: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Machine by terminal. One that is not here is on the hub's own.
    homes: HashMap<String, String>,
    machines: HashMap<String, (Machine, Sessions)>,
}

impl Whereabouts {
    /// No terminal is known yet, and no machine met. `now` is the hub's start.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { since: now, inner: Mutex::default() }
    }

    /// The machine that a terminal is on; `None`: the hub's own.
    pub(super) fn of(&self, terminal: &str) -> Option<String> {
        self.lock().homes.get(terminal).cloned()
    }

    /// From now on a terminal is there.
    pub(super) fn settle(&self, terminal: &str, machine: Option<&str>) {
        let mut inner = self.lock();
        match machine {
            Some(machine) => drop(inner.homes.insert(terminal.to_owned(), machine.to_owned())),
            None => drop(inner.homes.remove(terminal)),
        }
    }

    /// The terminals of a machine.
    fn on(&self, machine: &str) -> Vec<String> {
        self.lock().homes.iter().filter(|(_, home)| *home == machine).map(|(name, _)| name.clone()).collect()
    }

    /// A machine that has connected since the start, and its sessions.
    fn machine(&self, name: &str) -> Result<(Machine, Sessions), Failure> {
        let found = self.lock().machines.get(name).cloned();
        found.ok_or_else(|| {
            let message = format!("the machine {name} is not connected; see the page Machines");
            Failure::new(FailureKind::Outside, message)
        })
    }

    /// Every machine met since the start.
    fn machines(&self) -> Vec<Machine> {
        self.lock().machines.values().map(|(machine, _)| machine.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminals {
    /// Serves a machine's link until it is cut, or a newer one of the same machine has come, or the future is dropped. What
    /// should run there is started again if that machine was started anew; see `lives.rs`.
    pub async fn connect(&self, machine: &str, home: Home, link: LinkEnd) {
        let machine = self.meet(machine);
        let mut changes = machine.changes();
        self.inner.lives.connected(machine.name());
        let _tell = Tell { room: self, machine: machine.clone() };
        let told = async {
            let (mut first, mut before) = (true, None);
            while changes.changed().await.is_ok() {
                let (away, look) = (machine.away().is_some(), self.inner.lives.look());
                let listed = machine.known();
                if !away && std::mem::take(&mut first) {
                    self.begin(&machine, listed.clone());
                }
                if let Err(error) = self.adopt(&machine, &listed).await {
                    tracing::warn!(machine = machine.name(), %error, "its sessions cannot be looked at");
                }
                if let Ok(Some(listed)) = machine.look() {
                    let own = self.own(machine.name(), listed);
                    self.inner.lives.listed(look, Some(machine.name()), &own);
                }
                if let Err(error) = self.settle_ended().await {
                    tracing::warn!(machine = machine.name(), %error, "what has ended there is not written down");
                }
                // A machine lists its sessions every few seconds; most lists say nothing new to who looks.
                let now = Some((away, listed.into_iter().map(|session| session.id).collect::<HashSet<_>>()));
                if now != before {
                    before = now;
                    self.tell_all(machine.name());
                }
            }
        };
        tokio::select! {
            () = machine.serve(home, link) => {}
            () = told => {}
        }
    }

    /// A machine has listed its sessions for the first time since it connected.
    fn begin(&self, machine: &Machine, listed: Vec<SessionInfo>) {
        let (room, name) = (self.clone(), machine.name().to_owned());
        room.inner.lives.begun(&name, !listed.is_empty());
        self.spawn(async move {
            if let Err(error) = room.resume_on(Some(&name), &listed).await {
                tracing::warn!(machine = name, %error, "its terminals cannot be started again");
            }
        });
    }

    /// Forgets a machine that was removed, the terminals on it and their share links. Their sessions run on there; nobody is there
    /// to end them. Who watches one is told that it has ended.
    pub async fn forget_machine(&self, actor: &Actor, machine: &str) -> Result<(), Error> {
        let mut tx = self.inner.db.write().await?;
        let (mut links, mut events) = (Vec::new(), Vec::new());
        for row in store::list(&mut *tx).await?.into_iter().filter(|row| row.machine.as_deref() == Some(machine)) {
            links.extend(self.inner.links.delete_all(&mut tx, actor, &row.name).await?);
            events.push(terminal_event("removed", &row.name, format!("with the machine {machine}")));
        }
        store::delete_on(&mut *tx, machine).await?;
        self.inner.events.commit_all(tx, actor, events).await?;
        self.inner.links.close(&links);
        let (gone, homes) = {
            let mut inner = self.inner.whereabouts.lock();
            let gone = inner.machines.remove(machine);
            let homes = inner.homes.extract_if(|_, home| home == machine).map(|(name, _)| name).collect::<Vec<_>>();
            (gone, homes)
        };
        if let Some((_, sessions)) = gone {
            sessions.end_all();
        }
        for name in homes {
            self.inner.lives.stopped(&name);
            if let Some(ended) = self.inner.keyboards.forget(&name) {
                self.inner.scribe.note(Actor::Hub("terminals"), typed_event(&name, &ended));
            }
        }
        Ok(())
    }

    /// The folder and the way to the hub of a machine that is connected.
    pub fn home(&self, machine: &str) -> Result<Home, Failure> {
        self.inner.whereabouts.machine(machine)?.0.home()
    }

    /// The machine that a terminal is on, or was last; `None`: the hub's own.
    pub fn machine_of(&self, terminal: &str) -> Option<String> {
        self.inner.whereabouts.of(terminal)
    }

    /// Since when a machine is not connected; `None`: it is.
    pub fn away(&self, machine: &str) -> Option<Timestamp> {
        let whereabouts = &self.inner.whereabouts;
        whereabouts.machine(machine).map_or(Some(whereabouts.since), |(machine, _)| machine.away())
    }

    /// Removes what an agent's session was given.
    pub async fn forget(&self, machine: Option<&str>, belongings: &Belongings) -> Result<(), Error> {
        self.sessions_on(machine).await?.place().forget(belongings).await
    }

    /// Whether no machine is known but the hub's own.
    pub(super) fn alone(&self) -> bool {
        let inner = self.inner.whereabouts.lock();
        inner.machines.is_empty() && inner.homes.is_empty()
    }

    /// The sessions of the place where a terminal is.
    pub(super) async fn sessions_of(&self, terminal: &str) -> Result<Sessions, Error> {
        self.sessions_on(self.inner.whereabouts.of(terminal).as_deref()).await
    }

    /// The sessions of a machine; `None`: of the hub's own.
    pub(super) async fn sessions_on(&self, machine: Option<&str>) -> Result<Sessions, Error> {
        match machine {
            Some(machine) => Ok(self.inner.whereabouts.machine(machine)?.1),
            None => Ok(self.engine().await?.clone()),
        }
    }

    /// The sessions of the place where a terminal is, if that place was looked at.
    pub(super) fn known_sessions(&self, terminal: &str) -> Option<Sessions> {
        match self.inner.whereabouts.of(terminal) {
            Some(machine) => self.inner.whereabouts.machine(&machine).ok().map(|(_, sessions)| sessions),
            None => self.inner.engine.get().cloned(),
        }
    }

    /// The sessions of every place that was looked at.
    pub(super) fn places(&self) -> Vec<Sessions> {
        let inner = self.inner.whereabouts.lock();
        inner.machines.values().map(|(_, sessions)| sessions).chain(self.inner.engine.get()).cloned().collect()
    }

    /// What runs on the machines that are connected, each session on the machine where the hub has it.
    pub(super) fn far_sessions(&self) -> Vec<SessionInfo> {
        let mut all = Vec::new();
        for machine in self.inner.whereabouts.machines() {
            let look = self.inner.lives.look();
            // Neither one that is away nor one whose tmux does not run.
            let Ok(Some(listed)) = machine.look() else { continue };
            let own = self.own(machine.name(), listed);
            self.inner.lives.listed(look, Some(machine.name()), &own);
            all.extend(own);
        }
        all
    }

    /// Those of a machine's sessions that the hub has there.
    fn own(&self, machine: &str, mut sessions: Vec<SessionInfo>) -> Vec<SessionInfo> {
        sessions.retain(|session| self.inner.whereabouts.of(&session.name).as_deref() == Some(machine));
        sessions
    }

    /// A session that somebody started by hand over there is a terminal while it runs, unless its name is another's or would be an
    /// agent's.
    async fn adopt(&self, machine: &Machine, listed: &[SessionInfo]) -> Result<(), Error> {
        let whereabouts = &self.inner.whereabouts;
        let is_listed = |name: &str| listed.iter().any(|session| session.name == name);
        let new = |session: &&SessionInfo| {
            whereabouts.of(&session.name).is_none() && !session.name.starts_with(rules::AGENTS)
        };
        let mut new: Vec<_> = listed.iter().filter(new).map(|session| session.name.clone()).collect();
        let left = whereabouts.on(machine.name()).into_iter().filter(|name| !is_listed(name)).collect::<Vec<_>>();
        if new.is_empty() && left.is_empty() {
            return Ok(());
        }
        let own = match self.engine().await {
            Ok(engine) if !new.is_empty() => engine.place().list().await?,
            _ => Vec::new(),
        };
        let rows = store::list(self.inner.db.read()).await?;
        let stored = |name: &str| rows.iter().any(|row| row.name == name);
        new.retain(|name| !stored(name) && !own.iter().any(|session| session.name == *name));
        let mut inner = whereabouts.lock();
        // It may have been removed meanwhile.
        if !inner.machines.contains_key(machine.name()) {
            return Ok(());
        }
        for name in left.iter().filter(|name| !stored(name)) {
            inner.homes.remove(name);
        }
        for name in new {
            inner.homes.entry(name).or_insert_with(|| machine.name().to_owned());
        }
        Ok(())
    }

    fn tell_all(&self, machine: &str) {
        for terminal in self.inner.whereabouts.on(machine) {
            self.stages().tell(&terminal);
        }
    }

    /// A machine that connects: the one that is known by that name, or else a new one.
    fn meet(&self, name: &str) -> Machine {
        let mut inner = self.inner.whereabouts.lock();
        let (tasks, stop, clock) = (&self.inner.tasks, &self.inner.stop, &self.inner.clock);
        let meet = || {
            let machine = Machine::new(name, clock.clone());
            let place = Place::There(machine.clone());
            (machine, Sessions::new(place, tasks.clone(), stop.clone(), clock.clone()))
        };
        inner.machines.entry(name.to_owned()).or_insert_with(meet).0.clone()
    }
}

/// Dropped after a link was served: who is at a terminal of the machine hears that it is away.
struct Tell<'a> {
    room: &'a Terminals,
    machine: Machine,
}

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.room.tell_all(self.machine.name());
    }
}

/// The refusal for a name that is another machine's.
pub(super) fn elsewhere(terminal: &str, machine: Option<&str>) -> Failure {
    let place = machine.map_or_else(|| "the hub's own machine".to_owned(), |machine| format!("the machine {machine}"));
    Failure::new(FailureKind::Conflict, format!("the terminal {terminal} runs on {place}; stop it there first"))
}

/// The refusal for a terminal whose machine is away: what runs there would be out of sight for good.
pub(super) fn lost(terminal: &str, machine: &str) -> Failure {
    let message = format!(
        "the terminal {terminal} is on the machine {machine}, which is not connected; connect that machine, or remove it on \
         the page Machines"
    );
    Failure::new(FailureKind::Conflict, message)
}
