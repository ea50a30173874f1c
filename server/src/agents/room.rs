//! The room's methods.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::task::TaskTracker;

use super::{
    AgentDraft, AgentState, AgentView, Needs, ProfileView, Waiting, Wanted, profiles, rules,
    sessions::{Crew, Seen},
    store::{self, AgentRow},
    terminal,
};
use crate::{
    auth::{Auth, Heard, TokenView},
    caller::{Caller, Right},
    clock::{Clock, Timestamp},
    config,
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::AgentId,
    secrets::Secrets,
    terminals::Terminals,
};

/// The hub's own hand here, and the maker of agents' tokens: a token must not end with the account of who pressed "Start".
pub(super) static KEEPER: Caller = Caller::of_loop("presence");

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Agents {
    pub(super) db: Db,
    pub(super) events: Events,
    pub(super) clock: Clock,
    pub(super) secrets: Secrets,
    pub(super) auth: Auth,
    pub(super) terminals: Terminals,
    /// The hub's data folder, absolute.
    pub(super) data: Arc<Path>,
    /// Where programs are looked for.
    pub(super) path: Arc<[PathBuf]>,
    /// Where the hub answers MCP, once it does.
    pub(super) address: Arc<Mutex<Option<String>>>,
    pub(super) crew: Arc<Mutex<Crew>>,
    /// Held while sessions are started and stopped, so that nobody starts one twice.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    tasks: TaskTracker,
}

impl Agents {
    /// Opens the room. Nothing is started before [`Agents::begin`]. `path`: the folders where programs are looked for. What
    /// must not be left half done runs in `tasks`.
    #[expect(clippy::too_many_arguments, reason = "the floor and two rooms; named once, in the hub")]
    pub fn open(
        db: Db,
        events: Events,
        clock: Clock,
        secrets: Secrets,
        auth: Auth,
        terminals: Terminals,
        data: &Path,
        path: Vec<PathBuf>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            db,
            events,
            clock,
            secrets,
            auth,
            terminals,
            data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()).into(),
            path: path.into(),
            address: Arc::default(),
            crew: Arc::default(),
            turn: Arc::default(),
            tasks,
        }
    }

    /// Says where the hub answers MCP (`http://127.0.0.1:3000/mcp`): from now on sessions are started. The very first time
    /// the default crew is made, if it is wanted (`first_crew`).
    pub async fn begin(&self, address: String, first_crew: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        if !store::defaults_made(&mut tx).await? {
            store::set_defaults_made(&mut tx, now).await?;
            for draft in first_crew.then(rules::defaults).into_iter().flatten() {
                let row = self.row(AgentId::new(now), rules::check(draft)?, &[], Wanted::Running, now)?;
                store::insert(&mut tx, &row).await?;
                self.events.append(&mut tx, &KEEPER.actor, event("added", &row)).await?;
            }
        }
        // No event is the change's last word, for there may be none.
        tx.commit().await?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        Ok(())
    }

    /// The slugs of the agents in this database; for the command line, which opens no rooms beside a hub.
    pub async fn slugs(db: &Db) -> Result<Vec<String>, Error> {
        store::slugs(db.read()).await
    }

    /// All agents by slug.
    pub async fn list(&self, who: &Caller) -> Result<Vec<AgentView>, Error> {
        who.must(Right::Look)?;
        let (rows, tokens) = tokio::try_join!(store::list(self.db.read()), self.auth.tokens(&KEEPER))?;
        Ok(rows.into_iter().map(|row| self.view(who, row, &tokens)).collect())
    }

    /// One agent.
    pub async fn get(&self, who: &Caller, id: AgentId) -> Result<AgentView, Error> {
        who.must(Right::Look)?;
        let (row, tokens) = tokio::try_join!(self.stored(id), self.auth.tokens(&KEEPER))?;
        Ok(self.view(who, row, &tokens))
    }

    /// The agents that need somebody, the one that waits longest first. What they need is read from their screens, so it is
    /// told to those who see them.
    pub async fn waiting(&self, who: &Caller) -> Result<Vec<Waiting>, Error> {
        who.must(Right::Look)?;
        if self.seen().values().all(|seen| seen.needs.is_none()) {
            return Ok(Vec::new());
        }
        let rows = store::list(self.db.read()).await?;
        let crew = self.seen();
        let needs = |row: AgentRow| {
            let needs = crew.get(&row.id)?.needs.clone()?;
            self.terminals.sees(who, &terminal(&row.draft.slug)).then_some(())?;
            Some(Waiting { slug: row.draft.slug, name: row.draft.name, needs })
        };
        let mut waiting: Vec<_> = rows.into_iter().filter_map(needs).collect();
        waiting.sort_by_key(|one| one.needs.since);
        Ok(waiting)
    }

    /// The programs that an agent may run in.
    pub fn profiles(&self, who: &Caller) -> Result<Vec<ProfileView>, Error> {
        who.must(Right::Look)?;
        let found = |program: &str| program.is_empty() || config::find_program(program, &self.path).is_some();
        Ok(profiles::ALL.iter().map(|profile| profile.view(found(profile.program))).collect())
    }

    /// Makes an agent, not started.
    pub async fn create(&self, who: &Caller, draft: AgentDraft) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let (draft, now) = (rules::check(draft)?, self.clock.now());
        let row = self.row(AgentId::new(now), draft, &[], Wanted::Stopped, now)?;
        let mut tx = self.db.write().await?;
        if store::slug_taken(&mut tx, &row.draft.slug).await? {
            return Err(conflict(format!("there is already an agent {}; choose another slug", row.draft.slug)));
        }
        store::insert(&mut tx, &row).await?;
        self.events.commit(tx, &who.actor, event("added", &row)).await?;
        self.get(who, row.id).await
    }

    /// Replaces an agent's settings, all but its slug. A session that runs keeps what it was started with.
    pub async fn edit(&self, who: &Caller, id: AgentId, draft: AgentDraft) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let draft = rules::check(draft)?;
        let old = self.stored(id).await?;
        if draft.slug != old.draft.slug {
            return Err(Failure::invalid("the slug stays for life; make another agent instead").into());
        }
        let row = self.row(id, draft, &old.environment, old.wanted, old.created_at)?;
        let mut tx = self.db.write().await?;
        if store::update(&mut tx, &row, self.clock.now()).await? == 0 {
            return Err(missing().into());
        }
        self.events.commit(tx, &who.actor, event("changed", &row)).await?;
        self.get(who, id).await
    }

    /// Replaces an agent's settings for somebody who may have seen them as `before`: what another has changed since is then not
    /// written over.
    pub async fn edit_seen(
        &self,
        who: &Caller,
        id: AgentId,
        before: Option<&AgentDraft>,
        draft: AgentDraft,
    ) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let now = self.get(who, id).await?.draft;
        if before.is_some_and(|before| now != *before) {
            return Err(conflict(format!("{} was changed meanwhile; reload the page to see it", now.name)));
        }
        self.edit(who, id, draft).await
    }

    /// Ends an agent's session, revokes its token, forgets its settings. Its folder of work stays.
    pub async fn delete(&self, who: &Caller, id: AgentId) -> Result<(), Error> {
        who.must(Right::Operate)?;
        let (room, who) = (self.clone(), who.clone());
        self.whole(async move {
            let _turn = room.turn.lock().await;
            let row = room.stored(id).await?;
            room.end(&who.actor, &row).await?;
            let mut tx = room.db.write().await?;
            if store::delete(&mut tx, id).await? == 0 {
                return Err(missing().into());
            }
            room.events.commit(tx, &who.actor, event("removed", &row)).await?;
            room.seen().remove(&id);
            match room.terminals.remove(&who, &terminal(&row.draft.slug)).await {
                // It was never started.
                Err(Error::Refused(failure)) if failure.kind == FailureKind::NotFound => Ok(()),
                other => other,
            }
        })
        .await
    }

    /// Starts an agent's session, and from then on keeps it running.
    pub async fn start(&self, who: &Caller, id: AgentId) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let (room, actor) = (self.clone(), who.actor.clone());
        self.whole(async move {
            let _turn = room.turn.lock().await;
            let row = room.stored(id).await?;
            if room.is_live(&row).await? {
                return Err(conflict(format!("{} runs already; restart it instead", row.draft.name)));
            }
            room.launch(&actor, &row, "started").await
        })
        .await?;
        self.get(who, id).await
    }

    /// Ends an agent's session, and keeps it ended. Its token ends with it.
    pub async fn stop(&self, who: &Caller, id: AgentId) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let (room, actor) = (self.clone(), who.actor.clone());
        self.whole(async move {
            let _turn = room.turn.lock().await;
            let row = room.stored(id).await?;
            if row.wanted == Wanted::Stopped && !room.is_live(&row).await? {
                return Err(conflict(format!("{} is stopped already", row.draft.name)));
            }
            // First, so that a failure below leaves nothing that starts it again.
            let mut tx = room.db.write().await?;
            store::set_wanted(&mut tx, id, Wanted::Stopped, room.clock.now()).await?;
            // It is as somebody wants it.
            store::set_problem(&mut tx, id, None, None).await?;
            room.events.commit(tx, &actor, event("stopped", &row)).await?;
            room.end_for_good(&actor, &row).await
        })
        .await?;
        self.get(who, id).await
    }

    /// Ends an agent's session if it runs, and starts it with its present settings.
    pub async fn restart(&self, who: &Caller, id: AgentId) -> Result<AgentView, Error> {
        who.must(Right::Operate)?;
        let (room, actor) = (self.clone(), who.actor.clone());
        self.whole(async move {
            let _turn = room.turn.lock().await;
            let row = room.stored(id).await?;
            let kind = if room.is_live(&row).await? { "restarted" } else { "started" };
            room.end(&actor, &row).await?;
            room.launch(&actor, &row, kind).await
        })
        .await?;
        self.get(who, id).await
    }

    /// Does `work` to its end, also when nobody waits for it any more: who closes a page drops what the page asked for, and half
    /// a start is a session that no token fits.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.tasks.spawn(work).await;
        done.unwrap_or_else(|cause| Err(anyhow::Error::from(cause).context("the work broke off").into()))
    }

    pub(super) async fn stored(&self, id: AgentId) -> Result<AgentRow, Error> {
        Ok(store::get(self.db.read(), id).await?.ok_or_else(missing)?)
    }

    async fn is_live(&self, row: &AgentRow) -> Result<bool, Error> {
        let name = terminal(&row.draft.slug);
        Ok(self.live().await?.iter().any(|session| session.name == name))
    }

    /// What was heard of an agent by any token that speaks for it; stored is the last call, to the minute.
    pub(super) fn heard(&self, tokens: &[TokenView], row: &AgentRow) -> Heard {
        let slug = row.draft.slug.as_str();
        let own = tokens.iter().filter(|token| token.agent.as_deref() == Some(slug));
        let stored = own.filter_map(|token| token.last_used_at).max();
        let heard = self.auth.heard(slug);
        Heard { call: heard.call.max(stored), ..heard }
    }

    fn view(&self, who: &Caller, row: AgentRow, tokens: &[TokenView]) -> AgentView {
        let token_prefix = tokens.iter().find(|token| Some(token.id) == row.token_id).map(|token| token.prefix.clone());
        let heard = self.heard(tokens, &row);
        let (mut nothing, mut crew) = (Seen::default(), self.seen());
        let seen = crew.get_mut(&row.id).unwrap_or(&mut nothing);
        seen.heard = heard;
        let state = seen.state(&row);
        let quoted = self.terminals.sees(who, &terminal(&row.draft.slug));
        // What its screen says is for those who see it.
        let needs = seen.needs.clone().map(|needs| match quoted {
            true => needs,
            false => Needs { text: "needs somebody".to_owned(), ..needs },
        });
        AgentView {
            id: row.id,
            profile: profiles::find(&row.draft.profile)
                .map_or_else(|| row.draft.profile.clone(), |it| it.name.to_owned()),
            terminal: terminal(&row.draft.slug),
            wanted: row.wanted,
            state,
            started_at: seen.started,
            next_try: seen.life.not_before.filter(|_| state == AgentState::Starting),
            problem: row.problem,
            contact: seen.contact(),
            needs,
            token_prefix,
            created_at: row.created_at,
            draft: AgentDraft { environment: super::environment::shown(&row.environment), ..row.draft },
        }
    }

    /// What is stored of a checked draft. `before`: the variables whose secrets may be kept.
    fn row(
        &self,
        id: AgentId,
        mut draft: AgentDraft,
        before: &[store::StoredVariable],
        wanted: Wanted,
        created_at: Timestamp,
    ) -> Result<AgentRow, Error> {
        let given = std::mem::take(&mut draft.environment);
        let environment = super::environment::stored(&self.secrets, id, given, before)?;
        let (token_id, problem, stand_in) = (None, None, None);
        Ok(AgentRow { id, draft, environment, token_id, wanted, problem, stand_in, created_at })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn event(kind: &'static str, row: &AgentRow) -> NewEvent {
    NewEvent::new(Topic::Agents, kind, row.id, row.draft.name.clone())
}

pub(super) fn conflict(message: String) -> Error {
    Failure::new(FailureKind::Conflict, message).into()
}

fn missing() -> Failure {
    Failure::not_found("this agent")
}
