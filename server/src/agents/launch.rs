//! Starting and ending sessions, and the reconciler that keeps them as they are wanted.

use std::path::{Path, PathBuf};

use super::{
    AgentState, Agents, Wanted, environment, files, profiles,
    room::{KEEPER, event},
    rules::{self, Life, Step},
    store::{self, AgentRow, StandIn},
    terminal,
};
use crate::{
    auth::{NewToken, TokenDraft, TokenView},
    caller::{Actor, Role},
    clock::MINUTE,
    config,
    error::{Error, Failure, FailureKind},
    id::TokenId,
    terminals::{Began, Launch, LiveSession},
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

    /// Starts the session of an agent that does not run. The caller holds the turn.
    pub(super) async fn launch(&self, actor: &Actor, row: &AgentRow, kind: &'static str) -> Result<(), Error> {
        let Some(address) = self.address() else {
            return Err(outside("the hub does not listen yet; try again in a moment"));
        };
        // What can be refused is refused before anything is changed.
        let home = self.home(row, &address)?;
        let own = environment::opened(&self.secrets, row.id, &row.environment)?;
        if row.draft.machine.is_none() {
            there_is(&row.draft.folder)?;
        }
        let token = self.renew_token(row).await?;
        let instead = match self.launch_with(actor, row, &home, &token, own).await {
            Ok(instead) => instead,
            Err(error) => {
                // It may run all the same, on a machine whose answer was lost: then `keep` finds it without a token.
                self.revoke(row).await?;
                self.note_token(row, None).await?;
                return Err(error);
            }
        };
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        store::set_wanted(&mut tx, row.id, Wanted::Running, now).await?;
        let (stand_in, problem) = instead.unzip();
        store::set_problem(&mut tx, row.id, problem.as_deref(), stand_in).await?;
        self.events.commit(tx, actor, event(kind, row)).await?;
        let mut crew = self.seen();
        let seen = crew.entry(row.id).or_default();
        seen.forget_screen();
        seen.activity = Some(now);
        seen.started = Some(now);
        seen.life.started(now);
        Ok(())
    }

    /// Says why it is a shell where a program was wanted.
    async fn launch_with(
        &self,
        actor: &Actor,
        row: &AgentRow,
        home: &At,
        token: &NewToken,
        own: Vec<(String, String)>,
    ) -> Result<Option<Instead>, Error> {
        let draft = &row.draft;
        let profile = profiles::find(&draft.profile)
            .ok_or_else(|| Failure::invalid(format!("the profile {} is gone; choose another", draft.profile)))?;
        let At { data, address } = home;
        let ready = files::ready(data, &draft.slug, profile.connects, address, &token.secret);
        let file = ready.config.display().to_string();
        let (connects, variables) = profiles::connection(profile.connects, address, &file);

        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut all = vec![
            set("CENTRAL_MCP_URL", address),
            set(profiles::TOKEN, &token.secret),
            set("CENTRAL_MCP_CONFIG", &file),
            set("CENTRAL_MCP_AGENT", &draft.slug),
        ];
        all.extend(variables);
        all.extend(profile.environment.iter().filter_map(|(name, value)| Some(set(name, (*value)?))));
        // The agent's own come last and win.
        all.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        all.extend(own);

        let Chosen { argv, banner, missing, instead } = self.command(row, profile, &all, connects);
        let launch = Launch {
            name: terminal(&draft.slug),
            argv,
            environment: all,
            folder: if draft.folder.is_empty() { ready.work } else { draft.folder.clone().into() },
            banner,
            missing,
            belongings: Some(ready.belongings),
            ..Launch::default()
        };
        let (machine, agent) = (draft.machine.as_deref(), Some(draft.slug.as_str()));
        let began = self.terminals.start_session(actor, launch, machine, agent).await?;
        // Another machine knows only then whether it has the program.
        Ok(instead.or_else(|| (began == Began::Shell).then(|| not_installed(draft.command.first(), profile))))
    }

    /// Where the session will be, and how its machine reaches the hub.
    fn home(&self, row: &AgentRow, address: &str) -> Result<At, Error> {
        let Some(machine) = &row.draft.machine else {
            return Ok(At { data: self.data.to_path_buf(), address: address.to_owned() });
        };
        let home = self.terminals.home(machine)?;
        Ok(At { data: home.data.into(), address: format!("{}/mcp", home.hub) })
    }

    /// What is started: the program with what connects it, or a login shell that says what is missing.
    fn command(
        &self,
        row: &AgentRow,
        profile: &profiles::Profile,
        environment: &[(String, String)],
        connects: Vec<String>,
    ) -> Chosen {
        let mut argv = row.draft.command.clone();
        if argv.is_empty() && !profile.program.is_empty() {
            argv.push(profile.program.to_owned());
        }
        let Some(program) = argv.first().cloned() else { return Chosen::default() };
        let wants = profile.environment.iter().filter(|(_, value)| value.is_none());
        let lacks: Vec<_> =
            wants.map(|(name, _)| *name).filter(|name| environment.iter().all(|(it, _)| it != name)).collect();
        let who = &row.draft.name;
        if !lacks.is_empty() {
            let banner = format!(
                "{who} was not started: it has no {}.\nOpen the page Agents, edit {who}, enter it as a secret, and press Restart.",
                lacks.join(" and no ")
            );
            let problem = format!(
                "it has no {}, so this is a plain shell; press Edit, enter it as a secret, then press Restart",
                lacks.join(" and no ")
            );
            return Chosen { banner: Some(banner), instead: Some((StandIn::NotSetUp, problem)), ..Chosen::default() };
        }
        let missing = missing_banner(who, &program, profile);
        argv.extend(profile.model(&row.draft.model));
        argv.extend(connects);
        if row.draft.machine.is_some() {
            return Chosen { argv, missing: Some(missing), ..Chosen::default() };
        }
        let path = environment.iter().find(|(name, _)| name == "PATH");
        let folders = path.map(|(_, value)| std::env::split_paths(value).collect::<Vec<_>>());
        match config::find_program(&program, folders.as_deref().unwrap_or(&self.path)) {
            Some(found) => argv[0] = found.display().to_string(),
            None => {
                let instead = Some(not_installed(Some(&program), profile));
                return Chosen { banner: Some(missing), instead, ..Chosen::default() };
            }
        }
        Chosen { argv, ..Chosen::default() }
    }

    /// A machine was removed: agents there are stopped as far as the hub reaches, which is their tokens.
    pub async fn forget_machine(&self, actor: &Actor, machine: &str) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        for row in store::list(self.db.read()).await? {
            if row.draft.machine.as_deref() != Some(machine) {
                continue;
            }
            let mut tx = self.db.write().await?;
            store::set_wanted(&mut tx, row.id, Wanted::Stopped, self.clock.now()).await?;
            let problem = format!("its machine {machine} was removed; choose another one");
            store::set_problem(&mut tx, row.id, Some(&problem), None).await?;
            self.events.commit(tx, actor, event("stopped", &row)).await?;
            self.revoke(&row).await?;
            let mut crew = self.seen();
            let seen = crew.entry(row.id).or_default();
            seen.forget_screen();
            seen.life = Default::default();
        }
        Ok(())
    }

    /// Ends a session if it runs, revokes its token, removes what held it. The caller holds the turn.
    pub(super) async fn end(&self, actor: &Actor, row: &AgentRow) -> Result<(), Error> {
        let name = terminal(&row.draft.slug);
        if let Some(machine) = self.lost(row) {
            let message = format!(
                "the machine {machine} is not connected, so the session of {} there cannot be ended now; Stop revokes its \
                 token at once, and ends it as soon as its machine is back",
                row.draft.name
            );
            return Err(outside(message));
        }
        if self.live().await?.iter().any(|session| session.name == name) {
            self.terminals.stop_session(actor, &name).await?;
        }
        self.revoke(row).await?;
        let machine = self.terminals.machine_of(&name);
        if let Err(error) = self.terminals.forget(machine.as_deref(), &files::stale(&row.draft.slug)).await {
            // The token in it is worth nothing any more.
            tracing::warn!(%error, agent = row.draft.slug, "an old configuration of an agent cannot be removed");
        }
        let mut crew = self.seen();
        let seen = crew.entry(row.id).or_default();
        seen.forget_screen();
        seen.life = Default::default();
        Ok(())
    }

    /// The sessions that run. Where none can be held, none do.
    pub(super) async fn live(&self) -> Result<Vec<LiveSession>, Error> {
        if self.terminals.able().await { self.terminals.live().await } else { Ok(Vec::new()) }
    }

    /// The machine that its session is on, if that is not connected.
    fn lost(&self, row: &AgentRow) -> Option<String> {
        let machine = self.terminals.machine_of(&terminal(&row.draft.slug))?;
        self.terminals.away(&machine).map(|_| machine)
    }

    /// A fresh token in place of the old one. The row names it before anybody knows its secret, so that no session ever runs
    /// with a token that no row names.
    async fn renew_token(&self, row: &AgentRow) -> Result<NewToken, Error> {
        self.revoke(row).await?;
        let draft = TokenDraft {
            name: format!("agent {}", row.draft.slug),
            role: Role::Agent,
            agent: Some(row.draft.slug.clone()),
            expires_in_days: None,
        };
        let token = self.auth.create_token(&KEEPER, draft).await?;
        self.note_token(row, Some(token.token.id)).await?;
        Ok(token)
    }

    /// Ends a session that nobody wants any more, or as much of it as can be: where its machine is away that is its token, with
    /// which it would still reach the hub.
    pub(super) async fn end_for_good(&self, actor: &Actor, row: &AgentRow) -> Result<(), Error> {
        if self.lost(row).is_none() {
            return self.end(actor, row).await;
        }
        self.revoke(row).await?;
        self.note_token(row, None).await?;
        let message = format!(
            "its machine is not connected: the session of {} ends as soon as it is back, and cannot reach the hub until then",
            row.draft.name
        );
        Err(outside(message))
    }

    async fn note_token(&self, row: &AgentRow, token: Option<TokenId>) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        store::set_token(&mut tx, row.id, token).await?;
        // No event: what is told is that the agent starts.
        tx.commit().await?;
        Ok(())
    }

    /// Revokes every token that was ever made for a session of this agent, also one that a start which was cut off has left.
    async fn revoke(&self, row: &AgentRow) -> Result<(), Error> {
        for token in self.auth.made_tokens(&KEEPER).await?.iter().filter(|token| is_of(token, row)) {
            match self.auth.revoke_token(&KEEPER, token.id).await {
                // Somebody did it by hand.
                Err(Error::Refused(failure)) if failure.kind == FailureKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn address(&self) -> Option<String> {
        self.address.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

fn session<'a>(live: &'a [LiveSession], row: &AgentRow) -> Option<&'a LiveSession> {
    let name = terminal(&row.draft.slug);
    live.iter().find(|session| session.name == name)
}

/// Whether a token that the keeper made is for a session of this agent.
fn is_of(token: &TokenView, row: &AgentRow) -> bool {
    token.agent.as_deref() == Some(&row.draft.slug)
}

/// What is started for an agent.
#[derive(Default)]
struct Chosen {
    /// Program and arguments; empty: a login shell.
    argv: Vec<String>,
    /// What such a shell says first.
    banner: Option<String>,
    /// What it would say on a machine where nobody has looked yet.
    missing: Option<String>,
    /// Why it is a shell where a program was wanted.
    instead: Option<Instead>,
}

/// Why a shell stands where a program was wanted, and the same for people, with what to do.
type Instead = (StandIn, String);

/// Where an agent's session is.
struct At {
    /// The data folder there.
    data: PathBuf,
    /// The address of the hub's MCP, as it is reached from there.
    address: String,
}

/// The folder that was asked for, if one was, must be there.
fn there_is(folder: &str) -> Result<(), Failure> {
    if folder.is_empty() || Path::new(folder).is_dir() {
        return Ok(());
    }
    Err(Failure::invalid(format!("the folder {folder} is not there; make it, or choose another")))
}

fn not_installed(program: Option<&String>, profile: &profiles::Profile) -> Instead {
    // The command stands last, so that nothing after it is taken for a part of it.
    let (what, how) = match program {
        Some(program) if *program != profile.program => (program.as_str(), String::new()),
        _ => (profile.name, format!(": {}", profile.install)),
    };
    let why = format!("{what} is not installed, so this is a plain shell; install it, then press Restart{how}");
    (StandIn::NotInstalled, why)
}

fn missing_banner(who: &str, program: &str, profile: &profiles::Profile) -> String {
    if program == profile.program {
        return format!(
            "{} is not installed on this machine, so {who} has an ordinary shell. To install it:\n\n  {}\n\nThen press Restart on the page Agents.",
            profile.name, profile.install
        );
    }
    format!(
        "The program {program} was not found, so {who} has an ordinary shell. Install it, then press Restart on the page Agents."
    )
}

fn outside(message: impl Into<String>) -> Error {
    Failure::new(FailureKind::Outside, message).into()
}
