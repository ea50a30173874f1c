//! Sessions of the handshake revisions: each belongs to the token that began it, and there is a most of them.
//!
//! The SDK keeps the sessions themselves. [`Bound`] is its view for one token: another token's session is as absent as none
//! at all. Where a token has too many, or all together, the one that was used least recently ends: its client begins a new one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::Stream;
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_server::{
        SessionId, SessionManager,
        session::{ServerSseMessage, local::LocalSessionManager},
    },
};
use tokio_util::task::TaskTracker;

use crate::{clock::Stopwatch, id::TokenId};

/// Sessions that one token may have.
pub(super) const OF_ONE: usize = 100;
/// Sessions in all: each costs about 55 KiB.
pub(super) const IN_ALL: usize = 1_000;
/// A session that its client does not use for so long ends. Some clients do not begin a new one when theirs is gone, so it is
/// long. Looked at when another begins; until then it costs little.
const IDLE: Duration = Duration::from_secs(8 * 3600);

/// All sessions, with the token of each.
pub(super) struct Held {
    inner: LocalSessionManager,
    book: Mutex<Book>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Book {
    holders: HashMap<SessionId, Holder>,
}

struct Holder {
    token: TokenId,
    /// Since its client last used it. What the hub says to a session is no use of it.
    unused: Stopwatch,
}

impl Held {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        let mut inner = LocalSessionManager::default();
        // The SDK would begin its count anew at every word of ours; ours is in the book.
        inner.session_config.keep_alive = None;
        Self { inner, book: Mutex::default(), tasks }
    }

    /// How many sessions a token has.
    #[cfg(test)]
    pub(super) fn of(&self, token: TokenId) -> usize {
        self.book().holders.values().filter(|holder| holder.token == token).count()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Writes a new session down; gives those that must end for it.
    fn begin(&mut self, id: SessionId, token: TokenId) -> Vec<SessionId> {
        let mut ending: Vec<SessionId> =
            self.holders.iter().filter(|(_, it)| it.unused.elapsed() > IDLE).map(|(id, _)| id.clone()).collect();
        for id in &ending {
            self.holders.remove(id);
        }
        let (mine, all) = (self.holders.values().filter(|it| it.token == token).count(), self.holders.len());
        if mine >= OF_ONE || all >= IN_ALL {
            let may_go = self.holders.iter().filter(|(_, it)| mine < OF_ONE || it.token == token);
            let oldest = may_go.max_by_key(|(_, it)| it.unused.elapsed()).map(|(id, _)| id.clone());
            if let Some(id) = oldest {
                self.holders.remove(&id);
                ending.push(id);
            }
        }
        self.holders.insert(id, Holder { token, unused: Stopwatch::start() });
        ending
    }

    /// Whether the session is `token`'s; then it was used now.
    fn used(&mut self, id: &SessionId, token: TokenId) -> bool {
        match self.holders.get_mut(id).filter(|holder| holder.token == token) {
            Some(holder) => {
                holder.unused = Stopwatch::start();
                true
            }
            None => false,
        }
    }
}

/// The sessions as one token sees them.
pub(super) struct Bound {
    held: Arc<Held>,
    token: TokenId,
}

impl Bound {
    pub(super) fn new(held: Arc<Held>, token: TokenId) -> Self {
        Self { held, token }
    }
}

impl SessionManager for Bound {
    type Error = <LocalSessionManager as SessionManager>::Error;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.held.inner.create_session().await?;
        let ending = self.held.book().begin(id.clone(), self.token);
        for ending in ending {
            let held = self.held.clone();
            // Beside this call: a session whose client does not read may be slow to hear that it ends.
            self.held.tasks.spawn(async move {
                if let Err(error) = held.inner.close_session(&ending).await {
                    tracing::debug!(%error, "a session did not end cleanly");
                }
            });
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.held.inner.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        if !self.held.book().used(id, self.token) {
            return Ok(false);
        }
        self.held.inner.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        {
            let mut book = self.held.book();
            if book.holders.get(id).is_some_and(|holder| holder.token != self.token) {
                return Ok(());
            }
            book.holders.remove(id);
        }
        self.held.inner.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.held.inner.create_stream(id, message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.held.inner.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.held.inner.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.held.inner.resume(id, last_event_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn ten_thousand_sessions_leave_the_newest_of_all_and_no_token_has_too_many() {
        let (mut book, now) = (Book::default(), Timestamp::from_millis(1_800_000_000_000));
        let tokens: Vec<_> = (0..50).map(|_| TokenId::new(now)).collect();
        let mut ended = 0;
        for n in 0..10_000 {
            let ending = book.begin(format!("session-{n}").into(), tokens[n % tokens.len()]);
            assert!(ending.iter().all(|id| !book.holders.contains_key(id)));
            ended += ending.len();
            assert!(book.holders.len() <= IN_ALL);
        }
        assert_eq!((book.holders.len(), ended), (IN_ALL, 10_000 - IN_ALL));
        assert!(book.holders.contains_key("session-9999"));
        for n in 0..1_000 {
            book.begin(format!("greedy-{n}").into(), tokens[0]);
        }
        let mine = book.holders.values().filter(|holder| holder.token == tokens[0]).count();
        assert!(mine <= OF_ONE, "{mine}");
        // A use by its own token keeps a session, one by another's does not exist.
        let (id, other) = ("greedy-999".into(), tokens[1]);
        assert!(book.used(&id, tokens[0]) && !book.used(&id, other));
    }
}
