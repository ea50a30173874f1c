//! The room's methods.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Began, Launch, TerminalDraft, TerminalState, TerminalView,
    feed::Feed,
    keyboard::Keyboards,
    links::Links,
    lives::Lives,
    place::Place,
    recording::Recordings,
    rules,
    scribe::Scribe,
    sessions::Sessions,
    stage::Stages,
    store,
    tickets::Tickets,
    tmux::{SessionInfo, Tmux},
    viewing::typed_event,
    whereabouts::{Whereabouts, elsewhere, lost},
};
use crate::{
    caller::{Actor, Caller, Right},
    clock::{Clock, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::HUB,
};

/// The size of a terminal that has never had another.
const SIZE: (u16, u16) = (160, 48);

/// Histories that are read at once: a long one takes some 60 MB while it is.
const HISTORIES: usize = 2;

/// The terminal that follows the hub's own log.
const SYSTEM: &str = "system";
/// The newest log file's name in [`log_folder`].
pub const LOG: &str = "central-mcp.log";

/// Where the hub's own log is kept.
pub fn log_folder(data: &Path) -> PathBuf {
    data.join("log")
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Terminals {
    pub(super) inner: Arc<Inner>,
}

/// What the clones share.
pub(super) struct Inner {
    pub(super) db: Db,
    pub(super) events: Events,
    pub(super) clock: Clock,
    data: PathBuf,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Opened at the first need: a hub without tmux is still a hub.
    pub(super) engine: OnceCell<Sessions>,
    pub(super) whereabouts: Whereabouts,
    pub(super) lives: Lives,
    pub(super) stages: Stages,
    pub(super) keyboards: Keyboards,
    pub(super) tickets: Tickets,
    /// By terminal: the bells heard of its feed, and whether one waits for somebody to look.
    rung: Mutex<HashMap<String, (u64, bool)>>,
    /// Held by who reads histories: each holds a whole one in memory.
    pub(super) histories: Semaphore,
    pub(super) recordings: Recordings,
    pub(super) links: Links,
    /// Since when a recording of a terminal runs, and what ends it.
    pub(super) recorders: Mutex<HashMap<String, (Option<Timestamp>, CancellationToken)>>,
    /// Writes down who came and went.
    pub(super) scribe: Scribe,
}

/// A session that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// The terminal's name.
    pub name: String,
    /// The process id of the session's process.
    pub pid: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// The last output.
    pub activity: Timestamp,
    /// Whether a bell rang that nobody has seen.
    pub bell: bool,
}

impl Terminals {
    /// Opens the room. Nothing is started, and tmux is not needed yet.
    pub async fn open(
        db: Db,
        events: Events,
        clock: Clock,
        data: &Path,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let recordings =
            Recordings::open(db.clone(), events.clone(), clock.clone(), data, tasks.clone(), stop.clone()).await?;
        let links = Links::open_room(db.clone(), events.clone(), clock.clone());
        let scribe = Scribe::open(db.clone(), events.clone(), &tasks, stop.clone());
        let whereabouts = Whereabouts::new(clock.now());
        for row in store::list(db.read()).await? {
            whereabouts.settle(&row.name, row.machine.as_deref());
        }
        let inner = Inner {
            db,
            events,
            clock,
            data: data.to_owned(),
            tasks,
            stop,
            engine: OnceCell::new(),
            whereabouts,
            lives: Lives::default(),
            stages: Stages::default(),
            keyboards: Keyboards::default(),
            tickets: Tickets::default(),
            rung: Mutex::default(),
            histories: Semaphore::new(HISTORIES),
            recordings,
            links,
            recorders: Mutex::default(),
            scribe,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// All terminals that the caller sees, by name: those that run, and those that the hub remembers.
    pub async fn list(&self, who: &Caller) -> Result<Vec<TerminalView>, Error> {
        who.must(Right::Look)?;
        // Without tmux nothing runs here; starting one says what to install.
        let running = if self.able().await { self.running().await? } else { Vec::new() };
        let mut live: HashMap<_, _> = running.into_iter().map(|info| (info.name.clone(), info)).collect();
        let rows = store::list(self.inner.db.read()).await?;
        let mut views: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let info = live.remove(&row.name);
                self.view(&row.name, row.agent.clone(), (row.cols, row.rows), row.recorded, info)
            })
            .collect();
        // Somebody may have started one by hand on our socket.
        views.extend(live.into_values().map(|info| {
            let name = info.name.clone();
            self.view(&name, None, (info.cols, info.rows), false, Some(info))
        }));
        views.retain(|view| rules::sees(who, &view.name).is_ok());
        views.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(views)
    }

    fn view(
        &self,
        name: &str,
        agent: Option<String>,
        (cols, rows): (u16, u16),
        recorded: bool,
        info: Option<SessionInfo>,
    ) -> TerminalView {
        let feed = self.peek(name);
        let machine = self.inner.whereabouts.of(name);
        let away = machine.as_ref().and_then(|machine| self.away(machine));
        TerminalView {
            name: name.to_owned(),
            agent,
            machine,
            state: match (away, &info) {
                (Some(_), _) => TerminalState::Away,
                (None, Some(_)) => TerminalState::Running,
                (None, None) => TerminalState::Ended,
            },
            away,
            pid: info.as_ref().map(|info| info.pid),
            cols: info.as_ref().map_or(cols, |info| info.cols),
            rows: info.as_ref().map_or(rows, |info| info.rows),
            title: match (&feed, &info) {
                (Some(feed), _) => feed.title(),
                (None, Some(info)) => info.title.clone(),
                (None, None) => String::new(),
            },
            viewers: self.inner.stages.count(name).viewers,
            keyboard: self.inner.keyboards.holding(name, self.now()).map(|holding| holding.by.actor),
            recorded,
            recording: self.recording_since(name),
            active_at: info.as_ref().map(|info| info.activity),
            started_at: info.as_ref().map(|info| info.started_at),
            needs: info.filter(|info| info.bell).map(|_| "rang the bell".to_owned()),
        }
    }

    /// Starts a terminal of one's own, or again one that has ended. Needs `Operate`.
    pub async fn start(&self, who: &Caller, draft: TerminalDraft) -> Result<(), Error> {
        who.must(Right::Operate)?;
        rules::draft(&draft)?;
        if let Some(agent) = store::get(self.inner.db.read(), &draft.name).await?.and_then(|row| row.agent) {
            let message = format!("{} is the terminal of the agent {agent}; start the agent instead", draft.name);
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        if draft.name.starts_with(rules::AGENTS) {
            let message = format!("names that begin with {} are those of agents; choose another", rules::AGENTS);
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        let machine = draft.machine.filter(|machine| machine != HUB);
        let (name, argv, folder) = (draft.name, draft.command, draft.folder.into());
        let launch = Launch { name, argv, folder, ..Launch::default() };
        self.start_session(&who.actor, launch, machine.as_deref(), None).await.map(drop)
    }

    /// Starts again what is known by this name, with what it was started with. Needs `Operate`.
    pub async fn start_again(&self, who: &Caller, name: &str) -> Result<(), Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        let row = store::get(self.inner.db.read(), name).await?;
        let (command, folder, machine) = row.map(|row| (row.command, row.folder, row.machine)).unwrap_or_default();
        let command = serde_json::from_str(&command).unwrap_or_default();
        self.start(who, TerminalDraft { name: name.to_owned(), command, folder, machine }).await
    }

    /// Starts a session for a part of the hub that has asked who may: on `machine`, `None` is the hub's own; for `agent`, whose
    /// terminal it is.
    pub async fn start_session(
        &self,
        actor: &Actor,
        mut launch: Launch,
        machine: Option<&str>,
        agent: Option<&str>,
    ) -> Result<Began, Error> {
        rules::name(&launch.name)?;
        let name = launch.name.clone();
        let before = self.inner.whereabouts.of(&name);
        if let Some(before) = before.as_deref().filter(|before| Some(*before) != machine)
            && self.away(before).is_some()
        {
            return Err(lost(&name, before).into());
        }
        if before.as_deref() != machine && self.live().await?.iter().any(|session| session.name == name) {
            return Err(elsewhere(&name, before.as_deref()).into());
        }
        let row = store::get(self.inner.db.read(), &name).await?;
        (launch.cols, launch.rows) = row.map_or(SIZE, |row| (row.cols, row.rows));
        let command = serde_json::to_string(&launch.argv).map_err(anyhow::Error::from)?;
        let folder = launch.folder.to_string_lossy().into_owned();
        let detail = launch.argv.first().map_or_else(|| "a shell".to_owned(), Clone::clone);
        let sessions = self.sessions_on(machine).await?;
        // Before it runs: when the answer is lost with the link, it is found there.
        self.inner.whereabouts.settle(&name, machine);
        let began = match sessions.place().start(&launch).await {
            Ok(began) => began,
            Err(error) => {
                if !matches!(&error, Error::Refused(failure) if failure.kind == FailureKind::Outside) {
                    self.inner.whereabouts.settle(&name, before.as_deref());
                }
                return Err(error);
            }
        };
        // Again: a list of its machine from before it ran may have taken it for one that has ended.
        self.inner.whereabouts.settle(&name, machine);
        // Only after it runs; a row without a session is merely one that has ended.
        self.inner.lives.started(&name, machine);
        let mut tx = self.inner.db.write().await?;
        let put = store::Put { name: &name, agent, machine, command: &command, folder: &folder };
        store::put(&mut *tx, &put, self.now()).await?;
        self.inner.events.commit(tx, actor, terminal_event("started", &name, detail)).await?;
        // Again: one that ended at once, before it was stored, is dropped from there like one started by hand.
        self.inner.whereabouts.settle(&name, machine);
        self.reconcile_recording().await?;
        Ok(began)
    }

    /// Ends a terminal's session with all that runs in it. Needs `Operate`.
    pub async fn stop(&self, who: &Caller, name: &str) -> Result<(), Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        if let Some(agent) = store::get(self.inner.db.read(), name).await?.and_then(|row| row.agent) {
            let message = format!("{name} is the terminal of the agent {agent}; stop the agent instead");
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        self.stop_session(&who.actor, name).await
    }

    /// Ends a session for a part of the hub that has asked who may.
    pub async fn stop_session(&self, actor: &Actor, name: &str) -> Result<(), Error> {
        rules::name(name)?;
        self.sessions_of(name).await?.place().stop(name).await?;
        self.inner.lives.stopped(name);
        if let Some(ended) = self.inner.keyboards.forget(name) {
            self.inner.scribe.note(Actor::Hub("terminals"), typed_event(name, &ended));
        }
        let written = async {
            let mut tx = self.inner.db.write().await?;
            store::set_wanted(&mut *tx, name, false).await?;
            self.inner.events.commit(tx, actor, terminal_event("stopped", name, "")).await.map(drop)
        };
        written.await.inspect_err(|_| self.inner.lives.ended_unwritten([name.to_owned()]))
    }

    /// Forgets a terminal that has ended. Its recordings stay. Needs `Operate`.
    pub async fn remove(&self, who: &Caller, name: &str) -> Result<(), Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        // Where no session can be held, none runs.
        if self.able().await && self.live().await?.iter().any(|session| session.name == name) {
            return Err(Failure::new(FailureKind::Conflict, format!("{name} still runs; stop it first")).into());
        }
        let mut tx = self.inner.db.write().await?;
        if store::delete(&mut *tx, name).await?.rows_affected() == 0 {
            return Err(Failure::not_found("this terminal").into());
        }
        // Another terminal may come to have its name.
        let links = self.inner.links.delete_all(&mut tx, &who.actor, name).await?;
        self.inner.events.commit(tx, &who.actor, terminal_event("removed", name, "")).await?;
        self.inner.whereabouts.settle(name, None);
        self.inner.links.close(&links);
        Ok(())
    }

    /// Makes the terminal `system`, which follows the hub's own log, unless it was ever there.
    pub async fn seed(&self) -> Result<(), Error> {
        if store::get(self.inner.db.read(), SYSTEM).await?.is_some() {
            return Ok(());
        }
        let log = log_folder(&self.inner.data).join(LOG);
        let argv = ["tail", "-n", "500", "-F", &log.to_string_lossy()].map(str::to_owned).to_vec();
        let command = serde_json::to_string(&argv).map_err(anyhow::Error::from)?;
        let mut tx = self.inner.db.write().await?;
        let put = store::Put { name: SYSTEM, agent: None, machine: None, command: &command, folder: "" };
        store::put(&mut *tx, &put, self.now()).await?;
        self.inner.events.commit(tx, &Actor::Loop("presence"), terminal_event("added", SYSTEM, "")).await?;
        Ok(())
    }

    /// One terminal by name. Needs `Look`.
    pub async fn get(&self, who: &Caller, name: &str) -> Result<TerminalView, Error> {
        let found = self.list(who).await?.into_iter().find(|terminal| terminal.name == name);
        found.ok_or_else(|| Failure::not_found("this terminal").into())
    }

    /// The sessions that run.
    pub async fn live(&self) -> Result<Vec<LiveSession>, Error> {
        let sessions = self.running().await?.into_iter().map(|info| LiveSession {
            name: info.name,
            pid: info.pid,
            started_at: info.started_at,
            activity: info.activity,
            bell: info.bell,
        });
        Ok(sessions.collect())
    }

    /// What runs here and on the machines that are connected. A bell counts until somebody is at the terminal: tmux itself forgets it as soon as we attach for a
    /// thumbnail or a recording.
    pub(super) async fn running(&self) -> Result<Vec<SessionInfo>, Error> {
        let look = self.inner.lives.look();
        let own = match self.engine().await {
            Ok(engine) => engine.place().look().await?,
            // A hub without tmux may have machines that have it.
            Err(error) if self.alone() => return Err(error),
            Err(_) => None,
        };
        let serves = own.is_some();
        let mut sessions = own.unwrap_or_default();
        // A name belongs to one place.
        sessions.retain(|session| self.inner.whereabouts.of(&session.name).is_none());
        if serves {
            self.inner.lives.listed(look, None, &sessions);
        }
        sessions.extend(self.far_sessions());
        let mut rung = self.inner.rung.lock().unwrap_or_else(PoisonError::into_inner);
        rung.retain(|name, _| sessions.iter().any(|session| session.name == *name));
        for session in &mut sessions {
            let bells = self.peek(&session.name).map_or(0, |feed| feed.bells());
            let (heard, waits) = rung.entry(session.name.clone()).or_default();
            *waits |= session.bell || bells > *heard;
            *heard = bells;
            if self.inner.stages.count(&session.name).viewers > 0 {
                *waits = false;
            }
            session.bell = *waits;
        }
        Ok(sessions)
    }

    /// Whether tmux ran on where this terminal is since before the hub's start, or before its machine connected: what is missing
    /// there has ended by itself. `None`: nobody has looked yet.
    pub fn ran_on(&self, terminal: &str) -> Option<bool> {
        self.inner.lives.ran_on(self.machine_of(terminal).as_deref())
    }

    /// Whether sessions can be held; the refusal says what to install.
    pub async fn ready(&self) -> Result<(), Error> {
        self.engine().await.map(drop)
    }

    /// Whether sessions can be held anywhere: a hub without tmux may have machines that have it.
    pub async fn able(&self) -> bool {
        self.ready().await.is_ok() || !self.alone()
    }

    /// Why no session can be held on the hub's own machine, and what to install; `None`: they can.
    pub async fn trouble(&self, who: &Caller) -> Result<Option<String>, Error> {
        who.must(Right::Look)?;
        Ok(self.ready().await.err().map(|why| why.to_string()))
    }

    /// The sessions of the hub's own machine; says what to install where tmux is missing.
    pub(super) async fn engine(&self) -> Result<&Sessions, Error> {
        let open = async || {
            let place = Place::Here(Tmux::open(&self.inner.data)?);
            let (tasks, stop) = (self.inner.tasks.clone(), self.inner.stop.clone());
            anyhow::Ok(Sessions::new(place, tasks, stop, self.inner.clock.clone()))
        };
        self.inner
            .engine
            .get_or_try_init(open)
            .await
            .map_err(|error| Failure::new(FailureKind::Outside, format!("{error:#}")).into())
    }

    /// The feed of a terminal that somebody watches.
    fn peek(&self, name: &str) -> Option<Arc<Feed>> {
        self.known_sessions(name)?.peek(name)
    }

    pub(super) fn stages(&self) -> &Stages {
        &self.inner.stages
    }

    pub(super) fn keyboards(&self) -> &Keyboards {
        &self.inner.keyboards
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(super) fn recording_since(&self, name: &str) -> Option<Timestamp> {
        let recorders = self.inner.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        recorders.get(name).and_then(|(since, _)| *since)
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(work);
    }
}

/// An event about a terminal.
pub(super) fn terminal_event(kind: &'static str, name: &str, detail: impl Into<String>) -> NewEvent {
    NewEvent::new(Topic::Terminals, kind, name, detail)
}
