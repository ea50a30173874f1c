//! Too many failures.

use proptest::prelude::*;

use super::*;
use crate::{
    auth::rules::{Failures, Subject, span},
    clock::{DAY, MINUTE, SECOND},
};

#[tokio::test]
async fn five_failures_block_the_account_even_for_the_right_password_until_the_time_is_over() {
    let (house, _) = House::with_owner().await;
    for _ in 0..5 {
        assert_eq!(house.miss("ada", "10.0.0.1").await.kind, FailureKind::Unauthorized);
    }
    let message = refused_as(FailureKind::TooMany, house.auth.login("ada", PASSWORD, from("10.0.0.2")).await);
    assert!(message.contains("wait 30 seconds"), "{message}");
    house.clock.advance(29 * SECOND);
    assert!(house.miss("ada", "10.0.0.1").await.message.contains("wait 1 second "));
    house.clock.advance(SECOND);
    house.signed_in("ada").await;
    // Success gave the account five new tries.
    for _ in 0..5 {
        assert_eq!(house.miss("ada", "10.0.0.1").await.kind, FailureKind::Unauthorized);
    }
}

#[tokio::test]
async fn a_failure_after_a_block_doubles_it() {
    let (house, _) = House::with_owner().await;
    for _ in 0..5 {
        house.miss("ada", "10.0.0.1").await;
    }
    house.clock.advance(30 * SECOND);
    assert_eq!(house.miss("ada", "10.0.0.1").await.kind, FailureKind::Unauthorized);
    assert!(house.miss("ada", "10.0.0.1").await.message.contains("wait 60 seconds"));
}

#[tokio::test]
async fn one_event_is_written_when_a_block_begins_and_none_while_it_lasts() {
    let (house, _) = House::with_owner().await;
    for _ in 0..9 {
        house.miss("ada", "10.0.0.1").await;
    }
    let locked: Vec<_> = house.log().await.into_iter().filter(|event| event.kind == "locked").collect();
    assert_eq!(locked.len(), 1);
    assert_eq!((locked[0].subject.as_str(), locked[0].detail.as_str()), ("user:ada", "for 30 seconds"));
}

#[tokio::test]
async fn an_unknown_name_is_blocked_like_a_known_one() {
    let (house, _) = House::with_owner().await;
    for _ in 0..5 {
        assert_eq!(house.miss("nobody", "10.0.0.1").await.kind, FailureKind::Unauthorized);
    }
    assert_eq!(house.miss("nobody", "10.0.0.1").await.kind, FailureKind::TooMany);
}

#[tokio::test]
async fn an_address_is_blocked_after_twenty_failures_and_own_success_does_not_clear_it() {
    let (house, _) = House::with_owner().await;
    for n in 0..19 {
        assert_eq!(house.miss(&format!("guess{n}"), "10.0.0.1").await.kind, FailureKind::Unauthorized);
    }
    house.signed_in("ada").await;
    assert_eq!(house.miss("guess19", "10.0.0.1").await.kind, FailureKind::Unauthorized);
    assert_eq!(house.miss("guess20", "10.0.0.1").await.kind, FailureKind::TooMany);
    assert!(house.auth.login("ada", PASSWORD, from("10.0.0.2")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tries_at_once_get_no_more_answers_than_one_after_the_other() {
    let (house, _) = House::with_owner().await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let auth = house.auth.clone();
        tries.spawn(async move { refused(auth.login("ada", "not my password", from("10.0.0.1")).await).kind });
    }
    let kinds = tries.join_all().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == FailureKind::Unauthorized).count(), 5);
    assert_eq!(kinds.iter().filter(|kind| **kind == FailureKind::TooMany).count(), 11);
}

#[tokio::test]
async fn a_restart_gives_no_fresh_tries() {
    let (house, _) = House::with_owner().await;
    for _ in 0..5 {
        house.miss("ada", "10.0.0.1").await;
    }
    let again = house.restarted().await.login("ada", PASSWORD, from("10.0.0.1")).await;
    refused_as(FailureKind::TooMany, again);
}

#[tokio::test]
async fn old_failures_are_pruned() {
    let (house, _) = House::with_owner().await;
    house.miss("ada", "10.0.0.1").await;
    assert_eq!(house.auth.prune().await.unwrap(), 0);
    house.clock.advance(DAY);
    assert_eq!(house.auth.prune().await.unwrap(), 2, "one of the account, one of the address");
}

#[test]
fn an_address_stands_for_what_one_visitor_holds() {
    for (address, key) in [
        ("10.0.0.1", "address:10.0.0.1"),
        ("::ffff:10.0.0.1", "address:10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        ("", "address:"),
    ] {
        assert_eq!(Subject::address(address).key, key);
    }
}

#[test]
fn spans_are_words_and_never_too_short() {
    for (millis, words) in [
        (1, "1 second"),
        (1_001, "2 seconds"),
        (30_000, "30 seconds"),
        (119_000, "119 seconds"),
        (119_001, "2 minutes"),
        (121_000, "3 minutes"),
        (15 * MINUTE, "15 minutes"),
    ] {
        assert_eq!(span(millis), words);
    }
}

proptest! {
    #[test]
    fn blocks_begin_with_the_free_failure_then_double_up_to_fifteen_minutes(free in 1_i64..30, failures in 1_i64..80) {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut counted = Failures::default();
        for n in 1..=failures {
            counted = counted.and_one(free, now);
            let expected = (n >= free).then(|| (30 * SECOND * 2_i64.pow((n - free).min(20) as u32)).min(15 * MINUTE));
            prop_assert_eq!(counted.wait(now), expected);
        }
    }

    #[test]
    fn nobody_gets_more_answers_than_the_blocks_allow(gaps in prop::collection::vec(0_i64..120_000, 1..300)) {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let (mut now, mut failures, mut answers) = (start, Failures::default(), 0_i64);
        for gap in gaps {
            now = now.plus(gap);
            if failures.wait(now).is_none() {
                failures = failures.and_one(5, now);
                answers += 1;
            }
        }
        let elapsed = now.since(start);
        // Five free, five shorter blocks until the longest, then one answer for each of those.
        prop_assert!(answers <= 5 + 5 + elapsed / (15 * MINUTE));
        prop_assert!(answers <= 5 + elapsed / (30 * SECOND));
    }

    #[test]
    fn a_day_of_peace_forgets_all(failures in 1_i64..40) {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let counted = (0..failures).fold(Failures::default(), |counted, _| counted.and_one(5, now));
        let later = now.plus(DAY + 15 * MINUTE);
        prop_assert_eq!(counted.and_one(5, later), Failures { count: 1, first_at: later, blocked_until: Timestamp::default() });
    }
}
