//! Which client programs have come in with which token: an event when one is new, so that the screen "Connect an agent" can
//! say that it worked, and the audit log knows what an agent runs.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use rmcp::model::{Implementation, ProtocolVersion};

use super::seat::Seat;
use crate::{
    Hub,
    clock::{HOUR, Timestamp},
    events::{NewEvent, Topic},
    id::TokenId,
};

/// A client that comes again is written down again after this time.
const AGAIN: i64 = HOUR;
/// Different clients of one token that are told apart within that time; more are not written, so that nobody can fill the
/// log by changing a name.
const MOST: usize = 8;

/// Tokens remembered. With more, the one whose newest client came first is forgotten: at worst a line comes twice.
const TOKENS: usize = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Met(Mutex<HashMap<TokenId, Vec<(String, Timestamp)>>>);

impl Met {
    /// Writes the event `connected` if this client was not met with this token within the hour.
    pub(super) async fn hello(&self, hub: &Hub, seat: &Seat, client: &Implementation, revision: &ProtocolVersion) {
        let name = format!("{} {}", cut(&client.name), cut(&client.version));
        let detail = format!("{name} · {} · {}", cut(revision.as_str()), seat.wire.word());
        if !self.is_new(seat.token, &detail, hub.clock.now()) {
            return;
        }
        let event = NewEvent::new(Topic::Auth, "connected", seat.token, detail.clone());
        let written = async {
            let tx = hub.db.write().await?;
            hub.events.commit(tx, &seat.caller.actor, event).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "a new client cannot be written down");
            self.forget(seat.token, &detail);
        }
    }

    /// So that the next call of this client is written down instead.
    fn forget(&self, token: TokenId, client: &str) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.entry(token).or_default().retain(|(known, _)| known != client);
    }

    fn is_new(&self, token: TokenId, client: &str, now: Timestamp) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= TOKENS && !met.contains_key(&token) {
            met.retain(|_, clients| clients.iter().any(|(_, at)| now.since(*at) < AGAIN));
            let newest = |clients: &[(String, Timestamp)]| clients.iter().map(|(_, at)| *at).max();
            if met.len() >= TOKENS
                && let Some(oldest) = met.iter().min_by_key(|(_, clients)| newest(clients)).map(|(token, _)| *token)
            {
                met.remove(&oldest);
            }
        }
        let clients = met.entry(token).or_default();
        clients.retain(|(_, at)| now.since(*at) < AGAIN);
        if clients.len() >= MOST || clients.iter().any(|(known, _)| known == client) {
            return false;
        }
        clients.push((client.to_owned(), now));
        true
    }
}

/// A client's own words about itself: short, and on one line.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_new_once_an_hour_and_names_cannot_flood() {
        let (met, start) = (Met::default(), Timestamp::from_millis(1_800_000_000_000));
        let (token, other) = (TokenId::new(start), TokenId::new(start));
        assert!(met.is_new(token, "a 1", start));
        assert!(!met.is_new(token, "a 1", start));
        assert!(met.is_new(other, "a 1", start));
        let new = (0..1000).filter(|n| met.is_new(token, &format!("b {n}"), start)).count();
        assert_eq!(new, MOST - 1);
        assert!(met.is_new(token, "a 1", start.plus(AGAIN)));
        for n in 0..2 * TOKENS as i64 {
            assert!(met.is_new(TokenId::new(start), "c 1", start.plus(AGAIN + n)));
        }
        assert_eq!(met.0.lock().expect("no panic").len(), TOKENS);
    }
}
