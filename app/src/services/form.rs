//! The form that adds or changes a service.

use leptos::prelude::*;
use server::services::{MicroUsd, ServiceAuth, ServiceDraft, ServiceKind, ServiceView, TestReport};

use super::{Act, Desk, area, calls, choice, field, steps::Steps};
use crate::ui::{Words, say};

/// What is being typed. Secrets live only here and in the call.
#[derive(Clone, Copy)]
struct Fields {
    name: RwSignal<String>,
    base_url: RwSignal<String>,
    auth: RwSignal<String>,
    token: RwSignal<String>,
    user: RwSignal<String>,
    password: RwSignal<String>,
    headers: RwSignal<String>,
    price: RwSignal<String>,
}

impl Fields {
    fn new(service: Option<&ServiceView>) -> Self {
        let text = |text: &str| RwSignal::new(text.to_owned());
        Self {
            name: text(service.map_or("", |service| &service.name)),
            base_url: text(service.map_or("http://127.0.0.1:8188", |service| &service.base_url)),
            auth: text(if service.is_some() { "keep" } else { "none" }),
            token: text(""),
            user: text(""),
            password: text(""),
            headers: text(""),
            price: RwSignal::new(dollars(service.map_or(MicroUsd(0), |service| service.price_per_hour))),
        }
    }

    fn draft(self) -> Result<ServiceDraft, String> {
        Ok(ServiceDraft {
            name: self.name.get_untracked().trim().to_owned(),
            kind: ServiceKind::Comfyui,
            base_url: self.base_url.get_untracked().trim().to_owned(),
            auth: match self.auth.get_untracked().as_str() {
                "keep" => None,
                "bearer" => Some(ServiceAuth::Bearer { token: self.token.get_untracked() }),
                "basic" => Some(ServiceAuth::Basic {
                    user: self.user.get_untracked(),
                    password: self.password.get_untracked(),
                }),
                "headers" => Some(ServiceAuth::Headers { headers: headers(&self.headers.get_untracked())? }),
                _ => Some(ServiceAuth::None),
            },
            price_per_hour: MicroUsd::parse_dollars(&self.price.get_untracked())?,
        })
    }
}

/// The form; made anew at each opening of its dialog, so nothing typed stays behind.
#[component]
pub(super) fn ServiceForm(
    /// The service to change; `None` adds one.
    service: Option<ServiceView>,
    /// The page's dialog and list.
    desk: Desk,
) -> impl IntoView {
    let fields = Fields::new(service.as_ref());
    let act = Act::new();
    let report = RwSignal::new(None::<TestReport>);
    let id = service.as_ref().map(|service| service.id);
    let active = service.as_ref().is_some_and(|service| service.active);
    // The second button of a refused "Save and activate" must change what the first try stored, not add it twice.
    let saved = RwSignal::new(id);

    let test = move |_| match fields.draft() {
        Ok(mut draft) => {
            // A test asks the address, whatever it will be called.
            if draft.name.is_empty() {
                draft.name = "test".to_owned();
            }
            report.set(None);
            act.run(calls::test_service(draft, saved.get_untracked()), move |found| report.set(Some(found)));
        }
        Err(why) => act.fail(why),
    };
    let save = move |activate: bool| match fields.draft() {
        Ok(draft) => {
            let work = async move {
                let service = match saved.get_untracked() {
                    Some(id) => calls::update_service(id, draft).await?,
                    None => calls::add_service(draft).await?,
                };
                saved.set(Some(service.id));
                if activate { calls::set_service_active(service.id, true).await } else { Ok(service) }
            };
            act.run(work, move |service: ServiceView| {
                desk.form.set(false);
                desk.list.refetch();
                let word = if activate { "saved and active" } else { "saved" };
                say(format!("{} is {word}", service.name));
            });
        }
        Err(why) => act.fail(why),
    };
    let kind = move |word: &'static str| move || fields.auth.with(|auth| auth == word);
    let stored = service.map(|service| ("keep", format!("Keep what is stored ({})", service.auth)));
    let all =
        [("none", "None"), ("bearer", "Bearer token"), ("basic", "User and password"), ("headers", "Own headers")];
    let all = all.map(|(key, text)| (key, text.to_owned()));
    let kinds = stored.into_iter().chain(all).map(|(key, text)| (key.to_owned(), text)).collect();

    view! {
        <form
            class="form"
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                save(false);
            }
        >
            {field("service-name", "Name", "What you call it, such as comfy-4090", "text", "off", fields.name)}
            {field("service-address", "Address", "As you would open it in a browser", "url", "off", fields.base_url)}
            {choice("service-authentication", "Authentication", kinds, fields.auth)}
            <Show when=kind("bearer")>{field("service-token", "Token", "Stored encrypted, never shown again", "password", "new-password", fields.token)}</Show>
            <Show when=kind("basic")>
                {field("service-user", "User", "", "text", "off", fields.user)}
                {field("service-password", "Password", "Stored encrypted, never shown again", "password", "new-password", fields.password)}
            </Show>
            <Show when=kind("headers")>
                {area("service-headers", "Headers", "One a line. Stored encrypted, never shown again", "Name: value".into(), "3", fields.headers)}
            </Show>
            {field("service-price-per-hour", "Price per hour, in dollars", "What an hour of it costs; 0 for a machine of your own", "text", "off", fields.price)}
            <div aria-live="polite">
                {move || report.get().map(|report| view! { <Steps report=report /> })}
            </div>
            <Words failure=act.failure />
            <p class="quiet" role="status" hidden=move || !act.busy()>"Asking the server…"</p>
            <div class="actions">
                <button type="button" disabled=move || act.busy() on:click=test>"Test"</button>
                <button class=if active { "primary" } else { "" } type="submit" disabled=move || act.busy()>"Save"</button>
                {(!active).then(|| view! {
                    <button class="primary" type="button" disabled=move || act.busy() on:click=move |_| save(true)>"Save and activate"</button>
                })}
            </div>
        </form>
    }
}

/// `Name: value` lines as pairs.
fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) =
                line.split_once(':').ok_or("each line of headers needs a colon, such as X-Key: abc".to_owned())?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Dollars as [`MicroUsd::parse_dollars`] reads them: `0.59`, `2`, `0`.
fn dollars(price: MicroUsd) -> String {
    let text = format!("{}.{:06}", price.0 / 1_000_000, price.0 % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_comes_back_as_it_was_typed() {
        for text in ["0", "2", "0.59", "0.000001", "10"] {
            assert_eq!(MicroUsd::parse_dollars(text).map(dollars), Ok(text.to_owned()));
        }
    }

    #[test]
    fn headers_are_read_a_line_each() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(headers("A: b\n\n C:d:e "), Ok(vec![pair("A", "b"), pair("C", "d:e")]));
        assert!(headers("no colon").is_err());
    }
}
