//! What is typed into a field of search, once the person has stopped.

use std::time::Duration;

use leptos::prelude::*;

/// How long after the last key the search begins.
const PAUSE: Duration = Duration::from_millis(200);

/// Calls `act` with what was typed last, once nothing more is typed, and only while the page is open. `None`: nothing but
/// spaces. Other spaces stay as they are: one at the end is the beginning of the next word.
pub(crate) fn when_typed(act: impl Fn(Option<String>) + Send + Sync + 'static) -> impl Fn(String) + Copy {
    let (turn, act) = (StoredValue::new(0_u32), StoredValue::new(act));
    move |text| {
        turn.update_value(|turn| *turn += 1);
        let mine = turn.get_value();
        let look = move || {
            if turn.try_get_value() == Some(mine) {
                act.with_value(|act| act(Some(text).filter(|text| !text.trim().is_empty())));
            }
        };
        set_timeout(look, PAUSE);
    }
}
