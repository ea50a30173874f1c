//! How often an address may ask for tokens. One bucket per address: 60 a minute, all of them at once if need be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::clock::{MINUTE, Timestamp};

/// Requests that an address may send at once; as many come back in a minute.
pub(super) const BURST: i64 = 60;
/// Addresses remembered. More share one bucket until some have rested.
const ADDRESSES: usize = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Limit(Mutex<HashMap<String, Bucket>>);

struct Bucket {
    /// When it is full again; the further ahead, the more was taken.
    full_at: Timestamp,
}

impl Limit {
    /// Takes one request of `address`; if there is none left, says in how many milliseconds there is.
    pub(super) fn take(&self, address: &str, now: Timestamp) -> Result<(), i64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = place(address);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= ADDRESSES {
                key = "others".into();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { full_at: now });
        let after = bucket.full_at.max(now).plus(MINUTE / BURST);
        let over = after.since(now) - MINUTE;
        if over > 0 {
            return Err(over);
        }
        bucket.full_at = after;
        Ok(())
    }
}

/// Of IPv6 the first 64 bits count: the rest is the visitor's to choose.
fn place(address: &str) -> String {
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

    #[test]
    fn an_address_may_burst_and_then_waits_its_turn() {
        let (limit, start) = (Limit::default(), Timestamp::from_millis(1_800_000_000_000));
        for n in 0..BURST {
            assert_eq!(limit.take("2001:db8::1", start), Ok(()), "{n}");
        }
        assert_eq!(limit.take("2001:db8::2", start), Err(1_000), "the same network");
        assert_eq!(limit.take("2001:db8:0:1::2", start), Ok(()));
        assert_eq!(limit.take("2001:db8::1", start.plus(1_000)), Ok(()));
        assert_eq!(limit.take("2001:db8::1", start.plus(1_000)), Err(1_000));
        for n in 0..2_000_u32 {
            let _ = limit.take(&std::net::Ipv4Addr::from(n).to_string(), start);
        }
        assert!(limit.0.lock().expect("no panic").len() <= ADDRESSES + 1);
        assert_eq!(limit.take("9.9.9.9", start.plus(2 * MINUTE)), Ok(()));
    }
}
