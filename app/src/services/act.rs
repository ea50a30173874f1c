//! Something a person does on a page: it is sent once, waits, succeeds or says beside itself why not.

use std::{future::Future, pin::Pin};

use leptos::{prelude::*, reactive::owner::Owner};

use crate::{
    Refusal,
    ui::{Dialog, Words, capital},
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
        let _ = self.failure.try_set(Some(capital(&why)));
    }
}

/// The last question before one thing of a list is destroyed. Make it in the component that shows the list.
pub(crate) struct Question<T: 'static> {
    open: RwSignal<bool>,
    about: RwSignal<Option<T>>,
    act: Act,
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Question<T> {}

/// How a [`Question`] is put.
pub(crate) struct Asked {
    /// What is about to happen, before the name: "Delete".
    pub(crate) verb: &'static str,
    /// The consequence.
    pub(crate) text: &'static str,
    /// The button: the verb and the price.
    pub(crate) yes: &'static str,
}

impl<T: Clone + Send + Sync + 'static> Question<T> {
    /// A question that nobody has asked yet.
    pub(crate) fn new() -> Self {
        Self { open: RwSignal::new(false), about: RwSignal::new(None), act: Act::new() }
    }

    /// Asks about `one`.
    pub(crate) fn ask(self, one: T) {
        self.act.failure.set(None);
        self.about.set(Some(one));
        self.open.set(true);
    }

    /// The dialog that asks; `call` destroys what was asked about, `done` gets it afterwards.
    pub(crate) fn dialog<C: Future<Output = Result<(), Refusal>> + 'static>(
        self,
        asked: Asked,
        name: fn(&T) -> &str,
        call: impl Fn(&T) -> C + Send + Sync + 'static,
        done: impl Fn(T) + Copy + Send + Sync + 'static,
    ) -> AnyView {
        let title = Signal::derive(move || {
            self.about.with(|one| format!("{} {}?", asked.verb, one.as_ref().map(name).unwrap_or_default()))
        });
        let yes = Callback::new(move |()| {
            let Some(one) = self.about.get_untracked() else { return };
            self.act.run(call(&one), move |()| {
                self.open.set(false);
                done(one);
            });
        });
        view! {
            <Dialog open=self.open title=title>
                <div class="body">
                    <p>{asked.text}</p>
                    <Words failure=self.act.failure />
                    <div class="actions">
                        <button class="danger" type="button" disabled=move || self.act.busy() on:click=move |_| yes.run(())>
                            {asked.yes}
                        </button>
                        <button type="button" on:click=move |_| self.open.set(false)>"Cancel"</button>
                    </div>
                </div>
            </Dialog>
        }
        .into_any()
    }
}
