//! The room's methods.

use std::{path::Path, sync::Arc};

use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    FactsReader, Greeting, HUB, MachineDraft, MachineState, MachineView, NewMachine, PROTOCOL, ProgramView, Seat,
    facts::{Cached, system},
    program::Program,
    rules,
    seats::Seats,
    store::{self, Row},
};
use crate::{
    caller::{Caller, Right},
    clock::{Clock, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    secrets::sha256,
};

/// The machines themselves, as the audit log calls them: what they do, no person does.
static KEEPER: Caller = Caller::of_hub("machines");

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Machines(Arc<Inner>);

struct Inner {
    db: Db,
    events: Events,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
    seats: Seats,
    /// How busy the hub's own machine is.
    own: Cached,
    opened_at: Timestamp,
    program: OnceCell<Program>,
}

/// What a machine gets for its one-time secret.
#[derive(Clone)]
pub struct Joined {
    /// Its name.
    pub machine: String,
    /// Its key: `cmr_` and 64 hexadecimal characters.
    pub key: String,
}

impl Machines {
    /// Opens the room. `data`: the folder whose file system the hub's own facts are about.
    pub fn open(
        db: Db,
        events: Events,
        clock: Clock,
        data: &Path,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (own, opened_at) = (Cached::new(FactsReader::new(data)), clock.now());
        let (seats, program) = (Seats::default(), OnceCell::new());
        Self(Arc::new(Inner { db, events, clock, tasks, stop, seats, own, opened_at, program }))
    }

    /// All machines: the hub's own first, the others by name.
    pub async fn list(&self, who: &Caller) -> Result<Vec<MachineView>, Error> {
        who.must(Right::Look)?;
        let rows = store::list(self.0.db.read()).await?;
        let mut list = vec![self.own().await];
        list.extend(rows.into_iter().map(|row| self.view(row)));
        Ok(list)
    }

    /// Lets a machine join, once and within an hour. One that is there already may join anew, for a machine that was set up
    /// again: its key is replaced when the secret is used, and holds until then.
    pub async fn add(&self, who: &Caller, draft: MachineDraft) -> Result<NewMachine, Error> {
        who.must(Right::Operate)?;
        let (name, now) = (rules::check(draft)?, self.now());
        let (join, expires_at) = (rules::secret(rules::JOIN), now.plus(rules::JOIN_AGE));
        let mut tx = self.0.db.write().await?;
        if store::get(&mut *tx, &name).await?.is_none() && store::count(&mut *tx).await? >= rules::MOST {
            let message = format!("there are {} machines already; remove those that nobody needs", rules::MOST);
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        store::invite(&mut *tx, &name, sha256(join.as_bytes()), expires_at, &who.actor.to_string(), now).await?;
        let row = store::get(&mut *tx, &name).await?.ok_or_else(missing)?;
        self.0.events.commit(tx, &who.actor, event("added", &name)).await?;
        Ok(NewMachine { view: self.view(row), join, expires_at })
    }

    /// Removes a machine: its key opens nothing from now on, and its link is closed. What runs on it is left alone.
    pub async fn remove(&self, who: &Caller, name: &str) -> Result<(), Error> {
        who.must(Right::Operate)?;
        let mut tx = self.0.db.write().await?;
        if store::delete(&mut *tx, name).await?.rows_affected() == 0 {
            return Err(missing().into());
        }
        self.0.events.commit(tx, &who.actor, event("removed", name)).await?;
        self.0.seats.withdraw(name);
        Ok(())
    }

    /// Turns a one-time secret into a key. A link that the machine still has ends, for it came with the key before.
    pub async fn join(&self, secret: &str) -> Result<Joined, Error> {
        if !rules::is_secret(rules::JOIN, secret) {
            return Err(no_join().into());
        }
        let key = rules::secret(rules::KEY);
        let mut tx = self.0.db.write().await?;
        let hashes = (sha256(secret.as_bytes()), sha256(key.as_bytes()));
        let machine = store::join(&mut *tx, hashes.0, hashes.1, self.now()).await?.ok_or_else(no_join)?;
        self.0.events.commit(tx, &KEEPER.actor, event("joined", &machine)).await?;
        self.0.seats.withdraw(&machine);
        Ok(Joined { machine, key })
    }

    /// Whether `secret` is a one-time secret that may be used, or a machine's key: who has one may have the program.
    pub async fn admits(&self, secret: &str) -> Result<bool, Error> {
        if rules::is_secret(rules::JOIN, secret) {
            let found = store::of_join(self.0.db.read(), sha256(secret.as_bytes()), self.now()).await?;
            return Ok(found.is_some());
        }
        Ok(self.of_key(secret).await?.is_some())
    }

    /// The machine whose key `key` is.
    pub async fn of_key(&self, key: &str) -> Result<Option<String>, Error> {
        if !rules::is_secret(rules::KEY, key) {
            return Ok(None);
        }
        Ok(store::of_key(self.0.db.read(), sha256(key.as_bytes())).await?)
    }

    /// Gives the machine whose key `key` is its seat, for as long as the answer is kept. An older link of it must go.
    pub async fn connected(&self, key: &str, greeting: Greeting) -> Result<Seat, Error> {
        let name = self.of_key(key).await?.ok_or_else(unknown)?;
        let greeting =
            Greeting { version: rules::words(&greeting.version), system: rules::words(&greeting.system), ..greeting };
        let (key_hash, now) = (sha256(key.as_bytes()), self.now());
        let mut tx = self.0.db.write().await?;
        if store::seen(&mut *tx, &name, key_hash, now).await?.rows_affected() == 0 {
            return Err(unknown().into());
        }
        // Seated before the commit: who withdraws the key writes after it, and finds the seat.
        let seat = Seat::take(self.clone(), name.clone(), key_hash, greeting, now);
        self.0.events.commit(tx, &KEEPER.actor, event("connected", &name)).await?;
        Ok(seat)
    }

    /// The program that a machine is given. Its checksum is computed once, beside the async threads.
    pub async fn program(&self) -> Result<&Program, Error> {
        Ok(self.0.program.get_or_try_init(Program::read).await?)
    }

    /// What is said of that program where the install line is shown.
    pub async fn program_for(&self, who: &Caller) -> Result<ProgramView, Error> {
        who.must(Right::Look)?;
        Ok(self.program().await?.view().clone())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.0.seats
    }

    /// Writes that a machine is here.
    pub(super) async fn seen(&self, name: &str, key_hash: [u8; 32]) -> Result<(), Error> {
        let mut tx = self.0.db.write().await?;
        store::seen(&mut *tx, name, key_hash, self.now()).await?;
        // No event: nothing has changed.
        Ok(tx.commit().await?)
    }

    /// Writes that a machine is away, and until when it was here.
    pub(super) fn lost(&self, name: String, key_hash: [u8; 32]) {
        let machines = self.clone();
        self.0.tasks.spawn(async move {
            if let Err(error) = machines.write_lost(&name, key_hash).await {
                tracing::warn!(%error, machine = name, "it cannot be written that a machine is away");
            }
        });
    }

    async fn write_lost(&self, name: &str, key_hash: [u8; 32]) -> Result<(), Error> {
        // The machine is not lost when the hub ends, nor when it has come back by now.
        let back = self.0.seats.known(name).is_some_and(|known| known.since.is_some());
        if back || self.0.stop.is_cancelled() {
            return self.seen(name, key_hash).await;
        }
        let mut tx = self.0.db.write().await?;
        if store::seen(&mut *tx, name, key_hash, self.now()).await?.rows_affected() > 0 {
            self.0.events.commit(tx, &KEEPER.actor, event("lost", name)).await?;
        }
        Ok(())
    }

    async fn own(&self) -> MachineView {
        let (facts, facts_at) = self.0.own.get(&self.0.clock).await.unzip();
        MachineView {
            name: HUB.to_owned(),
            state: MachineState::Connected,
            since: Some(self.0.opened_at),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            protocol: Some(PROTOCOL),
            system: Some(system()),
            facts,
            facts_at,
            join_expires_at: None,
            address: None,
        }
    }

    fn view(&self, row: Row) -> MachineView {
        let known = self.0.seats.known(&row.name);
        let here = known.as_ref().and_then(|known| known.since);
        let state = match (here, row.joined_at) {
            (Some(_), _) => MachineState::Connected,
            (None, Some(_)) => MachineState::Away,
            (None, None) => MachineState::Invited,
        };
        let (facts, facts_at) = known.as_ref().and_then(|known| known.facts.clone()).unzip();
        let greeting = known.map(|known| known.greeting);
        MachineView {
            name: row.name,
            state,
            since: here.or(row.seen_at),
            version: greeting.as_ref().map(|said| said.version.clone()),
            protocol: greeting.as_ref().map(|said| said.protocol),
            system: greeting.as_ref().map(|said| said.system.clone()),
            facts,
            facts_at,
            join_expires_at: row.join_expires_at.filter(|end| *end > self.now()),
            address: greeting.map(|said| said.address),
        }
    }
}

fn event(kind: &'static str, name: &str) -> NewEvent {
    NewEvent::new(Topic::Machines, kind, name, name)
}

fn missing() -> Failure {
    Failure::not_found("this machine")
}

/// One answer, whether there never was such a secret, it was used, or its time is over.
fn no_join() -> Failure {
    let message = "this token lets no machine in: it was used, its hour is over, or a part of it is missing. \
                   Make another on the page Machines";
    Failure::new(FailureKind::Unauthorized, message)
}

/// The refusal for a key that is none (any more).
pub(crate) fn unknown() -> Failure {
    let message = "the hub does not know this machine: it was removed, or has joined anew from elsewhere. \
                   Add it again on the page Machines";
    Failure::new(FailureKind::Unauthorized, message)
}
