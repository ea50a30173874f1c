//! Where something runs: a field of the forms that start sessions.

use leptos::prelude::*;
use server::machines::{HUB, MachineState, MachineView};

use super::calls;
use crate::services::choice;

/// A choice of machine; the value is its name, empty for the hub's own. While there is no other machine there is no choice, and
/// nothing is shown.
pub(crate) fn machine_choice(id: &'static str, value: RwSignal<String>) -> AnyView {
    let list = LocalResource::new(calls::list_machines);
    let field = move || {
        let all = list.get()?.unwrap_or_default();
        let options = options(&all, &value.get_untracked());
        (options.len() > 1).then(|| choice(id, "Machine", options, value))
    };
    view! { {field} }.into_any()
}

/// Of each machine its name and what people read. One that was chosen and is no more stays to be seen.
fn options(all: &[MachineView], chosen: &str) -> Vec<(String, String)> {
    let others = all.iter().filter(|machine| machine.name != HUB).map(|machine| {
        let words = match machine.state {
            MachineState::Connected => machine.name.clone(),
            state => format!("{}, {}", machine.name, state.word()),
        };
        (machine.name.clone(), words)
    });
    let gone = !chosen.is_empty() && all.iter().all(|machine| machine.name != chosen);
    let gone = gone.then(|| (chosen.to_owned(), format!("{chosen}, removed")));
    std::iter::once((String::new(), "hub, its own".to_owned())).chain(others).chain(gone).collect()
}

#[cfg(test)]
mod tests {
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
        let all = [
            machine(HUB, MachineState::Connected),
            machine("a", MachineState::Connected),
            machine("b", MachineState::Away),
            machine("c", MachineState::Invited),
        ];
        let words =
            |all: &[MachineView], chosen| -> Vec<_> { options(all, chosen).into_iter().map(|it| it.1).collect() };
        assert_eq!(words(&all, "a"), ["hub, its own", "a", "b, away", "c, invited"]);
        assert_eq!(words(&all[..1], ""), ["hub, its own"]);
        assert_eq!(words(&all[..1], "old"), ["hub, its own", "old, removed"]);
    }
}
