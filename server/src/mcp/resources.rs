//! Resources: the newest images as a list, each image as facts, each picture as its bytes.

use std::str::FromStr as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmcp::{
    ErrorData,
    model::{
        ArgumentInfo, CacheScope, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
        ResourceTemplate, SubscriptionFilter,
    },
};
use serde_json::{Value, json};

use super::{answer, seat::Seat, state::Shared, tools};
use crate::{
    caller::Caller,
    error::{Error, Failure, FailureKind},
    id::ImageId,
    images::{ImageFilter, ImageView, Images},
};

/// The newest images.
pub(super) const RECENT: &str = "central://images";
/// Images in one page of the list, and in the list of recent ones.
const PAGE: u32 = 50;
/// Largest picture that is given as a resource: its base64 must fit into 16 MB, the most that clients take in one message, and
/// some of them into the memory of a small machine.
const MOST: i64 = 8_000_000;
/// How long a list may be kept, in milliseconds. Changes are told besides.
const LIST: u64 = 5_000;
/// Resources that one listener or session may subscribe to.
pub(super) const SUBSCRIPTIONS: usize = 500;
/// A picture never changes.
const PICTURE: u64 = 86_400_000;

/// What an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    /// The newest images.
    Recent,
    /// The facts of one image.
    Image(ImageId),
    /// One of its pictures, counted from 0; in the address from 1.
    Picture(ImageId, usize),
}

impl Address {
    /// Reads `central://images`, `central://images/ID` and `central://images/ID/N`.
    pub(super) fn read(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(RECENT)?;
        if rest.is_empty() {
            return Some(Self::Recent);
        }
        let mut parts = rest.strip_prefix('/')?.split('/');
        let id = ImageId::from_str(parts.next()?).ok()?;
        let address = match parts.next() {
            None => Self::Image(id),
            Some(n) => Self::Picture(id, n.parse::<usize>().ok()?.checked_sub(1)?),
        };
        // One spelling each: what is compared later is compared as text by clients, and no zeros pile up.
        (address.uri() == uri).then_some(address)
    }

    /// Its text.
    pub(super) fn uri(self) -> String {
        match self {
            Self::Recent => RECENT.into(),
            Self::Image(id) => image_uri(id),
            Self::Picture(id, n) => picture_uri(id, n),
        }
    }

    /// Whether what it names looks different after something happened to `image`.
    pub(super) fn concerns(self, image: ImageId) -> bool {
        matches!(self, Self::Image(id) | Self::Picture(id, _) if id == image)
    }
}

/// The address of an image's facts.
pub(super) fn image_uri(id: ImageId) -> String {
    format!("{RECENT}/{id}")
}

/// The address of its picture number `n`, counted from 0.
pub(super) fn picture_uri(id: ImageId, n: usize) -> String {
    format!("{RECENT}/{id}/{}", n + 1)
}

/// `resources/list`: the list itself, then the pictures of the newest images.
pub(super) async fn list(
    images: &Images,
    who: &Caller,
    cursor: Option<String>,
) -> Result<ListResourcesResult, ErrorData> {
    let before = match &cursor {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| ErrorData::invalid_params("this cursor is not one of ours", None))?)
        }
    };
    let views = recent(images, who, before).await?;
    let first = cursor
        .is_none()
        .then(|| Resource::new(RECENT, "images").with_title("Recent images").with_mime_type("application/json"));
    let next = views.last().filter(|_| views.len() == PAGE as usize).map(|view| view.id.to_string());
    let mut result =
        ListResourcesResult::with_all_items(first.into_iter().chain(views.iter().flat_map(answer::links)).collect());
    result.next_cursor = next;
    Ok(result.with_ttl_ms(LIST).with_cache_scope(CacheScope::Private))
}

/// `resources/templates/list`.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{RECENT}/{{id}}"), "image")
            .with_title("An image")
            .with_description("Where it stands, what was asked, and its pictures")
            .with_mime_type("application/json"),
        ResourceTemplate::new(format!("{RECENT}/{{id}}/{{n}}"), "picture")
            .with_title("A picture")
            .with_description("The original bytes of picture n, counted from 1"),
    ]
}

/// `resources/read`.
pub(super) async fn read(mcp: &Shared, seat: &Seat, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let (images, who) = (&mcp.hub.images, &seat.caller);
    let address = Address::read(uri).ok_or_else(|| absent(uri))?;
    let (contents, ttl) = match address {
        Address::Recent => {
            let rows: Vec<_> = recent(images, who, None).await?.iter().map(tools::row).collect();
            (json_contents(uri, &json!({ "images": rows })), LIST)
        }
        Address::Image(id) => {
            let view = one(images, who, id, uri).await?;
            let mut facts = answer::facts(images, seat, &view).await.map_err(|failure| told(failure.into(), uri))?;
            facts["asked"] = serde_json::to_value(&view.draft).unwrap_or_default();
            facts["asked_by"] = json!(view.asked_by);
            (json_contents(uri, &facts), LIST)
        }
        Address::Picture(id, n) => (picture(mcp, seat, (id, n), uri).await?, PICTURE),
    };
    Ok(ReadResourceResult::new(vec![contents]).with_ttl_ms(ttl).with_cache_scope(CacheScope::Private))
}

async fn picture(
    mcp: &Shared,
    seat: &Seat,
    (id, n): (ImageId, usize),
    uri: &str,
) -> Result<ResourceContents, ErrorData> {
    let (images, who) = (&mcp.hub.images, &seat.caller);
    let view = one(images, who, id, uri).await?;
    let picture = view.pictures.get(n).ok_or_else(|| absent(uri))?;
    if picture.bytes > MOST {
        let message = format!(
            "this picture has {} MB, too much for one message; fetch {}/pictures/{} with your token",
            picture.bytes / 1_000_000,
            seat.home,
            picture.sha256
        );
        return Err(ErrorData::invalid_request(message, None));
    }
    let file = images.picture(who, &picture.sha256).await.map_err(|error| told(error, uri))?;
    let _turn = mcp.heavy.acquire().await.map_err(|_| ErrorData::internal_error("the hub is ending", None))?;
    let bytes = tokio::fs::read(&file.path).await.map_err(|_| absent(uri))?;
    Ok(ResourceContents::blob(BASE64_STANDARD.encode(bytes), uri).with_mime_type(file.media_type))
}

/// What a subscription is for, if there is such a resource.
pub(super) async fn existing(images: &Images, who: &Caller, uri: &str) -> Result<Address, ErrorData> {
    let address = Address::read(uri).ok_or_else(|| absent(uri))?;
    if let Address::Image(id) | Address::Picture(id, _) = address {
        one(images, who, id, uri).await?;
    }
    Ok(address)
}

/// What of a subscription is heard: our own resources, and the list of them. Tools and prompts change only with the program.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = SubscriptionFilter::new();
    accepted.resources_list_changed = requested.resources_list_changed;
    accepted.resource_subscriptions = requested
        .resource_subscriptions
        .as_ref()
        .map(|uris| uris.iter().filter(|uri| Address::read(uri).is_some()).take(SUBSCRIPTIONS).cloned().collect());
    accepted
}

/// `completion/complete` for the templates: ids of the newest images, and the numbers of pictures.
pub(super) async fn complete(
    images: &Images,
    who: &Caller,
    uri: &str,
    argument: &ArgumentInfo,
) -> Result<Vec<String>, ErrorData> {
    if !templates().iter().any(|template| template.uri_template == uri) {
        return Err(ErrorData::invalid_params("there is no such template; ask for resources/templates/list", None));
    }
    let values: Vec<String> = match argument.name.as_str() {
        "id" => recent(images, who, None).await?.iter().map(|view| view.id.to_string()).collect(),
        "n" => (1..=16).map(|n: u32| n.to_string()).collect(),
        _ => Vec::new(),
    };
    Ok(values.into_iter().filter(|value| value.starts_with(argument.value.trim())).collect())
}

async fn recent(images: &Images, who: &Caller, before: Option<ImageId>) -> Result<Vec<ImageView>, ErrorData> {
    let filter = ImageFilter { before, limit: PAGE, ..ImageFilter::default() };
    images.list(who, filter).await.map_err(|error| told(error, RECENT))
}

async fn one(images: &Images, who: &Caller, id: ImageId, uri: &str) -> Result<ImageView, ErrorData> {
    images.get(who, id).await.map_err(|error| told(error, uri))
}

fn json_contents(uri: &str, facts: &Value) -> ResourceContents {
    ResourceContents::text(facts.to_string(), uri).with_mime_type("application/json")
}

fn absent(uri: &str) -> ErrorData {
    ErrorData::resource_not_found("there is no such resource; ask for resources/list", Some(json!({ "uri": uri })))
}

/// A room's refusal as an error of the protocol.
pub(super) fn told(error: Error, uri: &str) -> ErrorData {
    let failure = Failure::from(error);
    match failure.kind {
        FailureKind::NotFound => absent(uri),
        FailureKind::Internal => ErrorData::internal_error(failure.message, None),
        _ => ErrorData::invalid_request(failure.message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let parsed = id.parse().expect("an id");
        let cases = [
            (RECENT.to_owned(), Some(Address::Recent)),
            (format!("{RECENT}/{id}"), Some(Address::Image(parsed))),
            (format!("{RECENT}/{id}/1"), Some(Address::Picture(parsed, 0))),
            (format!("{RECENT}/{id}/16"), Some(Address::Picture(parsed, 15))),
            (format!("{RECENT}/{id}/0"), None),
            (format!("{RECENT}/{id}/01"), None),
            (format!("{RECENT}/{}", id.to_uppercase()), None),
            (format!("{RECENT}/{id}/-1"), None),
            (format!("{RECENT}/{id}/1/2"), None),
            (format!("{RECENT}/"), None),
            (format!("{RECENT}s"), None),
            (format!("{RECENT}/../../etc/passwd"), None),
            ("file:///etc/passwd".to_owned(), None),
            (String::new(), None),
        ];
        for (uri, expected) in cases {
            assert_eq!(Address::read(&uri), expected, "{uri}");
        }
        assert_eq!(Address::read(&picture_uri(parsed, 4)), Some(Address::Picture(parsed, 4)));
    }
}
