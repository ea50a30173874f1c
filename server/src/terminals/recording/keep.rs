//! Which recordings are kept.

use crate::{
    clock::{DAY, Timestamp},
    id::RecordingId,
    terminals::RecordingView,
};

/// The recordings to delete, of `all` from the oldest on: those that ended more than `days` days ago, then the oldest until all
/// that are left fit into `bytes` bytes. One that runs is counted and never deleted.
pub(super) fn too_many(all: &[RecordingView], days: u32, bytes: u64, now: Timestamp) -> Vec<RecordingId> {
    let oldest = now.plus(-i64::from(days) * DAY);
    let size = |recording: &RecordingView| u64::try_from(recording.bytes).unwrap_or(0);
    let mut left = all.iter().map(size).fold(0_u64, u64::saturating_add);
    let (old, young): (Vec<_>, Vec<_>) =
        all.iter().filter(|it| it.ended_at.is_some()).partition(|it| it.ended_at.is_some_and(|at| at < oldest));
    let mut gone = Vec::new();
    for (recording, is_old) in old.into_iter().map(|it| (it, true)).chain(young.into_iter().map(|it| (it, false))) {
        if is_old || left > bytes {
            left = left.saturating_sub(size(recording));
            gone.push(recording.id);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    proptest! {
        #[test]
        fn the_oldest_go_first_and_no_more_than_must(
            given in prop::collection::vec((0..60_i64, 0..30_i64, 0..1_000_i64, prop::bool::weighted(0.2)), 0..30),
            days in 0..60_u32,
            bytes in 0..20_000_u64,
        ) {
            let mut all: Vec<RecordingView> = given
                .into_iter()
                .map(|(age, lasted, bytes, runs)| {
                    let started_at = NOW.plus(-age * DAY - lasted);
                    let ended_at = Some(started_at.plus(lasted)).filter(|_| !runs);
                    RecordingView { id: RecordingId::new(started_at), terminal: "a".into(), started_at, ended_at, bytes }
                })
                .collect();
            all.sort_by_key(|it| (it.started_at, it.id));
            let gone = too_many(&all, days, bytes, NOW);
            let is_gone = |it: &RecordingView| gone.contains(&it.id);
            let is_old = |it: &RecordingView| it.ended_at.is_some_and(|at| NOW.since(at) > i64::from(days) * DAY);
            let left: i64 = all.iter().filter(|it| !is_gone(it)).map(|it| it.bytes).sum();
            let young: Vec<_> = all.iter().filter(|it| it.ended_at.is_some() && !is_old(it)).collect();

            prop_assert!(all.iter().filter(|it| it.ended_at.is_none()).all(|it| !is_gone(it)), "one that runs");
            prop_assert!(all.iter().filter(|it| is_old(it)).all(is_gone), "an old one is left");
            prop_assert!(left as u64 <= bytes || young.iter().all(|it| is_gone(it)), "too much is left");
            // Those deleted for room are the oldest, and without the last of them there was none.
            let for_room = young.iter().take_while(|it| is_gone(it)).count();
            prop_assert!(young.iter().skip(for_room).all(|it| !is_gone(it)), "a younger one before an older");
            if for_room > 0 {
                prop_assert!((left + young[for_room - 1].bytes) as u64 > bytes, "one too many");
            }
        }
    }
}
