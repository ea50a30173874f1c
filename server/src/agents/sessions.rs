//! What is known of the agents' sessions, in memory only: when they were seen, what their screens said.

use std::collections::HashMap;

use super::{Contact, ContactKind, Needs, Presence, Wanted, needs, profiles::Words, rules::Life};
use crate::{
    clock::{SECOND, Timestamp},
    id::{AgentId, TokenId},
};

/// A question that changes is written into the log at most this often; the view is always right.
const TELL_AGAIN: i64 = 30 * SECOND;
/// A screen is read again while its last output is younger than this: tmux tells the second, not more.
const SETTLES: i64 = 2 * SECOND;

/// One agent's session.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) life: Life,
    /// When this hub started it; not known of a session that was there before the hub.
    pub(super) started: Option<Timestamp>,
    /// Why it could not be started.
    pub(super) problem: Option<String>,
    /// The last output in its terminal; kept when the session ends.
    pub(super) activity: Option<Timestamp>,
    /// The last call with one of its tokens.
    pub(super) call: Option<Timestamp>,
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
    /// The last that was heard of it.
    pub(super) fn contact(&self) -> Option<Contact> {
        let call = self.call.map(|at| Contact { at, kind: ContactKind::Call });
        let terminal = self.activity.map(|at| Contact { at, kind: ContactKind::Terminal });
        [terminal, call].into_iter().flatten().max_by_key(|contact| contact.at)
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
        let called = self.call.zip(self.life.up).is_some_and(|(call, up)| call > up);
        let look = needs::Look { lines, words, bell, quiet, worked: self.worked || called };
        let text = needs::needs(&look);
        self.needs = text.map(|text| match self.needs.take() {
            Some(before) if before.text == text => before,
            _ => Needs { text, since: now },
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
    pub(super) fn state(&self, wanted: Wanted) -> super::AgentState {
        match (self.life.up, wanted) {
            (Some(_), _) => super::AgentState::Running,
            (None, Wanted::Running) => super::AgentState::Starting,
            (None, Wanted::Stopped) => super::AgentState::Stopped,
        }
    }
}

/// The last use of any token that speaks for `slug`, and the prefix of the one that is the agent's own.
pub(super) fn of_tokens(
    tokens: &[crate::auth::TokenView],
    slug: &str,
    own: Option<TokenId>,
) -> (Option<Timestamp>, Option<String>) {
    let used =
        tokens.iter().filter(|token| token.agent.as_deref() == Some(slug)).filter_map(|it| it.last_used_at).max();
    let prefix = tokens.iter().find(|token| Some(token.id) == own).map(|token| token.prefix.clone());
    (used, prefix)
}
