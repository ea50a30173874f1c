//! The reconciler: what runs is moved towards what is wanted, screens are read, and the log hears what is new.

use super::{
    AgentState, Agents, Wanted,
    launch::is_of,
    profiles,
    room::{KEEPER, event},
    rules::{self, Life, Step},
    store::{self, AgentRow},
    terminal,
};
use crate::{
    auth::TokenView,
    clock::MINUTE,
    error::{Error, Failure},
    terminals::LiveSession,
};

/// Who was quiet for so long is at rest.
const REST: i64 = MINUTE;

impl Agents {
    /// Compares what is wanted with what runs, and moves it there: starts what should run (with back-off), ends what should
    /// not, reads the screens, and writes into the log who came, went, asks. Safe to run at any time; says what it found.
    pub async fn activate(&self) -> Result<String, Error> {
        if self.address().is_none() {
            return Ok("the hub does not listen yet".to_owned());
        }
        let turn = self.turn.lock().await;
        let (rows, tokens, made) =
            tokio::try_join!(store::list(self.db.read()), self.auth.tokens(&KEEPER), self.auth.made_tokens(&KEEPER))?;
        let live = match self.terminals.live().await {
            Ok(live) => live,
            // No tmux: nothing runs and nothing can. It is said with each agent; the loop is not at fault.
            Err(Error::Refused(failure)) => {
                // Of one whose session is a shell that is said already, and it may still run.
                for row in rows.iter().filter(|row| row.wanted == Wanted::Running && row.stand_in.is_none()) {
                    self.say(row, Some(failure.message.clone())).await?;
                }
                return Ok(failure.message);
            }
            Err(error) => return Err(error),
        };
        // Sessions come first for all: a slow screen must not hold up a start. Nor does one agent's failure the others.
        let mut failed = Ok(());
        for row in &rows {
            self.seen().entry(row.id).or_default().heard = self.heard(&tokens, row);
            failed = failed.and(self.keep(row, session(&live, row), &made).await);
        }
        drop(turn);
        for row in &rows {
            failed = failed.and(self.look(row, session(&live, row)).await);
        }
        failed?;
        let crew = self.seen();
        let all = || rows.iter().filter_map(|row| Some((row, crew.get(&row.id)?)));
        let running = all().filter(|(row, seen)| seen.state(row) == AgentState::Running).count();
        let waiting = all().filter(|(_, seen)| seen.needs.is_some()).count();
        Ok(format!("{running} of {} agents run, {waiting} need somebody", rows.len()))
    }

    /// Whether nothing is expected of the crew: for a minute nobody wrote into their terminal or called, and who should run
    /// was seen to run, and nobody else.
    pub async fn at_rest(&self) -> Result<bool, Error> {
        let (rows, tokens) = tokio::try_join!(store::list(self.db.read()), self.auth.tokens(&KEEPER))?;
        let (crew, now) = (self.seen(), self.clock.now());
        Ok(rows.iter().all(|row| {
            let seen = crew.get(&row.id);
            let runs = seen.is_some_and(|seen| seen.life.up.is_some());
            // A heartbeat expects nothing.
            let called = self.heard(&tokens, row).call;
            let last = called.max(seen.and_then(|seen| seen.activity));
            runs == (row.wanted == Wanted::Running) && last.is_none_or(|at| now.since(at) >= REST)
        }))
    }

    /// Moves one session towards what is wanted of it. `made`: the tokens of all sessions.
    async fn keep(&self, row: &AgentRow, live: Option<&LiveSession>, made: &[TokenView]) -> Result<(), Error> {
        if self.lost(row).is_some() {
            return Ok(()); // its session may run, and nobody knows
        }
        let Some(ended_before) = self.ended_before(row, live) else { return Ok(()) };
        let now = self.clock.now();
        let (step, ended) = {
            let mut crew = self.seen();
            let seen = crew.entry(row.id).or_default();
            if let Some(session) = live {
                seen.activity = seen.activity.max(Some(session.activity));
                seen.started.get_or_insert(session.started_at);
            }
            let was = seen.life.up;
            let step = match ended_before {
                true => Step::Ended,
                false => seen.life.step(live.is_some(), row.wanted, row.draft.restart_on_exit, now),
            };
            let up = was.filter(|_| seen.life.up.is_none());
            let ended = (up.is_some() || ended_before).then_some(up);
            if ended.is_some() {
                seen.forget_screen();
            }
            (step, ended)
        };
        if let Some(up) = ended {
            // Of a machine that is gone again nothing can be learned.
            let said = self.terminals.last_words(&KEEPER, &terminal(&row.draft.slug)).await.unwrap_or_default();
            self.say(row, Some(rules::why_ended(up, said.as_ref(), now))).await?;
        } else if live.is_some() && row.stand_in.is_none() {
            self.say(row, None).await?;
        }
        match step {
            // A session whose token is gone can reach nothing: its start was cut off, or somebody revoked the token.
            Step::Nothing if live.is_some() && !made.iter().any(|token| Some(token.id) == row.token_id) => {
                self.end(&KEEPER.actor, row).await?;
                self.launch_or_say(row, "restarted").await
            }
            // An end that was cut off, or a start that never came to its session.
            Step::Nothing
                if live.is_none() && row.wanted == Wanted::Stopped && made.iter().any(|it| is_of(it, row)) =>
            {
                self.end(&KEEPER.actor, row).await
            }
            Step::Nothing => Ok(()),
            Step::Stop => self.end(&KEEPER.actor, row).await,
            Step::Ended => {
                let mut tx = self.db.write().await?;
                store::set_wanted(&mut tx, row.id, Wanted::Stopped, now).await?;
                self.events.commit(tx, &KEEPER.actor, event("ended", row)).await?;
                self.end(&KEEPER.actor, row).await
            }
            Step::Start => {
                let kind = if row.token_id.is_none() { "started" } else { "restarted" };
                self.launch_or_say(row, kind).await
            }
        }
    }

    /// Whether a session that this hub has never seen was started before it, and has ended by itself: what is not to be restarted
    /// is not done twice. `None`: that cannot be known yet.
    fn ended_before(&self, row: &AgentRow, live: Option<&LiveSession>) -> Option<bool> {
        let unseen = self.seen().get(&row.id).is_none_or(|seen| seen.life == Life::default());
        let once = row.wanted == Wanted::Running && row.token_id.is_some() && !row.draft.restart_on_exit;
        if live.is_some() || !unseen || !once {
            return Some(false);
        }
        match self.terminals.ran_on(&terminal(&row.draft.slug)) {
            // Its machine connects just now.
            None if row.draft.machine.is_some() => None,
            on => Some(on.unwrap_or(false)),
        }
    }

    /// Starts a session for the keeper. One that cannot be started must not keep the others from it; why is shown with it.
    async fn launch_or_say(&self, row: &AgentRow, kind: &'static str) -> Result<(), Error> {
        if let Err(error) = self.launch(&KEEPER.actor, row, kind).await {
            let why = match error {
                Error::Refused(failure) => failure.message,
                Error::Inside(cause) => Failure::internal(cause.context("an agent cannot be started")).message,
            };
            self.seen().entry(row.id).or_default().life.failed(self.clock.now());
            self.say(row, Some(why)).await?;
        }
        Ok(())
    }

    /// Keeps why its session does not run; `None`: it runs, and is what was asked for.
    async fn say(&self, row: &AgentRow, problem: Option<String>) -> Result<(), Error> {
        if row.problem == problem && row.stand_in.is_none() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        store::set_problem(&mut tx, row.id, problem.as_deref(), None).await?;
        // No event: what is told is that it ended, or starts.
        Ok(tx.commit().await?)
    }

    /// Reads one screen where it may have changed, and tells what is new.
    async fn look(&self, row: &AgentRow, live: Option<&LiveSession>) -> Result<(), Error> {
        let Some(profile) = profiles::find(&row.draft.profile) else { return Ok(()) };
        let must = self.seen().get(&row.id).is_some_and(|seen| seen.life.up.is_some() && seen.must_read());
        if let Some(session) = live.filter(|_| must) {
            match self.terminals.screen_text(&session.name).await {
                Ok(lines) => {
                    let now = self.clock.now();
                    self.seen().entry(row.id).or_default().read(lines, profile.words, now);
                }
                Err(Error::Refused(_)) => {} // it ended meanwhile
                Err(error) => return Err(error),
            }
        }
        let now = self.clock.now();
        let news = {
            let mut crew = self.seen();
            let Some(seen) = crew.get_mut(&row.id) else { return Ok(()) };
            if let Some(session) = live {
                seen.judge(profile.words, session.bell, now);
            }
            seen.news(now)
        };
        for kind in news {
            let tx = self.db.write().await?;
            self.events.commit(tx, &KEEPER.actor, event(kind, row)).await?;
        }
        Ok(())
    }
}

fn session<'a>(live: &'a [LiveSession], row: &AgentRow) -> Option<&'a LiveSession> {
    let name = terminal(&row.draft.slug);
    live.iter().find(|session| session.name == name)
}
