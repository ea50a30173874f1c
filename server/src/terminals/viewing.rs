//! What is seen of terminals: sockets and who may open one, histories, screens; and what the audit log hears of viewers.

use std::collections::HashMap;

use super::{
    Found, History, LastWords, ScreenView, Ticket,
    keyboard::{Ended, Typist},
    room::{Terminals, terminal_event},
    rules,
    sessions::Sessions,
    stage::{Full, Most, Seat},
    store,
    tickets::Bearer,
    tmux::SessionInfo,
    viewer::{Eyes, Hands, Looking, Who},
};
use anyhow::Context as _;

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
    /// A ticket for one socket at `name`. Needs a look at it.
    pub fn ticket(&self, who: &Caller, name: &str) -> Result<Ticket, Error> {
        rules::sees(who, name)?;
        self.ticket_for(&Who::Known(who.clone()), name)
    }

    /// A ticket for somebody who may look at `name`, which the caller knows. Nobody is asked whether it runs: the socket says
    /// whether it has ended, or will be there later.
    pub fn ticket_for(&self, who: &Who, name: &str) -> Result<Ticket, Error> {
        rules::name(name)?;
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
            rules::sees(caller, name)?;
        }
        rules::name(name)?;
        let watch = self.sessions_of(name).await?.watch(name).await?;
        let guest_of = matches!(who, Who::Guest(_)).then(|| network(address));
        let (viewer, changed) =
            self.inner.stages.enter(name, Seat { whose: who.identity(), guest_of }, VIEWERS).map_err(full)?;
        let hands = Hands {
            room: self.clone(),
            terminal: name.to_owned(),
            typist: Typist {
                actor: who.actor().to_string(),
                identity: who.identity(),
                viewer,
                address: address.to_owned(),
            },
            who,
            feed: watch.feed().clone(),
        };
        self.inner.scribe.note(hands.who.actor(), terminal_event("joined", name, format!("from {address}")));
        Ok((hands, Eyes { screen: Looking(watch), changed }))
    }

    /// Whether this caller may look at this terminal.
    pub fn sees(&self, who: &Caller, name: &str) -> bool {
        rules::sees(who, name).is_ok()
    }

    /// Whether any terminal is watched or recorded, or was a moment ago.
    pub fn watched(&self) -> bool {
        self.places().iter().any(Sessions::any)
    }

    /// The newest `lines` lines of a terminal's history. Needs a look at it.
    pub async fn history(&self, who: &Caller, name: &str, lines: usize) -> Result<History, Error> {
        rules::sees(who, name)?;
        rules::name(name)?;
        let _turn = self.inner.histories.acquire().await.context("the hub ends")?;
        self.sessions_of(name).await?.place().history(name, lines.clamp(1, LINES)).await
    }

    /// Lines of the histories of all terminals that the caller sees that hold `text`, whatever its case; the newest first, at
    /// most 200. Needs `Look`.
    pub async fn find(&self, who: &Caller, text: &str) -> Result<Vec<Found>, Error> {
        who.must(Right::Look)?;
        let wanted = text.trim().to_lowercase();
        if wanted.chars().count() < 2 {
            return Err(Failure::invalid("type at least two characters to look for").into());
        }
        let _turn = self.inner.histories.acquire().await.context("the hub ends")?;
        let mut found = Vec::new();
        for SessionInfo { name, .. } in self.seen_by(who).await? {
            // Each terminal may give all there is room for; what is over is cut below.
            let hits = match self.sessions_of(&name).await?.place().find_lines(&name, &wanted, FOUND).await {
                Ok(hits) => hits,
                // It ended meanwhile, or its machine is gone.
                Err(Error::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            let named = hits.into_iter().map(|(above, line)| Found { name: name.clone(), above, line });
            found.push(named.collect::<Vec<_>>());
        }
        Ok(dealt(found, FOUND))
    }

    /// The screens that the caller sees and that are not as they know them: pairs of name and number. Needs `Look`.
    pub async fn screens(&self, who: &Caller, known: Vec<(String, u64)>) -> Result<Vec<ScreenView>, Error> {
        who.must(Right::Look)?;
        let known: HashMap<String, u64> = known.into_iter().collect();
        let mut screens = Vec::new();
        // As with the list: without tmux there is nothing to show.
        if !self.able().await {
            return Ok(screens);
        }
        for session in self.seen_by(who).await? {
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

    /// The sessions that run and that the caller sees.
    async fn seen_by(&self, who: &Caller) -> Result<Vec<SessionInfo>, Error> {
        let mut sessions = self.running().await?;
        sessions.retain(|session| rules::sees(who, &session.name).is_ok());
        Ok(sessions)
    }

    /// What a terminal's program said last, if it failed and was not started since. Needs a look at it.
    pub async fn last_words(&self, who: &Caller, name: &str) -> Result<Option<LastWords>, Error> {
        rules::sees(who, name)?;
        rules::name(name)?;
        self.sessions_of(name).await?.place().last_words(name).await
    }

    /// The visible lines of a terminal, as text.
    pub async fn screen_text(&self, name: &str) -> Result<Vec<String>, Error> {
        self.sessions_of(name).await?.place().screen(name).await
    }

    /// Another size for everybody. The caller has been asked whether they may.
    pub(super) async fn resize(&self, hands: &Hands, cols: u16, rows: u16) -> Result<(), Error> {
        let name = &hands.terminal;
        hands.feed.resize(cols, rows).await?;
        let mut tx = self.inner.db.write().await?;
        store::set_size(&mut *tx, name, cols, rows).await?;
        let event = terminal_event("resized", name, format!("{cols} x {rows}, from {}", hands.typist.address));
        self.inner.events.commit(tx, &hands.who.actor(), event).await?;
        self.inner.stages.tell(name);
        Ok(())
    }

    /// Somebody holds the keyboard now; a holding before it may have ended by that.
    pub(super) fn taken(&self, hands: &Hands, before: Option<Ended>) {
        let name = &hands.terminal;
        self.inner.stages.tell(name);
        let over = before.as_ref().map_or_else(String::new, |before| format!(", after {}", before.by.actor));
        let detail = format!("from {}{over}", hands.typist.address);
        if let Some(before) = before {
            self.inner.scribe.note(Actor::Hub("terminals"), typed_event(name, &before));
        }
        self.inner.scribe.note(hands.who.actor(), terminal_event("took-keyboard", name, detail));
    }

    /// A holding ended.
    pub(super) fn handed_back(&self, name: &str, ended: Option<Ended>) {
        let Some(ended) = ended else { return };
        self.inner.stages.tell(name);
        self.inner.scribe.note(Actor::Hub("terminals"), typed_event(name, &ended));
    }

    /// A viewer left.
    pub(super) fn left(&self, hands: &Hands, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.inner.scribe.note(Actor::Hub("terminals"), typed_event(&hands.terminal, &ended));
        }
        let event = terminal_event("left", &hands.terminal, format!("from {}", hands.typist.address));
        self.inner.scribe.note(hands.who.actor(), event);
    }

    /// Ends holdings that nobody types in.
    pub fn settle_keyboards(&self) {
        for (name, ended) in self.inner.keyboards.expired(self.now()) {
            self.handed_back(&name, Some(ended));
        }
    }
}

/// At most `most` of all hits, dealt out so that no terminal is left out: who has few gives all of them, and the others share
/// the rest.
fn dealt<T>(mut found: Vec<Vec<T>>, most: usize) -> Vec<T> {
    let mut few: Vec<usize> = (0..found.len()).collect();
    few.sort_by_key(|place| found[*place].len());
    let mut room = most;
    for (dealt, place) in few.iter().enumerate() {
        let share = room / (few.len() - dealt);
        found[*place].truncate(share);
        room -= found[*place].len();
    }
    found.into_iter().flatten().collect()
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
    let Ended { by, typed, why, .. } = ended;
    terminal_event("typed", name, format!("{} typed {typed} bytes from {}, then {}", by.actor, by.address, why.words()))
}

/// What a ticket is bound to.
fn bearer(who: &Who, name: &str) -> Bearer {
    let credential = match who {
        Who::Known(caller) => match caller.session {
            Some(session) => format!("session:{session}"),
            None => who.identity(),
        },
        Who::Guest(_) => who.identity(),
    };
    Bearer { credential, terminal: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_dealt_out_so_that_none_is_left_out_and_no_room_is_lost() {
        for (found, most, expected) in [
            (vec![0, 0, 150, 0], 200, vec![0, 0, 150, 0]),
            (vec![500, 0, 500], 200, vec![100, 0, 100]),
            (vec![500, 3, 500], 200, vec![98, 3, 99]),
            (vec![9; 10], 5, vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
            (vec![], 5, vec![]),
        ] {
            let hits = found.iter().enumerate().map(|(place, hits)| vec![place; *hits]).collect();
            let dealt = dealt(hits, most);
            let counts = (0..found.len()).map(|place| dealt.iter().filter(|other| **other == place).count());
            assert_eq!(counts.collect::<Vec<_>>(), expected, "{found:?}");
        }
    }
}
