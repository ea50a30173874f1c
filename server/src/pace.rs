//! How often somebody may come. One bucket for each: it fills evenly, and who empties it waits. A bucket that is full again is
//! forgotten.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::clock::{MINUTE, Timestamp};

/// The buckets of all that are told apart by `K`.
pub struct Pace<K> {
    /// How much comes back in a millisecond.
    back: f64,
    /// What a full bucket holds.
    burst: f64,
    /// Buckets remembered.
    most: usize,
    /// `None` is the one that all share who came when there was no room.
    buckets: Mutex<HashMap<Option<K>, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Timestamp,
}

impl<K: Eq + Hash> Pace<K> {
    /// `per_minute` come back in a minute, `burst` may be taken at once, `most` are told apart until some have rested.
    pub fn new(per_minute: u32, burst: u32, most: usize) -> Self {
        let back = f64::from(per_minute.max(1)) / MINUTE as f64;
        Self { back, burst: f64::from(burst.max(1)), most, buckets: Mutex::default() }
    }

    /// Takes one from the bucket of `key`; if it is empty, says in how many milliseconds it is not.
    pub fn take(&self, key: K, now: Timestamp) -> Result<(), i64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key);
        if buckets.len() >= self.most && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if buckets.len() >= self.most {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: self.burst, at: now });
        *bucket = Bucket { left: self.filled(bucket, now), at: now };
        if bucket.left < 1.0 {
            return Err(((1.0 - bucket.left) / self.back).ceil() as i64);
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// What is in a bucket by now. A clock that was set back fills nothing.
    fn filled(&self, bucket: &Bucket, now: Timestamp) -> f64 {
        (bucket.left + now.since(bucket.at).max(0) as f64 * self.back).min(self.burst)
    }
}

/// Whose requests are counted together. Of IPv6 the first 64 bits count: the rest is the visitor's to choose.
pub(crate) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn each_may_burst_and_then_goes_at_its_pace() {
        let pace = Pace::new(600, 100, 10);
        for n in 0..100 {
            assert_eq!(pace.take("a", START), Ok(()), "{n}");
        }
        assert_eq!(pace.take("a", START), Err(100));
        assert_eq!(pace.take("b", START), Ok(()));
        assert_eq!(pace.take("a", START.plus(50)), Err(50));
        assert_eq!(pace.take("a", START.plus(100)), Ok(()));
        assert_eq!(pace.take("a", START.plus(-10_000)), Err(100));
        assert_eq!(pace.take("a", START.plus(10 * MINUTE)), Ok(()));
    }

    #[test]
    fn who_rests_is_forgotten_and_a_flood_shares_one_bucket() {
        let pace = Pace::new(60, 2, 100);
        let held = || pace.buckets.lock().expect("no panic").len();
        for n in 0..100 {
            assert_eq!(pace.take(n, START), Ok(()));
        }
        // No room: the two of the shared bucket, and then nothing for those who are new.
        assert_eq!((100..110).filter(|n| pace.take(*n, START).is_ok()).count(), 2);
        assert_eq!(pace.take(7, START), Ok(()), "who was there before has their own");
        assert_eq!(pace.take(7, START), Err(1_000));
        assert!(held() <= 101);
        // A second later all are full again but the one that took two, and the shared one.
        assert_eq!(pace.take(200, START.plus(1_000)), Ok(()));
        assert_eq!(held(), 3);
    }

    #[test]
    fn a_network_is_counted_as_one() {
        assert_eq!(network("2001:db8::1"), network("2001:db8:0:0:ffff::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.7"), network("10.0.0.7"));
        assert_ne!(network("10.0.0.7"), network("10.0.0.8"));
        assert_eq!(network("unix"), network(""));
    }
}
