//! Something a person does on a page: it is sent once, waits, succeeds or says beside itself why not.

use std::{future::Future, pin::Pin};

use leptos::{prelude::*, reactive::owner::Owner};

use crate::{
    Refusal,
    ui::{Dialog, Words},
};

/// A call to the server; its answer is what to do when it succeeded.
type Call = Pin<Box<dyn Future<Output = Result<Box<dyn FnOnce()>, Refusal>>>>;

/// One act, or several that exclude each other. Make it in the component that shows it.
#[derive(Clone, Copy)]
pub(crate) struct Act {
    busy: RwSignal<bool>,
    /// Why the last try failed.
    pub(crate) failure: RwSignal<Option<String>>,
}

impl Act {
    /// An act that nobody has tried yet.
    pub(crate) fn new() -> Self {
        Self { busy: RwSignal::new(false), failure: RwSignal::new(None) }
    }

    /// Whether it is under way.
    pub(crate) fn busy(self) -> bool {
        self.busy.get()
    }

    /// Sends `call`, unless one is under way; `done` gets the answer. Call it from an event handler.
    pub(crate) fn run<T: 'static>(
        self,
        call: impl Future<Output = Result<T, Refusal>> + 'static,
        done: impl FnOnce(T) + 'static,
    ) {
        self.send(Box::pin(async move {
            let answer = call.await?;
            Ok(Box::new(move || done(answer)) as Box<dyn FnOnce()>)
        }));
    }

    // Apart from `run`, so that the browser half holds it once and not for every call.
    fn send(self, call: Call) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        // After the wait nobody owns the code any more, and `say` would not find its list.
        let owner = Owner::current();
        leptos::task::spawn_local(async move {
            let answer = call.await;
            // The page may have been left meanwhile.
            let _ = self.busy.try_set(false);
            match (answer, owner) {
                (Ok(done), Some(owner)) => owner.with(done),
                (Ok(done), None) => done(),
                (Err(refusal), _) => self.fail(refusal.to_string()),
            }
        });
    }

    /// Says why it cannot be done, before or after trying. Failures come as clauses; people read sentences.
    pub(crate) fn fail(self, why: String) {
        let mut chars = why.chars();
        let sentence = chars.next().map(|first| first.to_uppercase().chain(chars).collect());
        let _ = self.failure.try_set(sentence);
    }
}

/// The last question before something is destroyed; the text names what is lost.
#[component]
pub(crate) fn Confirm(
    /// Whether it is asked.
    open: RwSignal<bool>,
    /// What is about to happen.
    #[prop(into)]
    title: Signal<String>,
    /// The consequence.
    #[prop(into)]
    text: Signal<String>,
    /// The button: the verb and the price.
    verb: &'static str,
    /// The act behind the button.
    act: Act,
    /// Does it.
    on_yes: Callback<()>,
) -> impl IntoView {
    Effect::new(move || {
        if open.get() {
            act.failure.set(None);
        }
    });
    view! {
        <Dialog open=open title=title>
            <div class="body">
                <p>{move || text.get()}</p>
                <Words failure=act.failure />
                <div class="actions">
                    <button class="danger" type="button" disabled=move || act.busy() on:click=move |_| on_yes.run(())>
                        {verb}
                    </button>
                    <button type="button" on:click=move |_| open.set(false)>"Cancel"</button>
                </div>
            </div>
        </Dialog>
    }
}
