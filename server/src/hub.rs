//! The hub: all rooms, opened in order. Cheap to clone; the only thing put into Leptos' context.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agents::Agents,
    auth::Auth,
    caller::{Caller, Right},
    clock::Clock,
    config,
    db::Db,
    error::{Error, Failure, FailureKind},
    events::Events,
    images::Images,
    machines::Machines,
    secrets::Secrets,
    services::{Endpoint, Services},
    terminals::{TerminalView, Terminals},
};

/// Every room, and the floor they share.
#[derive(Clone)]
pub struct Hub {
    /// Who may come in.
    pub auth: Auth,
    /// Outside services.
    pub services: Services,
    /// Images.
    pub images: Images,
    /// Terminals.
    pub terminals: Terminals,
    /// Agents.
    pub agents: Agents,
    /// Machines that hold sessions.
    pub machines: Machines,
    /// The audit log.
    pub events: Events,
    /// The time.
    pub clock: Clock,
    /// The database, for readiness and backups.
    pub db: Db,
    /// Everything that runs beside requests; waited for at the end.
    pub tasks: TaskTracker,
    /// Fires when the program should end.
    pub stop: CancellationToken,
    /// Held while the hub is open: two on one folder would draw each other's images. The system lets go of it with the process.
    lock: Arc<std::fs::File>,
}

impl Hub {
    /// Opens everything in `data`, which is made with mode 0700 if it is not there. `secret_key` stands in for the key file.
    pub async fn open(data: &Path, secret_key: Option<&str>, clock: Clock) -> anyhow::Result<Self> {
        private_folder(data)?;
        let lock = lock(data)?;
        let secrets = open_secrets(data, secret_key)?;
        let db = Db::open(&data.join(DATABASE)).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let events = Events::open(db.clone(), clock.clone()).await?;
        let auth = Auth::open(db.clone(), events.clone(), clock.clone()).await?;
        let auth = auth.with_doorman(&tasks, stop.clone()).await?;
        let services = Services::open(db.clone(), events.clone(), clock.clone(), secrets.clone(), Endpoint::client()?);
        let images = Images::open(
            db.clone(),
            events.clone(),
            clock.clone(),
            services.clone(),
            data,
            tasks.clone(),
            stop.clone(),
        )?;
        let terminals =
            Terminals::open(db.clone(), events.clone(), clock.clone(), data, tasks.clone(), stop.clone()).await?;
        let agents = Agents::open(
            db.clone(),
            events.clone(),
            clock.clone(),
            secrets,
            auth.clone(),
            terminals.clone(),
            data,
            config::programs(),
            tasks.clone(),
        );
        let machines = Machines::open(db.clone(), events.clone(), clock.clone(), data, tasks.clone(), stop.clone());
        Ok(Self {
            auth,
            services,
            images,
            terminals,
            agents,
            machines,
            events,
            clock,
            db,
            tasks,
            stop,
            lock: Arc::new(lock),
        })
    }

    /// Removes a machine, its agents' tokens, its terminals: no room knows all of them. Done to its end also when nobody waits
    /// for it any more; one that was cut off by a crash is finished by doing it again.
    pub async fn remove_machine(&self, who: &Caller, name: &str) -> Result<(), Error> {
        who.must(Right::Operate)?;
        let (hub, who, name) = (self.clone(), who.clone(), name.to_owned());
        let work = async move {
            let removed = hub.machines.remove(&who, &name).await;
            let gone = matches!(&removed, Err(Error::Refused(failure)) if failure.kind == FailureKind::NotFound);
            if removed.is_ok() || gone {
                hub.agents.forget_machine(&who.actor, &name).await?;
                hub.terminals.forget_machine(&who.actor, &name).await?;
            }
            removed
        };
        let done = self.tasks.spawn(work).await;
        done.unwrap_or_else(|cause| Err(anyhow::Error::from(cause).context("the removal broke off").into()))
    }

    /// All terminals that the caller sees, with what their agents ask: a bell the terminals hear themselves, a question only the
    /// room of agents reads.
    pub async fn list_terminals(&self, who: &Caller) -> Result<Vec<TerminalView>, Error> {
        let mut all = self.terminals.list(who).await?;
        for waiting in self.agents.waiting(who).await? {
            let its = all.iter_mut().filter(|one| one.agent.as_ref() == Some(&waiting.slug));
            its.for_each(|one| one.needs = Some(waiting.needs.text.clone()));
        }
        Ok(all)
    }

    /// Starts a terminal that has ended as it was started before; of an agent's, the agent.
    pub async fn start_terminal_again(&self, who: &Caller, name: &str) -> Result<(), Error> {
        let Some(slug) = self.terminals.get(who, name).await?.agent else {
            return self.terminals.start_again(who, name).await;
        };
        let agent = self.agents.list(who).await?.into_iter().find(|agent| agent.draft.slug == slug);
        self.agents.start(who, agent.ok_or_else(|| Failure::not_found("this agent"))?.id).await.map(drop)
    }

    /// Ends: tells everything to stop, waits up to 10 s for what runs, writes the database back.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(std::time::Duration::from_secs(10), self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some tasks did not end within 10 s; they are dropped");
        }
        self.db.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data folder stays locked until this process ends");
        }
    }
}

/// The database's file name in the data folder.
pub const DATABASE: &str = "central-mcp.db";

/// The key from a setting, or else from the key file in the data folder.
pub fn open_secrets(data: &Path, secret_key: Option<&str>) -> anyhow::Result<Secrets> {
    match secret_key {
        Some(key) => Secrets::from_hex(key),
        None => Secrets::from_file(&data.join("secret.key")),
    }
}

/// Takes the folder for this hub alone.
fn lock(data: &Path) -> anyhow::Result<std::fs::File> {
    let path = data.join("hub.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
            "another hub has the data folder {}; end it, or choose another folder with --data",
            data.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Makes a folder that only its owner can enter.
pub fn private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let shown = folder.display();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the data folder {shown}; choose another with --data"))?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot restrict the data folder {shown}"))
}
