//! Passwords: argon2id, off the async threads, a few at a time.

use std::sync::Arc;

use anyhow::anyhow;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Error as HashError, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// How many hashes run at once: each takes 19 MiB and a core, and strangers can ask for them.
const AT_ONCE: usize = 2;

/// Hands out turns at hashing. Cheap to clone.
#[derive(Clone)]
pub(super) struct Passwords(Arc<Semaphore>);

impl Passwords {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Waits for a turn. Decide after it whether the hash is still worth its cost.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(anyhow::Error::new)?;
        Ok(Turn(permit))
    }
}

/// The right to hash once.
pub(super) struct Turn(OwnedSemaphorePermit);

impl Turn {
    /// The hash to store for `password`, with a fresh salt.
    pub(super) async fn hash(self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        self.run(move || Ok(hash(&password)?.to_string())).await
    }

    /// Whether `password` belongs to `stored`. Without a stored hash the answer is no and takes as long.
    pub(super) async fn verify(self, stored: Option<String>, password: &str) -> Result<bool, Error> {
        let password = password.to_owned();
        self.run(move || {
            let Some(stored) = stored else {
                hash(&password)?;
                return Ok(false);
            };
            let stored =
                PasswordHash::new(&stored).map_err(|error| anyhow!("a stored password hash is damaged: {error}"))?;
            match hasher()?.verify_password(password.as_bytes(), &stored) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(anyhow!("cannot check a password: {error}")),
            }
        })
        .await
    }

    /// The permit goes along into the thread: a caller who hangs up does not make room for one more hash.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self.0;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        Ok(done.await.map_err(anyhow::Error::new)??)
    }
}

fn hash(password: &str) -> anyhow::Result<PasswordHash> {
    hasher()?.hash_password(password.as_bytes()).map_err(|error| anyhow!("cannot hash a password: {error}"))
}

/// The parameters that OWASP's password storage cheat sheet names first for argon2id.
fn hasher() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(19_456, 2, 1, None).map_err(|error| anyhow!("argon2 refuses its parameters: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
