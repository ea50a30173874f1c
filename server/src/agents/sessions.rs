//! What is known of the agents' sessions, in memory only: when they were seen, what their screens said.

use std::collections::HashMap;

use super::{
    AgentState, Contact, ContactKind, Needs, Presence, Wanted, needs,
    profiles::Words,
    rules::Life,
    store::{AgentRow, StandIn},
};
use crate::{
    auth::Heard,
    clock::{SECOND, Timestamp},
    id::AgentId,
};

/// A question that changes is written into the log at most this often; the view is always right.
const TELL_AGAIN: i64 = 30 * SECOND;
/// A screen is read again while its last output is younger than this: tmux tells the second, not more.
const SETTLES: i64 = 2 * SECOND;

/// One agent's session.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) life: Life,
    /// When it was started.
    pub(super) started: Option<Timestamp>,
    /// The last output in its terminal; kept when the session ends.
    pub(super) activity: Option<Timestamp>,
    /// What came last with one of its tokens.
    pub(super) heard: Heard,
    pub(super) needs: Option<Needs>,
    /// What its screen said, and when it was read.
    screen: Option<(Timestamp, Vec<String>)>,
    /// Whether it has worked since it was started.
    worked: bool,
    told: Option<(Timestamp, bool)>,
    presence: Option<Presence>,
}

/// All of them.
pub(super) type Crew = HashMap<AgentId, Seen>;

impl Seen {
    /// The last that was heard of it: the one place where it is said what a contact is. Of two at the same time it is the
    /// later in this row.
    pub(super) fn contact(&self) -> Option<Contact> {
        let Heard { call, heartbeat } = self.heard;
        let kinds =
            [(heartbeat, ContactKind::Heartbeat), (self.activity, ContactKind::Terminal), (call, ContactKind::Call)];
        let contacts = kinds.into_iter().filter_map(|(at, kind)| at.map(|at| Contact { at, kind }));
        contacts.max_by_key(|contact| contact.at)
    }

    /// A session has begun, or has ended: what its screen said is past.
    pub(super) fn forget_screen(&mut self) {
        self.started = None;
        self.screen = None;
        self.needs = None;
        self.worked = false;
    }

    /// Whether the screen must be read to know what it says now. A terminal that writes nothing is read no more.
    pub(super) fn must_read(&self) -> bool {
        match (&self.screen, self.activity) {
            (Some((read, _)), Some(activity)) => read.since(activity) < SETTLES,
            _ => true,
        }
    }

    /// The screen as just read.
    pub(super) fn read(&mut self, lines: Vec<String>, words: &Words, now: Timestamp) {
        self.worked |= needs::busy(&lines, words);
        self.screen = Some((now, lines));
    }

    /// Decides anew whether somebody should look.
    pub(super) fn judge(&mut self, words: &Words, bell: bool, now: Timestamp) {
        let Some((_, lines)) = &self.screen else { return };
        let quiet = self.activity.map_or(0, |at| now.since(at));
        // Who has called has worked.
        let called = self.heard.call.zip(self.life.up).is_some_and(|(call, up)| call > up);
        let look = needs::Look { lines, words, bell, quiet, worked: self.worked || called };
        let text = needs::needs(&look);
        self.needs = text.map(|text| match self.needs.take() {
            Some(before) if before.text == text => before,
            // It waits since it was written, which may be before this hub began.
            _ => Needs { text, since: self.activity.map_or(now, |at| at.min(now)) },
        });
    }

    /// What is told to those who follow: `Some` of an event's kind where something changed that the log should know.
    pub(super) fn news(&mut self, now: Timestamp) -> Vec<&'static str> {
        let mut news = Vec::new();
        let since = self.needs.as_ref().map(|needs| needs.since);
        match (self.told, since) {
            (None | Some((_, false)), Some(_)) => news.push("asks"),
            (Some((at, true)), Some(since)) if since > at && now.since(at) >= TELL_AGAIN => news.push("asks"),
            (Some((_, true)), None) => news.push("settled"),
            _ => {}
        }
        if !news.is_empty() {
            self.told = Some((now, since.is_some()));
        }
        let presence = Presence::of(self.contact(), now);
        // Becoming stale is told by the page itself, which knows the time; and the first look is no change.
        match (self.presence, presence) {
            (Some(Presence::Offline), Presence::Online | Presence::Stale) => news.push("online"),
            (Some(Presence::Online | Presence::Stale), Presence::Offline) => news.push("offline"),
            _ => {}
        }
        self.presence = Some(presence);
        news
    }

    /// How its session is.
    pub(super) fn state(&self, row: &AgentRow) -> AgentState {
        match (self.life.up, row.stand_in, row.wanted) {
            (Some(_), None, _) => AgentState::Running,
            (Some(_), Some(StandIn::NotInstalled), _) => AgentState::NotInstalled,
            (Some(_), Some(StandIn::NotSetUp), _) => AgentState::NotSetUp,
            (None, _, Wanted::Running) => AgentState::Starting,
            (None, _, Wanted::Stopped) => AgentState::Stopped,
        }
    }
}
