//! Starting and ending sessions.

use std::path::{Path, PathBuf};

use super::{
    Agents, Wanted, environment, files, profiles,
    room::{KEEPER, event},
    store::{self, AgentRow, StandIn},
    terminal,
};
use crate::{
    auth::{NewToken, TokenDraft, TokenView},
    caller::{Actor, Role},
    config,
    error::{Error, Failure, FailureKind},
    id::TokenId,
    terminals::{Began, Launch, LiveSession},
};

impl Agents {
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
    pub(super) fn lost(&self, row: &AgentRow) -> Option<String> {
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

    pub(super) fn address(&self) -> Option<String> {
        self.address.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Whether a token that the keeper made is for a session of this agent.
pub(super) fn is_of(token: &TokenView, row: &AgentRow) -> bool {
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
