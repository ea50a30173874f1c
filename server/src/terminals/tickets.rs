//! Tickets: each opens one socket, once, within 30 seconds, for the one it was given to. In memory only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    clock::{SECOND, Timestamp},
    error::{Failure, FailureKind},
    secrets::{hex, random, sha256},
};

/// How long a ticket may wait.
const LIFE: i64 = 30 * SECOND;
/// Tickets that may wait at once; asked for by those who may look, so it is only a bound.
const WAITING: usize = 4_096;
/// Of these, tickets of one credential. A page asks for one and uses it at once; the oldest falls out.
const OF_ONE: usize = 16;

/// Whom a ticket was given to: the credential's own words, so that another session of the same person cannot use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    /// The session's, link's or token's id, with its kind.
    pub(super) credential: String,
    /// The terminal.
    pub(super) terminal: String,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<[u8; 32], Waiting>>);

/// A ticket that waits.
struct Waiting {
    bearer: Bearer,
    until: Timestamp,
    /// Grows from ticket to ticket of one credential.
    turn: u64,
}

impl Tickets {
    /// A new ticket: 128 random bits in hex.
    pub(super) fn give(&self, bearer: Bearer, now: Timestamp) -> Result<String, Failure> {
        let ticket = hex(&random::<16>());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, ticket| ticket.until > now);
        let own = || waiting.iter().filter(|(_, ticket)| ticket.bearer.credential == bearer.credential);
        let turn = own().map(|(_, ticket)| ticket.turn).max().map_or(0, |newest| newest + 1);
        let oldest = own().min_by_key(|(_, ticket)| ticket.turn).map(|(hash, _)| *hash);
        if own().count() >= OF_ONE
            && let Some(oldest) = oldest
        {
            waiting.remove(&oldest);
        }
        if waiting.len() >= WAITING {
            return Err(Failure::new(
                FailureKind::TooMany,
                "too many sockets are being opened; try again in 30 seconds",
            ));
        }
        waiting.insert(sha256(ticket.as_bytes()), Waiting { bearer, until: now.plus(LIFE), turn });
        Ok(ticket)
    }

    /// Whether `ticket` opens this for `bearer`; it is used up either way.
    pub(super) fn take(&self, ticket: &str, bearer: &Bearer, now: Timestamp) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up by hash: how long that takes says nothing about the ticket.
        waiting.remove(&sha256(ticket.as_bytes())).is_some_and(|given| given.bearer == *bearer && given.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_bearer_once_and_soon() {
        let (tickets, now) = (Tickets::default(), Timestamp::from_millis(1_000));
        let bearer =
            |credential: &str, terminal: &str| Bearer { credential: credential.into(), terminal: terminal.into() };
        let give = || tickets.give(bearer("session:1", "agent-a"), now).expect("a ticket");
        let good = give();
        assert_eq!(good.len(), 32);
        assert!(tickets.take(&good, &bearer("session:1", "agent-a"), now));
        assert!(!tickets.take(&good, &bearer("session:1", "agent-a"), now), "once");
        assert!(!tickets.take(&give(), &bearer("session:2", "agent-a"), now), "another session");
        assert!(!tickets.take(&give(), &bearer("session:1", "agent-b"), now), "another terminal");
        assert!(!tickets.take(&give(), &bearer("session:1", "agent-a"), now.plus(LIFE)), "too late");
        let stolen = give();
        assert!(!tickets.take(&stolen, &bearer("session:2", "agent-a"), now));
        assert!(!tickets.take(&stolen, &bearer("session:1", "agent-a"), now), "a try uses it up");
        assert!(!tickets.take("", &bearer("session:1", "agent-a"), now));
    }

    #[test]
    fn tickets_are_bounded_and_make_room_by_time() {
        let (tickets, now) = (Tickets::default(), Timestamp::from_millis(0));
        let bearer = |who: usize| Bearer { credential: format!("session:{who}"), terminal: "a".into() };
        for who in 0..WAITING {
            tickets.give(bearer(who), now).expect("a ticket");
        }
        assert!(tickets.give(bearer(WAITING), now).is_err());
        assert!(tickets.give(bearer(0), now.plus(LIFE)).is_ok());
    }

    #[test]
    fn one_credential_keeps_its_newest_tickets_and_no_others() {
        let (tickets, now) = (Tickets::default(), Timestamp::from_millis(0));
        let bearer = |credential: &str| Bearer { credential: credential.into(), terminal: "a".into() };
        let other = tickets.give(bearer("session:1"), now).expect("a ticket");
        let guest = bearer("link:1");
        let given: Vec<_> = (0..2 * WAITING).map(|_| tickets.give(guest.clone(), now).expect("a ticket")).collect();
        let (old, new) = given.split_at(given.len() - OF_ONE);
        assert!(old.iter().all(|ticket| !tickets.take(ticket, &guest, now)));
        assert!(new.iter().all(|ticket| tickets.take(ticket, &guest, now)));
        assert!(tickets.take(&other, &bearer("session:1"), now));
    }
}
