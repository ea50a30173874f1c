//! The doorman: one task that reads whose tokens are shown at the door, for all who wait there at that moment.
//!
//! Every call begins with that read, and sqlx keeps SQLite in a thread of its own, so that a read costs two changes of
//! thread: more than SQLite's part of it. Asked together they cost that once. Nothing is remembered between two reads: an
//! answer is always of a read that began after its call, so that a token that was revoked, by this program or by another
//! one, is refused from then on.

use std::sync::Arc;

use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::store::{self, TOKENS_AT_ONCE, TokenRow};
use crate::{clock::Clock, db::Db};

/// Who waits in line; more wait to get into it.
const LINE: usize = 256;

/// The hash of a token's secret, and where the answer goes.
struct Question {
    hash: [u8; 32],
    answer: oneshot::Sender<Option<Arc<TokenRow>>>,
}

/// The way to the doorman. Cheap to clone.
#[derive(Clone)]
pub(super) struct Doorman {
    db: Db,
    clock: Clock,
    line: Option<mpsc::Sender<Question>>,
}

impl Doorman {
    /// Nobody stands at the door: everybody reads for themselves.
    pub(super) fn away(db: Db, clock: Clock) -> Self {
        Self { db, clock, line: None }
    }

    /// Lets the task begin; it ends with `stop`.
    pub(super) async fn begin(&mut self, tasks: &TaskTracker, stop: CancellationToken) -> Result<(), sqlx::Error> {
        let connection = self.db.read().acquire().await?.detach();
        let (line, questions) = mpsc::channel(LINE);
        tasks.spawn(stand(connection, self.clock.clone(), questions, stop));
        self.line = Some(line);
        Ok(())
    }

    /// The valid token with this hash.
    pub(super) async fn token(&self, hash: [u8; 32]) -> Result<Option<Arc<TokenRow>>, sqlx::Error> {
        if let Some(line) = &self.line {
            let (answer, answered) = oneshot::channel();
            if line.send(Question { hash, answer }).await.is_ok()
                && let Ok(row) = answered.await
            {
                return Ok(row);
            }
        }
        // The hub is ending, or that read failed.
        let mut rows = store::tokens_by_secrets(self.db.read(), &[hash], self.clock.now()).await?;
        Ok(rows.pop().map(Arc::new))
    }
}

async fn stand(
    mut connection: SqliteConnection,
    clock: Clock,
    mut questions: mpsc::Receiver<Question>,
    stop: CancellationToken,
) {
    while let Some(Some(first)) = stop.run_until_cancelled(questions.recv()).await {
        // Those who are about to ask come first.
        yield_now().await;
        let mut asked = vec![first];
        while asked.len() < TOKENS_AT_ONCE
            && let Ok(next) = questions.try_recv()
        {
            asked.push(next);
        }
        let hashes: Vec<_> = asked.iter().map(|question| question.hash).collect();
        match store::tokens_by_secrets(&mut connection, &hashes, clock.now()).await {
            Ok(rows) => {
                let rows: Vec<_> = rows.into_iter().map(Arc::new).collect();
                for Question { hash, answer } in asked {
                    // Who does not wait any more needs no answer.
                    let _ = answer.send(rows.iter().find(|row| row.secret_hash == hash).cloned());
                }
            }
            // Without an answer each reads for itself, and gets its own error.
            Err(error) => tracing::warn!(%error, "the doorman cannot read"),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the doorman's connection did not close cleanly");
    }
}
