//! The rows of an agent's variables in its form. Secrets live only here and in the call.

use leptos::prelude::*;
use server::agents::Variable;

use crate::ui::icon;

/// One row.
#[derive(Clone, Copy)]
struct Row {
    id: u32,
    name: RwSignal<String>,
    value: RwSignal<String>,
    secret: RwSignal<bool>,
    /// Whether the hub has a sealed value for it, which stays if nothing is typed.
    stored: bool,
}

/// All rows.
#[derive(Clone, Copy)]
pub(super) struct Rows(RwSignal<Vec<Row>>);

impl Rows {
    /// The rows of an agent's variables.
    pub(super) fn new(variables: &[Variable]) -> Self {
        let rows = Self(RwSignal::default());
        for variable in variables {
            rows.push(variable, variable.secret);
        }
        rows
    }

    /// Adds those that a profile wants and that are not there.
    pub(super) fn want(self, variables: &[Variable]) {
        for variable in variables {
            if self.0.with_untracked(|all| all.iter().all(|row| row.name.get_untracked() != variable.name)) {
                self.push(variable, false);
            }
        }
    }

    fn push(self, variable: &Variable, stored: bool) {
        let text = |text: &str| RwSignal::new(text.to_owned());
        self.0.update(|all| {
            let id = all.last().map_or(0, |row| row.id + 1);
            let value = text(variable.value.as_deref().unwrap_or_default());
            all.push(Row { id, name: text(&variable.name), value, secret: RwSignal::new(variable.secret), stored });
        });
    }

    /// What is sent. Rows without a name and a value are nothing.
    pub(super) fn variables(self) -> Vec<Variable> {
        let one = |row: &Row| {
            let (name, value) = (row.name.get_untracked().trim().to_owned(), row.value.get_untracked());
            let secret = row.secret.get_untracked();
            let keep = row.stored && secret && value.is_empty();
            (!name.is_empty() || !value.is_empty()).then(|| Variable { name, value: (!keep).then_some(value), secret })
        };
        self.0.with_untracked(|all| all.iter().filter_map(one).collect())
    }

    /// The fields.
    pub(super) fn view(self) -> AnyView {
        let empty = Variable { name: String::new(), value: Some(String::new()), secret: false };
        view! {
            <fieldset class="variables">
                <legend>"Variables"</legend>
                <For each=move || self.0.get() key=|row| row.id let(row)>{self.row(row)}</For>
                <div class="actions">
                    <button type="button" on:click=move |_| self.push(&empty, false)>{icon("plus")} " Add a variable"</button>
                </div>
            </fieldset>
        }
        .into_any()
    }

    fn row(self, row: Row) -> AnyView {
        let kind = move || if row.secret.get() { "password" } else { "text" };
        let hint = move || if row.stored && row.secret.get() { "stored; type to replace" } else { "value" };
        view! {
            <div class="variable">
                <input
                    class="mono" type="text" aria-label="Name of the variable" placeholder="NAME" autocomplete="off" autocapitalize="off" spellcheck="false"
                    prop:value=row.name on:input:target=move |event| row.name.set(event.target().value())
                />
                <input
                    class="mono" type=kind aria-label="Value" placeholder=hint autocomplete="new-password" spellcheck="false"
                    prop:value=row.value on:input:target=move |event| row.value.set(event.target().value())
                />
                <label title="Stored encrypted, never shown again">
                    <input type="checkbox" prop:checked=row.secret on:change:target=move |event| row.secret.set(event.target().checked()) />
                    " secret"
                </label>
                <button
                    class="quiet" type="button" aria-label="Remove this variable"
                    on:click=move |_| self.0.update(|all| all.retain(|other| other.id != row.id))
                >
                    {icon("close")}
                </button>
            </div>
        }
        .into_any()
    }
}
