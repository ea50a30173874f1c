//! Which terminal is on which machine, and the machines that hold some.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Belongings, Home, LinkEnd, far::Machine, place::Place, room::Terminals, sessions::Sessions, store,
    tmux::SessionInfo,
};
use crate::{
    clock::Timestamp,
    error::{Error, Failure, FailureKind},
};

/// See the module. In memory; the table of terminals remembers the first half.
#[derive(Default)]
pub(super) struct Whereabouts(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Machine by terminal. One that is not here is on the hub's own.
    homes: HashMap<String, String>,
    machines: HashMap<String, (Machine, Sessions)>,
}

impl Whereabouts {
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

    /// Every machine met since the start.
    fn machines(&self) -> Vec<Machine> {
        self.lock().machines.values().map(|(machine, _)| machine.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminals {
    /// Serves a machine's link until it is cut, or a newer one of the same machine has come, or the future is dropped. What should run there and does not is
    /// started again.
    pub async fn connect(&self, machine: &str, home: Home, link: LinkEnd) {
        let (machine, _) = self.machine(machine);
        let mut changes = machine.changes();
        let _tell = Tell { room: self, machine: machine.clone() };
        let told = async {
            let mut first = true;
            while changes.changed().await.is_ok() {
                if let Err(error) = self.adopt(&machine).await {
                    tracing::warn!(machine = machine.name(), %error, "its sessions cannot be looked at");
                }
                self.tell_all(machine.name());
                if std::mem::take(&mut first) {
                    let (room, name) = (self.clone(), machine.name().to_owned());
                    self.spawn(async move {
                        if let Err(error) = room.resume_on(Some(&name)).await {
                            tracing::warn!(machine = name, %error, "its terminals cannot be started again");
                        }
                    });
                }
            }
        };
        tokio::select! {
            () = machine.serve(home, link) => {}
            () = told => {}
        }
    }

    /// Forgets a machine that was removed, and the terminals on it. Their sessions run on there; nobody is there to end them.
    pub async fn forget_machine(&self, machine: &str) -> Result<(), Error> {
        let mut tx = self.inner.db.write().await?;
        store::delete_on(&mut *tx, machine).await?;
        tx.commit().await?;
        let mut inner = self.inner.whereabouts.lock();
        inner.homes.retain(|_, home| home != machine);
        inner.machines.remove(machine);
        Ok(())
    }

    /// The folder and the way to the hub of a machine that is connected.
    pub fn home(&self, machine: &str) -> Result<Home, Failure> {
        self.machine(machine).0.home()
    }

    /// The machine that a terminal is on, or was last; `None`: the hub's own.
    pub fn machine_of(&self, terminal: &str) -> Option<String> {
        self.inner.whereabouts.of(terminal)
    }

    /// Since when a machine is not connected; `None`: it is.
    pub fn away(&self, machine: &str) -> Option<Timestamp> {
        self.machine(machine).0.away()
    }

    /// Removes what an agent's session was given.
    pub async fn forget(&self, machine: Option<&str>, belongings: &Belongings) -> Result<(), Error> {
        self.sessions_on(machine).await?.place().forget(belongings).await
    }

    /// Whether no machine is known but the hub's own.
    pub(super) fn alone(&self) -> bool {
        self.inner.whereabouts.lock().machines.is_empty()
    }

    /// The sessions of the place where a terminal is.
    pub(super) async fn sessions_of(&self, terminal: &str) -> Result<Sessions, Error> {
        self.sessions_on(self.inner.whereabouts.of(terminal).as_deref()).await
    }

    /// The sessions of a machine; `None`: of the hub's own.
    pub(super) async fn sessions_on(&self, machine: Option<&str>) -> Result<Sessions, Error> {
        match machine {
            Some(machine) => Ok(self.machine(machine).1),
            None => Ok(self.engine().await?.clone()),
        }
    }

    /// The sessions of the place where a terminal is, if that place was looked at.
    pub(super) fn known_sessions(&self, terminal: &str) -> Option<Sessions> {
        match self.inner.whereabouts.of(terminal) {
            Some(machine) => Some(self.machine(&machine).1),
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
        let machines = self.inner.whereabouts.machines();
        let listed = machines.iter().filter_map(|machine| Some((machine.name(), machine.list().ok()?)));
        let own = |(machine, sessions): (&str, Vec<SessionInfo>)| {
            let here = |session: &SessionInfo| self.inner.whereabouts.of(&session.name).as_deref() == Some(machine);
            sessions.into_iter().filter(here).collect::<Vec<_>>()
        };
        listed.flat_map(own).collect()
    }

    /// A session that somebody started by hand over there is a terminal, unless its name is another's.
    async fn adopt(&self, machine: &Machine) -> Result<(), Error> {
        for session in machine.known() {
            if self.inner.whereabouts.of(&session.name).is_none()
                && store::get(self.inner.db.read(), &session.name).await?.is_none()
                && !self.running().await?.iter().any(|known| known.name == session.name)
            {
                self.inner.whereabouts.settle(&session.name, Some(machine.name()));
            }
        }
        Ok(())
    }

    fn tell_all(&self, machine: &str) {
        let inner = self.inner.whereabouts.lock();
        for (terminal, _) in inner.homes.iter().filter(|(_, home)| *home == machine) {
            self.stages().tell(terminal);
        }
    }

    fn machine(&self, name: &str) -> (Machine, Sessions) {
        let mut inner = self.inner.whereabouts.lock();
        let (tasks, stop, clock) = (&self.inner.tasks, &self.inner.stop, &self.inner.clock);
        let meet = || {
            let machine = Machine::new(name, clock.clone());
            let place = Place::There(machine.clone());
            (machine, Sessions::new(place, tasks.clone(), stop.clone(), clock.clone()))
        };
        inner.machines.entry(name.to_owned()).or_insert_with(meet).clone()
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
