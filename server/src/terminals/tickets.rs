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
pub(super) struct Tickets(Mutex<HashMap<[u8; 32], (Bearer, Timestamp)>>);

impl Tickets {
    /// A new ticket: 128 random bits in hex.
    pub(super) fn give(&self, bearer: Bearer, now: Timestamp) -> Result<String, Failure> {
        let ticket = hex(&random::<16>());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (_, until)| *until > now);
        if waiting.len() >= WAITING {
            return Err(Failure::new(
                FailureKind::TooMany,
                "too many sockets are being opened; try again in 30 seconds",
            ));
        }
        waiting.insert(sha256(ticket.as_bytes()), (bearer, now.plus(LIFE)));
        Ok(ticket)
    }

    /// Whether `ticket` opens this for `bearer`; it is used up either way.
    pub(super) fn take(&self, ticket: &str, bearer: &Bearer, now: Timestamp) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up by hash: how long that takes says nothing about the ticket.
        waiting.remove(&sha256(ticket.as_bytes())).is_some_and(|(given, until)| given == *bearer && until > now)
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
        let bearer = Bearer { credential: "session:1".into(), terminal: "a".into() };
        for _ in 0..WAITING {
            tickets.give(bearer.clone(), now).expect("a ticket");
        }
        assert!(tickets.give(bearer.clone(), now).is_err());
        assert!(tickets.give(bearer, now.plus(LIFE)).is_ok());
    }
}
