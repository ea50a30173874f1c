//! Where something runs: a field of the forms that start sessions; and what the server makes small for the browser.

use leptos::prelude::*;

use super::calls;
use crate::services::choice;

/// A choice of machine; the value is its name, empty for the hub's own. While there is no other machine there is no choice, and
/// nothing is shown.
pub(crate) fn machine_choice(id: &'static str, value: RwSignal<String>) -> AnyView {
    // A resource of its own would be kilobytes for one answer.
    let others = RwSignal::new(None);
    Effect::new(move || {
        leptos::task::spawn_local(async move {
            let all = calls::machine_choices().await.unwrap_or_default();
            // The form may have been closed meanwhile.
            let _ = others.try_set(Some(all));
        });
    });
    let field = move || {
        let options = options(others.get()?, &value.get_untracked());
        (options.len() > 1).then(|| choice(id, "Machine", options, value))
    };
    view! { {field} }.into_any()
}

/// The hub's own first. One that was chosen and is no more stays to be seen.
fn options(others: Vec<(String, String)>, chosen: &str) -> Vec<(String, String)> {
    let gone = !chosen.is_empty() && others.iter().all(|(name, _)| name != chosen);
    let gone = gone.then(|| (chosen.to_owned(), format!("{chosen}, removed")));
    std::iter::once((String::new(), "the hub's own".to_owned())).chain(others).chain(gone).collect()
}

/// Of each machine beside the hub's own its name and what people read. Made by the server: the forms need no more of a machine.
#[cfg(feature = "ssr")]
pub(super) fn others(all: Vec<server::machines::MachineView>) -> Vec<(String, String)> {
    use server::machines::{HUB, MachineState};
    let words = |name: &str, state: MachineState| match state {
        MachineState::Connected => name.to_owned(),
        state => format!("{name}, {}", state.word()),
    };
    let others = all.into_iter().filter(|machine| machine.name != HUB);
    others.map(|machine| (machine.name.clone(), words(&machine.name, machine.state))).collect()
}

/// How many terminals that have not ended each machine has, of those that have some.
#[cfg(feature = "ssr")]
pub(super) fn counted(all: &[server::terminals::TerminalView]) -> Vec<(String, usize)> {
    use server::{machines::HUB, terminals::TerminalState};
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for one in all.iter().filter(|one| one.state != TerminalState::Ended) {
        *counts.entry(one.machine.as_deref().unwrap_or(HUB)).or_default() += 1;
    }
    counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use server::{
        machines::{HUB, MachineState, MachineView},
        terminals::{TerminalState, TerminalView},
    };

    use super::*;

    fn machine(name: &str, state: MachineState) -> MachineView {
        MachineView {
            name: name.into(),
            state,
            since: None,
            version: None,
            protocol: None,
            system: None,
            facts: None,
            facts_at: None,
            join_expires_at: None,
            address: None,
        }
    }

    #[test]
    fn a_machine_that_is_not_there_is_offered_as_such() {
        let all = vec![
            machine(HUB, MachineState::Connected),
            machine("a", MachineState::Connected),
            machine("b", MachineState::Away),
            machine("c", MachineState::Invited),
        ];
        let words = |all: Vec<MachineView>, chosen| -> Vec<String> {
            options(others(all), chosen).into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(words(all[..1].to_vec(), ""), ["the hub's own"]);
        assert_eq!(words(all[..1].to_vec(), "old"), ["the hub's own", "old, removed"]);
        assert_eq!(words(all, "a"), ["the hub's own", "a", "b, away", "c, invited"]);
    }

    #[test]
    fn a_machine_counts_its_own_terminals_that_have_not_ended() {
        let one = |machine: Option<&str>, state| TerminalView {
            name: "a".into(),
            agent: None,
            machine: machine.map(str::to_owned),
            state,
            away: None,
            pid: None,
            cols: 80,
            rows: 24,
            title: String::new(),
            viewers: 0,
            keyboard: None,
            recorded: false,
            recording: None,
            active_at: None,
            started_at: None,
            needs: None,
        };
        let all = [
            one(None, TerminalState::Running),
            one(Some("gpu"), TerminalState::Away),
            one(Some("gpu"), TerminalState::Running),
            one(Some("gpu"), TerminalState::Ended),
        ];
        assert_eq!(counted(&all), [("gpu".to_owned(), 2), (HUB.to_owned(), 1)]);
    }
}
