//! How many messages a token may send. One bucket per token: it fills evenly, and holds a sixth of a minute's worth.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    clock::{MINUTE, Timestamp},
    id::TokenId,
};

/// See the module.
pub(super) struct Limit {
    /// Messages a millisecond.
    pace: f64,
    /// Messages that may come at once.
    burst: f64,
    buckets: Mutex<HashMap<TokenId, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Limit {
    pub(super) fn new(per_minute: u32) -> Self {
        let per_minute = f64::from(per_minute.max(1));
        Self { pace: per_minute / MINUTE as f64, burst: (per_minute / 6.0).max(1.0), buckets: Mutex::default() }
    }

    /// Takes one message of `token`; if there is none left, says in how many milliseconds there is.
    pub(super) fn take(&self, token: TokenId, now: Timestamp) -> Result<(), i64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(token).or_insert(Bucket { left: self.burst, at: now });
        // A clock that was set back fills nothing.
        let since = now.since(bucket.at).max(0) as f64;
        bucket.left = (bucket.left + since * self.pace).min(self.burst);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(((1.0 - bucket.left) / self.pace).ceil() as i64);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_burst_and_then_goes_at_its_pace() {
        let limit = Limit::new(600);
        let start = Timestamp::from_millis(1_800_000_000_000);
        let (token, other) = (TokenId::new(start), TokenId::new(start));
        for n in 0..100 {
            assert_eq!(limit.take(token, start), Ok(()), "{n}");
        }
        assert_eq!(limit.take(token, start), Err(100));
        assert_eq!(limit.take(other, start), Ok(()));
        assert_eq!(limit.take(token, start.plus(50)), Err(50));
        assert_eq!(limit.take(token, start.plus(100)), Ok(()));
        assert_eq!(limit.take(token, start.plus(-10_000)), Err(100));
        assert_eq!(limit.take(token, start.plus(10 * MINUTE)), Ok(()));
    }
}
