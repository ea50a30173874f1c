//! The tools. Each is an adapter: read the arguments, call the room, shape the answer.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, CallToolResult, ContentBlock, ProtocolVersion},
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{
    answer,
    args::{self, Args},
    resources::{self, Address},
    schema::{LONGEST_WAIT, MOST_ROWS, parameters},
    seat::Seat,
    state::Shared,
    tasks,
    waiting::{self, Patience},
    words::{iso, short},
};
use crate::{
    caller::Right,
    clock::Stopwatch,
    error::{Error, Failure, FailureKind},
    id::{ImageId, WorkflowId},
    images::{ImageDraft, ImageFilter, ImageView, Lora, Source},
};

/// How much an image that is started from a picture changes it, unless the call says.
const DENOISE: f64 = 0.75;

/// One call: the door it came through, who calls, and the protocol's own things.
pub(super) struct Call<'a> {
    pub(super) mcp: &'a Shared,
    pub(super) seat: &'a Seat,
    pub(super) context: &'a RequestContext<RoleServer>,
}

impl Call<'_> {
    /// Whether this client can take a task instead of a result. Such clients say so in every call.
    fn takes_tasks(&self) -> bool {
        let modern = self.context.protocol_version().is_some_and(|it| it >= ProtocolVersion::V_2026_07_28);
        modern && self.context.client_capabilities().is_some_and(|it| it.supports_tasks())
    }
}

/// Calls a tool. What the caller can mend is told as a tool's error, so that the model reads it.
pub(super) async fn call(call: &Call<'_>, name: &str, args: Args) -> Result<CallToolResponse, ErrorData> {
    let watch = Stopwatch::start();
    let (tool, answer) = match name {
        "whoami" => ("whoami", whoami(call, args).map(CallToolResponse::from)),
        "generate_image" => ("generate_image", generate_image(call, args).await),
        "get_image" => ("get_image", get_image(call, args).await.map(CallToolResponse::from)),
        "list_images" => ("list_images", list_images(call, args).await.map(CallToolResponse::from)),
        "cancel_image" => ("cancel_image", cancel_image(call, args).await.map(CallToolResponse::from)),
        _ => {
            let name: String = name.chars().take(60).collect();
            return Err(ErrorData::invalid_params(format!("there is no tool \"{name}\"; ask for tools/list"), None));
        }
    };
    let outcome = if answer.is_ok() { "good" } else { "refused" };
    metrics::counter!("central_mcp_tool_calls", "tool" => tool, "outcome" => outcome).increment(1);
    metrics::histogram!("central_mcp_tool_seconds", "tool" => tool).record(watch.elapsed().as_secs_f64());
    Ok(answer.unwrap_or_else(|failure| {
        CallToolResult::error(vec![ContentBlock::text(Failure::from(failure).message)]).into()
    }))
}

fn whoami(call: &Call<'_>, args: Args) -> Result<CallToolResult, Error> {
    args.end(&[])?;
    let who = &call.seat.caller;
    let rights = [(Right::Look, "look"), (Right::Draw, "draw"), (Right::Operate, "operate"), (Right::Own, "own")];
    let may: Vec<_> = rights.into_iter().filter(|(right, _)| who.role.may(*right)).map(|(_, word)| word).collect();
    let mut facts = json!({
        "actor": who.actor.to_string(),
        "role": who.role,
        "may": may,
        "hub": concat!("central-mcp ", env!("CARGO_PKG_VERSION")),
        "url": &*call.seat.home,
        "now": iso(call.mcp.hub.clock.now()),
    });
    if let Some(agent) = who.agent() {
        facts["agent"] = json!(agent);
    }
    Ok(CallToolResult::structured(facts))
}

async fn generate_image(call: &Call<'_>, mut args: Args) -> Result<CallToolResponse, Error> {
    let (hub, who) = (&call.mcp.hub, &call.seat.caller);
    let standard = ImageDraft::default();
    let mut draft = ImageDraft {
        prompt: args.needed("prompt"),
        negative_prompt: args.text("negative_prompt").unwrap_or_default(),
        width: args.whole("width").unwrap_or(standard.width),
        height: args.whole("height").unwrap_or(standard.height),
        steps: args.whole("steps").unwrap_or(standard.steps),
        cfg_scale: args.number("cfg_scale").unwrap_or(standard.cfg_scale),
        seed: args.parsed("seed"),
        count: args.whole("count").unwrap_or(standard.count),
        model: args.text("model"),
        sampler: args.text("sampler"),
        scheduler: args.text("scheduler"),
        loras: args
            .read("loras", "a list whose entries are {\"name\": a file's name, \"strength\": a number}", loras)
            .unwrap_or_default(),
        task: args.text("task"),
        ..standard
    };
    let (workflow, inputs) = (args.text("workflow"), args.read("inputs", "an object", |it| it.as_object().cloned()));
    let (image, denoise) = (args.text("image"), args.number("denoise"));
    let (wait, cancel) = (patience(&mut args), args.flag("cancel_on_disconnect").unwrap_or(false));
    if denoise.is_some() && image.is_none() {
        args.refuse("denoise", "goes with \"image\"; give that too, or leave both out");
    }
    args.end(&parameters("generate_image"))?;

    who.must(Right::Draw)?;
    draft.inputs = inputs.unwrap_or_default().into_iter().collect();
    if let Some(workflow) = workflow {
        draft.workflow = Some(workflow_named(call, &workflow).await?);
    }
    if let Some(image) = image {
        draft.source = Some(Source { sha256: source(call, &image).await?, denoise: denoise.unwrap_or(DENOISE) });
    }
    let view = hub.images.draw(who, draft).await?;
    if call.takes_tasks() && wait != Some(Patience::None) {
        return Ok(tasks::created(&view).into());
    }
    let view = match waiting::wait(call, view.id, wait.unwrap_or(Patience::Sensible), cancel).await {
        Ok(view) => view,
        Err(refused @ Error::Refused(_)) => return Err(refused),
        Err(error) => {
            // It is accepted; without its id the caller would ask again.
            tracing::warn!(%error, image.id = %view.id, "an image cannot be waited for");
            view
        }
    };
    Ok(answer::about(call.mcp, call.seat, &view, true).await?.into())
}

async fn get_image(call: &Call<'_>, mut args: Args) -> Result<CallToolResult, Error> {
    let (id, wait) = (id(&mut args), patience(&mut args).unwrap_or(Patience::None));
    let preview = args.flag("preview").unwrap_or(true);
    args.end(&parameters("get_image"))?;
    let view = waiting::wait(call, id.ok_or_else(nothing)?, wait, false).await?;
    Ok(answer::about(call.mcp, call.seat, &view, preview).await?)
}

async fn list_images(call: &Call<'_>, mut args: Args) -> Result<CallToolResult, Error> {
    let who = &call.seat.caller;
    let ended = args.read("status", "any, open or ended", |status| match status.as_str()? {
        "any" => Some(None),
        "open" => Some(Some(false)),
        "ended" => Some(Some(true)),
        _ => None,
    });
    let (text, mine) = (args.text("text"), args.flag("mine").unwrap_or(false));
    let (limit, before) =
        (args.whole("limit").unwrap_or(20), args.read("before", "the value of \"next\" of the page before", page));
    if !(1..=MOST_ROWS).contains(&limit) {
        args.refuse("limit", &format!("is {limit}; give 1 to {MOST_ROWS}"));
    }
    if mine && who.agent().is_none() {
        args.refuse("mine", "is for tokens of an agent, and this one has none; leave it out");
    }
    args.end(&parameters("list_images"))?;
    let agent = who.agent().filter(|_| mine).map(str::to_owned);
    // One more than asked for says whether there are more.
    let filter =
        ImageFilter { text, agent, ended: ended.flatten(), before, limit: limit + 1, ..ImageFilter::default() };
    let mut views = call.mcp.hub.images.list(who, filter.clone()).await?;
    if filter.ended == Some(false) {
        // The room gives the queue whole, in its order, whatever else is asked for.
        let text = filter.text.map(|text| text.to_lowercase());
        if let Some(n) = views.iter().position(|view| Some(view.id) == before) {
            views.drain(..=n);
        }
        views.retain(|view| {
            let found = text.as_ref().is_none_or(|text| view.draft.prompt.to_lowercase().contains(text));
            found && (filter.agent.is_none() || view.agent == filter.agent)
        });
    }
    let more = views.len() > limit as usize;
    views.truncate(limit as usize);
    let mut facts = json!({ "images": views.iter().map(row).collect::<Vec<_>>() });
    if let Some(last) = views.last().filter(|_| more) {
        facts["next"] = json!(last.id);
    }
    Ok(CallToolResult::structured(facts))
}

async fn cancel_image(call: &Call<'_>, mut args: Args) -> Result<CallToolResult, Error> {
    let id = id(&mut args);
    args.end(&parameters("cancel_image"))?;
    let view = call.mcp.hub.images.cancel(&call.seat.caller, id.ok_or_else(nothing)?).await?;
    let message = if view.status.ended() { "it is cancelled" } else { "it ends as soon as its service lets go" };
    Ok(CallToolResult::structured(json!({ "id": view.id, "status": view.status, "message": message })))
}

/// One line of a list.
pub(super) fn row(view: &ImageView) -> Value {
    let mut row = json!({
        "id": view.id,
        "status": view.status,
        "prompt": short(&view.draft.prompt, 120),
        "created_at": iso(view.created_at),
        "uris": (0..view.pictures.len()).map(|n| resources::picture_uri(view.id, n)).collect::<Vec<_>>(),
    });
    for (name, value) in [("agent", &view.agent), ("task", &view.draft.task)] {
        if let Some(value) = value {
            row[name] = json!(value);
        }
    }
    row
}

/// An image's id, which must be there.
fn id(args: &mut Args) -> Option<ImageId> {
    let text = args.needed("id");
    let id = text.trim().parse().ok();
    if id.is_none() && !text.is_empty() {
        args.refuse("id", "is not the id of an image; take it from generate_image or list_images");
    }
    id
}

/// [`Args::end`] has refused before this is needed.
fn nothing() -> Error {
    Failure::invalid("\"id\" is missing; it is needed").into()
}

fn patience(args: &mut Args) -> Option<Patience> {
    let what = format!("true, false, or 0 to {LONGEST_WAIT} seconds");
    args.read("wait", &what, |value| match value {
        Value::Bool(true) => Some(Patience::Sensible),
        Value::Bool(false) => Some(Patience::None),
        other => match args::number(other)? {
            seconds if !(0.0..=f64::from(LONGEST_WAIT)).contains(&seconds) => None,
            seconds if seconds < 0.5 => Some(Patience::None),
            seconds => Some(Patience::Seconds(seconds.round() as u32)),
        },
    })
}

fn page(value: &Value) -> Option<ImageId> {
    value.as_str()?.trim().parse().ok()
}

fn loras(value: &Value) -> Option<Vec<Lora>> {
    value.as_array()?.iter().map(lora).collect()
}

fn lora(value: &Value) -> Option<Lora> {
    let lora = value.as_object()?;
    let known = lora.keys().all(|key| matches!(key.as_str(), "name" | "strength"));
    let strength = lora.get("strength").map_or(Some(1.0), args::number)?;
    Some(Lora { name: lora.get("name")?.as_str()?.to_owned(), strength }).filter(|_| known)
}

/// A saved workflow by its id or its name.
async fn workflow_named(call: &Call<'_>, asked: &str) -> Result<WorkflowId, Error> {
    if let Ok(id) = asked.parse() {
        return Ok(id);
    }
    let saved = call.mcp.hub.images.workflows(&call.seat.caller).await?;
    if let Some(workflow) = saved.iter().find(|workflow| workflow.name == asked) {
        return Ok(workflow.id);
    }
    let names: Vec<_> = saved.iter().take(20).map(|workflow| workflow.name.as_str()).collect();
    let there = if names.is_empty() { "none is saved".to_owned() } else { format!("saved are: {}", names.join(", ")) };
    let asked: String = asked.chars().take(60).collect();
    Err(Failure::invalid(format!("there is no workflow \"{asked}\"; {there}")).into())
}

/// The hash of the picture to start from: one that the hub has, or one that comes with the call and is taken in.
async fn source(call: &Call<'_>, image: &str) -> Result<String, Error> {
    let (images, who, image) = (&call.mcp.hub.images, &call.seat.caller, image.trim());
    if let Some(address) = Address::read(image) {
        let (id, n) = match address {
            Address::Picture(id, n) => (id, n),
            Address::Image(id) => (id, 0),
            Address::Recent => {
                return Err(Failure::invalid("\"image\" is the list of images; give the uri of one picture").into());
            }
        };
        let view = images.get(who, id).await?;
        let picture = view.pictures.get(n).ok_or_else(|| {
            let message = format!("the image {id} is {} and has no such picture", view.status.word());
            Failure::new(FailureKind::Invalid, message)
        })?;
        return Ok(picture.sha256.clone());
    }
    let tail = image.rsplit('/').next().unwrap_or_default();
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash(tail) && (tail == image || image.starts_with(&*call.seat.home) || image.starts_with('/')) {
        return Ok(tail.to_ascii_lowercase());
    }
    let data = image.strip_prefix("data:").map_or(Some(image), |data| Some(data.split_once(";base64,")?.1));
    let bytes = data.and_then(|data| BASE64_STANDARD.decode(data).ok()).ok_or_else(|| {
        let message = "\"image\" is neither a uri, url or sha256 of a picture on this hub nor base64; \
            the hub fetches nothing from elsewhere";
        Failure::invalid(message)
    })?;
    Ok(images.upload(who, bytes.into()).await?.sha256)
}
