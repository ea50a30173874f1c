//! Who may type into a terminal: one holder at a time, seen by all. No clock and no storage of its own.
//!
//! A holding begins when somebody takes the keyboard, or types while it is free. It ends when they hand it back, somebody
//! takes it over, they go away, or they type nothing for [`IDLE`]. Every holding that ends is given out once, as
//! [`Ended`], with the bytes typed in it: one event in the audit log for each, not one for each key.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::{MINUTE, Timestamp};

/// A keyboard that nobody types on is free again after this.
pub(super) const IDLE: i64 = 2 * MINUTE;

/// Who asks: one open socket, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typist {
    /// As the audit log writes them: `user:NAME`, `token:NAME`, `agent:SLUG`.
    pub(super) actor: String,
    /// Who it is, by id: two tokens may have one name.
    pub(super) identity: String,
    /// The number of their socket. One person may have several.
    pub(super) viewer: u64,
    /// Where they come from, for the audit log.
    pub(super) address: String,
}

/// Somebody's hold of a keyboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Who.
    pub(super) by: Typist,
    /// Since when.
    pub(super) since: Timestamp,
    /// The last input, or else the beginning.
    pub(super) last_used: Timestamp,
    /// Bytes typed and pasted so far.
    pub(super) typed: u64,
}

impl Holding {
    fn begin(by: Typist, now: Timestamp) -> Self {
        Self { by, since: now, last_used: now, typed: 0 }
    }

    /// When it ends if nothing more is typed.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.last_used.plus(IDLE)
    }

    fn end(self, why: Why) -> Ended {
        Ended { by: self.by, since: self.since, typed: self.typed, why }
    }
}

/// Why a holding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// They handed it back.
    HandedBack,
    /// Somebody else took it.
    TakenOver,
    /// They typed nothing for [`IDLE`].
    Idle,
    /// Their socket closed, or they may no longer type, or the session ended.
    Gone,
}

impl Why {
    /// Why, as the audit log says it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::HandedBack => "handed it back",
            Self::TakenOver => "it was taken over",
            Self::Idle => "typed nothing for two minutes",
            Self::Gone => "left",
        }
    }
}

/// A holding that has ended: what the audit log says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Who held it.
    pub(super) by: Typist,
    /// Since when.
    pub(super) since: Timestamp,
    /// Bytes typed and pasted in it.
    pub(super) typed: u64,
    /// Why it ended.
    pub(super) why: Why,
}

/// The keyboard is held by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Who holds it.
    pub(super) holder: String,
    /// Since when.
    pub(super) since: Timestamp,
}

/// The keyboard is the asker's now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(super) struct Taken {
    /// The holding that ended for it, or that had run out.
    pub(super) from: Option<Ended>,
    /// Whether a holding began; false: the asker held it already.
    pub(super) began: bool,
}

/// The keyboard of one terminal.
#[derive(Debug, Default)]
struct Lease(Option<Holding>);

impl Lease {
    fn holding(&self, now: Timestamp) -> Option<&Holding> {
        self.0.as_ref().filter(|holding| now < holding.ends_at())
    }

    /// Ends the holding if it has run out.
    fn settle(&mut self, now: Timestamp) -> Option<Ended> {
        self.0.take_if(|holding| now >= holding.ends_at()).map(|holding| holding.end(Why::Idle))
    }

    fn take(&mut self, who: &Typist, over: bool, now: Timestamp) -> Result<Taken, Refused> {
        let idle = self.settle(now);
        match &mut self.0 {
            Some(holding) if holding.by.viewer == who.viewer => {
                // To ask for it again is to want it still.
                holding.last_used = holding.last_used.max(now);
                Ok(Taken::default())
            }
            // One's own other window needs no asking: it may be a socket that is dead and not yet known to be.
            Some(holding) if !over && holding.by.identity != who.identity => {
                Err(Refused { holder: holding.by.actor.clone(), since: holding.since })
            }
            held => {
                let before = held.replace(Holding::begin(who.clone(), now)).map(|it| it.end(Why::TakenOver));
                Ok(Taken { from: before.or(idle), began: true })
            }
        }
    }

    fn typed(&mut self, who: &Typist, bytes: usize, now: Timestamp) -> Result<Taken, Refused> {
        let idle = self.settle(now);
        let began = self.0.is_none();
        let holding = self.0.get_or_insert_with(|| Holding::begin(who.clone(), now));
        if holding.by.viewer != who.viewer {
            return Err(Refused { holder: holding.by.actor.clone(), since: holding.since });
        }
        holding.typed = holding.typed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        holding.last_used = holding.last_used.max(now);
        Ok(Taken { from: idle, began })
    }

    /// Ends the holding if it is this viewer's.
    fn release(&mut self, viewer: u64, why: Why) -> Option<Ended> {
        self.0.take_if(|holding| holding.by.viewer == viewer).map(|holding| holding.end(why))
    }
}

/// The keyboards of all terminals, by name. What nobody holds is not remembered.
#[derive(Debug, Default)]
pub(super) struct Keyboards(Mutex<HashMap<String, Lease>>);

impl Keyboards {
    /// Who holds the keyboard of `terminal`.
    pub(super) fn holding(&self, terminal: &str, now: Timestamp) -> Option<Holding> {
        self.lock().get(terminal).and_then(|lease| lease.holding(now)).cloned()
    }

    /// Takes the keyboard of `terminal`; with `over` also from somebody else.
    pub(super) fn take(&self, terminal: &str, who: &Typist, over: bool, now: Timestamp) -> Result<Taken, Refused> {
        self.lock().entry(terminal.to_owned()).or_default().take(who, over, now)
    }

    /// Counts input of `bytes` bytes; a free keyboard is taken by it. Call it before the input is handed on: what it refuses
    /// must not be.
    pub(super) fn typed(&self, terminal: &str, who: &Typist, bytes: usize, now: Timestamp) -> Result<Taken, Refused> {
        let mut leases = self.lock();
        match leases.get_mut(terminal) {
            // Every key comes by here: no name is copied for it.
            Some(lease) => lease.typed(who, bytes, now),
            None => leases.entry(terminal.to_owned()).or_default().typed(who, bytes, now),
        }
    }

    /// Input that was counted did not arrive. A holding that has ended meanwhile stays as it was given out.
    pub(super) fn lost(&self, terminal: &str, viewer: u64, bytes: usize) {
        if let Some(lease) = self.lock().get_mut(terminal)
            && let Some(holding) = lease.0.as_mut().filter(|holding| holding.by.viewer == viewer)
        {
            holding.typed = holding.typed.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// Whether `viewer` holds the keyboard, and so may also resize.
    pub(super) fn is_held_by(&self, terminal: &str, viewer: u64, now: Timestamp) -> bool {
        self.lock().get(terminal).and_then(|lease| lease.holding(now)).is_some_and(|it| it.by.viewer == viewer)
    }

    /// Ends the holding of `viewer`, if it has one: they hand it back, or are gone.
    #[must_use]
    pub(super) fn release(&self, terminal: &str, viewer: u64, why: Why) -> Option<Ended> {
        let mut leases = self.lock();
        let ended = leases.get_mut(terminal)?.release(viewer, why);
        if ended.is_some() {
            leases.remove(terminal);
        }
        ended
    }

    /// Ends whatever holding `terminal` has: its session is over.
    #[must_use]
    pub(super) fn forget(&self, terminal: &str) -> Option<Ended> {
        self.lock().remove(terminal)?.0.map(|holding| holding.end(Why::Gone))
    }

    /// Ends the holdings that have run out, and gives their terminals.
    #[must_use]
    pub(super) fn expired(&self, now: Timestamp) -> Vec<(String, Ended)> {
        let mut ended = Vec::new();
        self.lock().retain(|terminal, lease| {
            ended.extend(lease.settle(now).map(|holding| (terminal.clone(), holding)));
            lease.0.is_some()
        });
        ended
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn typist(actor: &str, viewer: u64) -> Typist {
        Typist { actor: actor.to_owned(), identity: actor.to_owned(), viewer, address: "192.0.2.1".to_owned() }
    }

    #[test]
    fn one_holds_it_and_another_must_ask_or_take_over() {
        let (keyboards, ada, bob) = (Keyboards::default(), typist("user:ada", 1), typist("user:bob", 2));
        assert_eq!(keyboards.typed("a", &ada, 3, START), Ok(Taken { from: None, began: true }), "it was free");
        assert_eq!(keyboards.typed("a", &ada, 4, START.plus(5)), Ok(Taken::default()));
        let refused = Refused { holder: "user:ada".into(), since: START };
        assert_eq!(keyboards.typed("a", &bob, 9, START.plus(6)), Err(refused.clone()));
        assert_eq!(keyboards.take("a", &bob, false, START.plus(6)), Err(refused));
        assert_eq!(keyboards.typed("b", &bob, 9, START).map(|taken| taken.began), Ok(true), "another terminal");

        let before = Ended { by: ada, since: START, typed: 7, why: Why::TakenOver };
        assert_eq!(
            keyboards.take("a", &bob, true, START.plus(7)),
            Ok(Taken { from: Some(before), began: true }),
            "what was refused is not counted"
        );
        assert!(keyboards.is_held_by("a", 2, START.plus(7)) && !keyboards.is_held_by("a", 1, START.plus(7)));
        assert_eq!(keyboards.release("a", 1, Why::Gone), None, "who was taken from and leaves takes nothing along");
        let back = keyboards.release("a", 2, Why::HandedBack).expect("held");
        assert_eq!((back.typed, back.why), (0, Why::HandedBack));
        assert_eq!(keyboards.holding("a", START.plus(8)), None);
    }

    #[test]
    fn who_does_not_type_for_two_minutes_holds_it_no_more() {
        let (keyboards, ada, bob) = (Keyboards::default(), typist("user:ada", 1), typist("user:bob", 2));
        let _ = keyboards.typed("a", &ada, 5, START).expect("free");
        let _ = keyboards.typed("a", &ada, 5, START.plus(MINUTE)).expect("hers");
        assert!(keyboards.expired(START.plus(3 * MINUTE - 1)).is_empty());
        let taken = keyboards.typed("a", &bob, 1, START.plus(3 * MINUTE)).expect("free again");
        assert_eq!(taken.from.map(|ended| (ended.by, ended.typed, ended.why)), Some((ada, 10, Why::Idle)));

        let ended = keyboards.expired(START.plus(5 * MINUTE));
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].0.as_str(), &ended[0].1.by, ended[0].1.typed), ("a", &bob, 1));
        assert!(keyboards.lock().is_empty());
    }

    #[test]
    fn ones_own_other_window_may_take_it_but_not_type_by_surprise() {
        let (keyboards, here, there) = (Keyboards::default(), typist("user:ada", 1), typist("user:ada", 2));
        let _ = keyboards.typed("a", &here, 5, START).expect("free");
        assert!(keyboards.typed("a", &there, 5, START).is_err());
        let taken = keyboards.take("a", &there, false, START).expect("hers");
        assert_eq!(taken.from.map(|ended| (ended.by.viewer, ended.typed)), Some((1, 5)));
        assert_eq!(keyboards.forget("a").map(|ended| (ended.by.viewer, ended.why)), Some((2, Why::Gone)));
    }

    #[test]
    fn another_of_the_same_name_is_another() {
        let (keyboards, ci) = (Keyboards::default(), typist("token:ci", 1));
        let other = Typist { identity: "token:2".to_owned(), viewer: 2, ..ci.clone() };
        let _ = keyboards.typed("a", &ci, 5, START).expect("free");
        assert!(keyboards.take("a", &other, false, START).is_err());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take { viewer: u64, over: bool },
        Type { viewer: u64, bytes: usize },
        Release { viewer: u64 },
        Wait { millis: i64 },
        Sweep,
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        let viewer = 0..5_u64;
        prop_oneof![
            2 => (viewer.clone(), any::<bool>()).prop_map(|(viewer, over)| Step::Take { viewer, over }),
            4 => (viewer.clone(), 0..1_000_usize).prop_map(|(viewer, bytes)| Step::Type { viewer, bytes }),
            1 => viewer.prop_map(|viewer| Step::Release { viewer }),
            // Backwards too: the wall clock may be set.
            2 => (-MINUTE..2 * IDLE).prop_map(|millis| Step::Wait { millis }),
            1 => Just(Step::Sweep),
            1 => Just(Step::Forget),
        ]
    }

    proptest! {
        /// Never two holders; every byte let through is in exactly one holding that ends, in the name of who typed it.
        #[test]
        fn there_is_one_holder_and_no_byte_is_lost(steps in prop::collection::vec(step(), 1..80)) {
            let (keyboards, mut now) = (Keyboards::default(), START);
            // Two windows of one person among them.
            let who = |viewer: u64| typist(["user:ada", "user:bob", "agent:a", "token:ci", "user:ada"][viewer as usize], viewer);
            let (mut let_in, mut said) = (HashMap::<u64, u64>::new(), HashMap::<u64, u64>::new());
            let mut ends = Vec::new();
            for step in steps {
                let before = keyboards.holding("a", now);
                match step {
                    Step::Take { viewer, over } => match keyboards.take("a", &who(viewer), over, now) {
                        Ok(taken) => {
                            ends.extend(taken.from);
                            prop_assert!(keyboards.is_held_by("a", viewer, now));
                        }
                        Err(refused) => {
                            let before = before.expect("refused only for a holder");
                            prop_assert!(!over && before.by.viewer != viewer);
                            prop_assert_eq!(&refused.holder, &before.by.actor);
                            prop_assert_eq!(Some(before), keyboards.holding("a", now));
                        }
                    },
                    Step::Type { viewer, bytes } => match keyboards.typed("a", &who(viewer), bytes, now) {
                        Ok(taken) => {
                            *let_in.entry(viewer).or_default() += bytes as u64;
                            prop_assert_eq!(taken.began, before.is_none_or(|it| it.by.viewer != viewer));
                            ends.extend(taken.from);
                            prop_assert!(keyboards.is_held_by("a", viewer, now));
                        }
                        Err(_) => prop_assert!(before.is_some_and(|it| it.by.viewer != viewer)),
                    },
                    Step::Release { viewer } => {
                        ends.extend(keyboards.release("a", viewer, Why::HandedBack));
                        prop_assert!(!keyboards.is_held_by("a", viewer, now));
                    }
                    Step::Wait { millis } => now = now.plus(millis),
                    Step::Sweep => {
                        ends.extend(keyboards.expired(now).into_iter().map(|(_, ended)| ended));
                    }
                    Step::Forget => ends.extend(keyboards.forget("a")),
                }
                let holders = (0..5).filter(|viewer| keyboards.is_held_by("a", *viewer, now)).count();
                prop_assert_eq!(holders, usize::from(keyboards.holding("a", now).is_some()));
                prop_assert!(holders <= 1);
            }
            ends.extend(keyboards.forget("a"));
            for ended in &ends {
                prop_assert_eq!(&ended.by, &who(ended.by.viewer));
                *said.entry(ended.by.viewer).or_default() += ended.typed;
            }
            let_in.retain(|_, bytes| *bytes > 0);
            said.retain(|_, bytes| *bytes > 0);
            prop_assert_eq!(let_in, said);
        }
    }
}
