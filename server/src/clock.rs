//! Time. The only file that reads the wall clock; everything else gets a [`Clock`] or a [`Timestamp`].

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time from milliseconds since 1970 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time moved by `millis`, backwards when negative.
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// One second, minute, hour and day in milliseconds.
pub const SECOND: i64 = 1_000;
/// See [`SECOND`].
pub const MINUTE: i64 = 60 * SECOND;
/// See [`SECOND`].
pub const HOUR: i64 = 60 * MINUTE;
/// See [`SECOND`].
pub const DAY: i64 = 24 * HOUR;

/// Where the time comes from: the system, or a hand that a test moves.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default)]
pub struct Clock {
    by_hand: Option<std::sync::Arc<std::sync::atomic::AtomicI64>>,
}

#[cfg(feature = "ssr")]
impl Clock {
    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn by_hand(start: Timestamp) -> Self {
        Self { by_hand: Some(std::sync::Arc::new(start.0.into())) }
    }

    /// Moves a clock made by [`Clock::by_hand`]; a system clock ignores it.
    pub fn advance(&self, millis: i64) {
        if let Some(hand) = &self.by_hand {
            hand.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.by_hand {
            Some(hand) => Timestamp(hand.load(std::sync::atomic::Ordering::SeqCst)),
            None => Timestamp(
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            ),
        }
    }
}

/// Measures how long something takes, on the monotonic clock.
#[cfg(feature = "ssr")]
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

#[cfg(feature = "ssr")]
impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> std::time::Duration {
        self.0.elapsed()
    }

    /// Whole milliseconds since the start.
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
