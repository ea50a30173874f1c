//! Where something runs: a field of the forms that start sessions.

use leptos::prelude::*;

use super::calls;
use crate::services::choice;

/// A choice of machine; the value is its name, empty for the hub's own. While there is no other machine there is no choice, and
/// nothing is shown.
pub(crate) fn machine_choice(id: &'static str, value: RwSignal<String>) -> AnyView {
    let list = LocalResource::new(calls::machine_choices);
    let field = move || {
        let options = options(list.get()?.unwrap_or_default(), &value.get_untracked());
        (options.len() > 1).then(|| choice(id, "Machine", options, value))
    };
    view! { {field} }.into_any()
}

/// The hub's own first. One that was chosen and is no more stays to be seen.
fn options(others: Vec<(String, String)>, chosen: &str) -> Vec<(String, String)> {
    let gone = !chosen.is_empty() && others.iter().all(|(name, _)| name != chosen);
    let gone = gone.then(|| (chosen.to_owned(), format!("{chosen}, removed")));
    std::iter::once((String::new(), "hub, its own".to_owned())).chain(others).chain(gone).collect()
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

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use server::machines::{HUB, MachineState, MachineView};

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
        assert_eq!(words(all[..1].to_vec(), ""), ["hub, its own"]);
        assert_eq!(words(all[..1].to_vec(), "old"), ["hub, its own", "old, removed"]);
        assert_eq!(words(all, "a"), ["hub, its own", "a", "b, away", "c, invited"]);
    }
}
