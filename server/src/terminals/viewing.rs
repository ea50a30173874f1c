//! What is seen of terminals: sockets and who may open one, histories, screens; and what the audit log hears of viewers.

use std::{collections::HashMap, sync::Arc};

use super::{
    Found, History, ScreenView, Ticket,
    feed::Feed,
    keyboard::{Ended, Typist},
    room::{Terminals, terminal_event},
    rules,
    sessions::Sessions,
    stage::{Full, Most, Seat},
    store,
    tickets::Bearer,
    tmux::{SessionInfo, gone},
    viewer::{Eyes, Hands, Looking, Who},
};
use crate::{
    caller::{Actor, Caller, Right},
    error::{Error, Failure, FailureKind},
    events::NewEvent,
    pace::network,
};

/// Sockets of viewers open at once, over all terminals.
const VIEWERS: Most = Most { all: 2_000, of_one: 1_200, guests: 1_000, guests_of_a_network: 100 };
/// Lines of history that one call gives at most: all that tmux keeps.
const LINES: usize = 50_000;
/// Lines that a search gives at most.
const FOUND: usize = 200;

impl Terminals {
    /// A ticket for one socket at `name`. Needs `Look`.
    pub async fn ticket(&self, who: &Caller, name: &str) -> Result<Ticket, Error> {
        who.must(Right::Look)?;
        self.ticket_for(&Who::Known(who.clone()), name).await
    }

    /// A ticket for somebody who may look at `name`, which the caller knows.
    pub async fn ticket_for(&self, who: &Who, name: &str) -> Result<Ticket, Error> {
        rules::name(name)?;
        if !self.live().await?.iter().any(|session| session.name == name) {
            return Err(gone(name).into());
        }
        let ticket = self.inner.tickets.give(bearer(who, name), self.now())?;
        Ok(Ticket { ticket })
    }

    /// Whether a ticket opens this, for this one. It is used up.
    pub fn redeem(&self, who: &Who, name: &str, ticket: &str) -> bool {
        self.inner.tickets.take(ticket, &bearer(who, name), self.now())
    }

    /// Lets a viewer in. `address` is where they come from, for the audit log.
    pub async fn join(&self, who: Who, name: &str, address: &str) -> Result<(Hands, Eyes), Error> {
        if let Who::Known(caller) = &who {
            caller.must(Right::Look)?;
        }
        rules::name(name)?;
        let watch = self.sessions_of(name).await?.watch(name).await?;
        let guest_of = matches!(who, Who::Guest(_)).then(|| network(address));
        let (viewer, changed) =
            self.inner.stages.enter(name, Seat { whose: who.words(), guest_of }, VIEWERS).map_err(full)?;
        let hands = Hands {
            room: self.clone(),
            terminal: name.to_owned(),
            typist: Typist { actor: who.words(), viewer },
            who,
            feed: watch.feed().clone(),
        };
        let detail = match &hands.who {
            Who::Known(_) => format!("from {address}"),
            Who::Guest(link) => format!("by the share link {link}, from {address}"),
        };
        self.inner.scribe.note(hands.who.actor(), terminal_event("joined", name, detail));
        Ok((hands, Eyes { screen: Looking(watch), changed }))
    }

    /// Whether any terminal is watched or recorded, or was a moment ago.
    pub fn watched(&self) -> bool {
        self.places().iter().any(Sessions::any)
    }

    /// The newest `lines` lines of a terminal's history. Needs `Look`.
    pub async fn history(&self, who: &Caller, name: &str, lines: usize) -> Result<History, Error> {
        who.must(Right::Look)?;
        rules::name(name)?;
        self.sessions_of(name).await?.place().history(name, lines.clamp(1, LINES)).await
    }

    /// Lines of any terminal's history that hold `text`, whatever its case; the newest first, at most 200. Needs `Look`.
    pub async fn find(&self, who: &Caller, text: &str) -> Result<Vec<Found>, Error> {
        who.must(Right::Look)?;
        let wanted = text.trim().to_lowercase();
        if wanted.chars().count() < 2 {
            return Err(Failure::invalid("type at least two characters to look for").into());
        }
        // One at a time: each holds a whole history in memory.
        let _turn = self.inner.searching.lock().await;
        let mut found = Vec::new();
        for SessionInfo { name, .. } in self.running().await? {
            // Each terminal may give all there is room for; what is over is cut below, so that none is left out.
            let hits = match self.sessions_of(&name).await?.place().find_lines(&name, &wanted, FOUND).await {
                Ok(hits) => hits,
                // It ended meanwhile, or its machine is gone.
                Err(Error::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            let named = hits.into_iter().map(|(above, line)| Found { name: name.clone(), above, line });
            found.push(named.collect::<Vec<_>>());
        }
        let share = FOUND / found.len().max(1);
        Ok(found.into_iter().flat_map(|hits| hits.into_iter().take(share.max(1))).take(FOUND).collect())
    }

    /// The screens that are not as the caller knows them: pairs of name and number. Needs `Look`.
    pub async fn screens(&self, who: &Caller, known: Vec<(String, u64)>) -> Result<Vec<ScreenView>, Error> {
        who.must(Right::Look)?;
        let known: HashMap<String, u64> = known.into_iter().collect();
        let mut screens = Vec::new();
        // As with the list: without tmux there is nothing to show.
        if !self.able().await {
            return Ok(screens);
        }
        for session in self.running().await? {
            // Watching keeps it attached for some seconds, so that who asks every second finds it warm.
            let Ok(watch) = self.sessions_of(&session.name).await?.watch(&session.name).await else { continue };
            let feed = watch.feed();
            let seq = feed.seq();
            if known.get(&session.name) != Some(&seq) {
                let (cols, _) = feed.size();
                screens.push(ScreenView { name: session.name, seq, cols, lines: feed.screen_lines() });
            }
        }
        Ok(screens)
    }

    /// The visible lines of a terminal, as text.
    pub async fn screen_text(&self, name: &str) -> Result<Vec<String>, Error> {
        self.sessions_of(name).await?.place().screen(name).await
    }

    /// Another size for everybody. The caller has been asked whether they may.
    pub(super) async fn resize(
        &self,
        who: &Who,
        name: &str,
        feed: &Arc<Feed>,
        cols: u16,
        rows: u16,
    ) -> Result<(), Error> {
        feed.resize(cols, rows).await?;
        let mut tx = self.inner.db.write().await?;
        store::set_size(&mut *tx, name, cols, rows).await?;
        let event = terminal_event("resized", name, format!("{cols} x {rows}"));
        self.inner.events.commit(tx, &who.actor(), event).await?;
        self.inner.stages.tell(name);
        Ok(())
    }

    /// Somebody holds the keyboard now; a holding before it may have ended by that.
    pub(super) async fn taken(&self, name: &str, who: &Who, from: Option<Ended>) -> Result<(), Error> {
        self.inner.stages.tell(name);
        let detail = from.as_ref().map_or_else(String::new, |from| format!("from {}", from.by));
        let mut tx = self.inner.db.write().await?;
        if let Some(from) = from {
            self.inner.events.append(&mut tx, &Actor::Loop("terminals"), typed_event(name, &from)).await?;
        }
        self.inner.events.commit(tx, &who.actor(), terminal_event("took-keyboard", name, detail)).await?;
        Ok(())
    }

    /// A holding ended.
    pub(super) async fn handed_back(&self, name: &str, ended: Option<Ended>) -> Result<(), Error> {
        let Some(ended) = ended else { return Ok(()) };
        self.inner.stages.tell(name);
        let tx = self.inner.db.write().await?;
        self.inner.events.commit(tx, &Actor::Loop("terminals"), typed_event(name, &ended)).await?;
        Ok(())
    }

    /// A viewer left.
    pub(super) fn left(&self, name: &str, who: &Who, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.inner.scribe.note(Actor::Loop("terminals"), typed_event(name, &ended));
        }
        self.inner.scribe.note(who.actor(), terminal_event("left", name, ""));
    }

    /// Ends holdings that nobody types in. They are over at once; an error of one keeps none of the others from being told.
    pub async fn settle_keyboards(&self) -> Result<(), Error> {
        let mut told = Ok(());
        for (name, ended) in self.inner.keyboards.expired(self.now()) {
            told = told.and(self.handed_back(&name, Some(ended)).await);
        }
        told
    }
}

/// There is no room for one more viewer.
fn full(full: Full) -> Failure {
    let (most, whose) = match full {
        Full::All => (VIEWERS.all, "viewers"),
        Full::OfOne => (VIEWERS.of_one, "viewers of yours"),
        Full::Guests => (VIEWERS.guests, "guests"),
        Full::OfANetwork => (VIEWERS.guests_of_a_network, "guests from your network"),
    };
    Failure::new(FailureKind::TooMany, format!("{most} {whose} are there already; close some and try again"))
}

/// How many bytes somebody typed in one holding of the keyboard; never which.
pub(super) fn typed_event(name: &str, ended: &Ended) -> NewEvent {
    terminal_event("typed", name, format!("{} typed {} bytes, then {}", ended.by, ended.typed, ended.why.words()))
}

/// What a ticket is bound to.
fn bearer(who: &Who, name: &str) -> Bearer {
    let credential = match who {
        Who::Known(caller) => match caller.session {
            Some(session) => format!("session:{session}"),
            None => caller.actor.to_string(),
        },
        Who::Guest(link) => format!("link:{link}"),
    };
    Bearer { credential, terminal: name.to_owned() }
}
