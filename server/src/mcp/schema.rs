//! What the tools are, for the model that reads it: few, short, sharp. A test counts the words.

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

/// The longest a call may wait for an image, in seconds.
pub(super) const LONGEST_WAIT: u32 = 600;
/// Rows of one list.
pub(super) const MOST_ROWS: u32 = 50;

/// All tools, always in this order.
pub(super) static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| vec![whoami(), generate_image(), get_image(), list_images(), cancel_image()]);

/// The names of a tool's parameters.
pub(super) fn parameters(tool: &str) -> Vec<&'static str> {
    let tool = TOOLS.iter().find(|it| it.name == tool);
    let properties = tool.and_then(|tool| tool.input_schema.get("properties")?.as_object());
    properties.map(|it| it.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn whoami() -> Tool {
    let output = object(
        json!({
            "actor": text("Your name in the hub's log."),
            "agent": text("The agent you speak for; your images carry it. Missing if the token has none."),
            "role": { "type": "string", "enum": ["viewer", "agent", "operator", "owner"] },
            "may": { "type": "array", "items": { "type": "string", "enum": ["look", "draw", "operate", "own"] } },
            "hub": text("Name and version of this hub."),
            "url": text("Its address."),
            "now": text("Its time."),
        }),
        &["actor", "role", "may", "hub", "url", "now"],
    );
    tool(
        "whoami",
        "Who am I",
        "Who you are on this hub (agent, role, rights), as your token says.",
        json!({}),
        &[],
        output,
    )
    .with_annotations(reading())
}

fn generate_image() -> Tool {
    let size = |edge: &str| json!({ "type": "integer", "minimum": 64, "maximum": 4096, "multipleOf": 8, "default": 1024, "description": edge });
    let properties = json!({
        "prompt": {
            "type": "string", "minLength": 1, "maxLength": 20_000,
            "description": "What to draw: subject, style, light, composition.",
            "examples": ["isometric line drawing of a small server rack, flat pastel colours, white background"],
        },
        "negative_prompt": { "type": "string", "maxLength": 20_000, "description": "What to avoid.", "examples": ["text, watermark, blurry"] },
        "width": size("Pixels."),
        "height": size("Pixels."),
        "steps": { "type": "integer", "minimum": 1, "maximum": 150, "default": 20, "description": "Sampling steps." },
        "cfg_scale": { "type": "number", "minimum": 0, "maximum": 30, "default": 8, "description": "How closely to follow the prompt." },
        "seed": {
            "anyOf": [{ "type": "string", "pattern": "^[0-9]{1,20}$" }, { "type": "integer", "minimum": 0 }],
            "examples": ["42"],
            "description": "0 to 2^64-1; random if left out. The same seed and parameters give the same picture. As a string it keeps all digits.",
        },
        "count": { "type": "integer", "minimum": 1, "maximum": 16, "default": 1, "description": "Pictures to draw." },
        "model": { "type": "string", "minLength": 1, "maxLength": 255, "description": "Checkpoint file name; the service's first if left out.", "examples": ["sd_xl_base_1.0.safetensors"] },
        "sampler": { "type": "string", "minLength": 1, "maxLength": 255, "description": "Default euler.", "examples": ["dpmpp_2m"] },
        "scheduler": { "type": "string", "minLength": 1, "maxLength": 255, "description": "Default normal.", "examples": ["karras"] },
        "loras": {
            "type": "array", "maxItems": 8,
            "items": {
                "type": "object", "required": ["name"], "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "minLength": 1, "maxLength": 255, "description": "File name." },
                    "strength": { "type": "number", "minimum": -10, "maximum": 10, "default": 1 },
                },
            },
        },
        "workflow": { "type": "string", "minLength": 1, "maxLength": 255, "description": "Name or id of a workflow saved on the hub, instead of the built-in one." },
        "inputs": { "type": "object", "description": "Values for that workflow's own inputs, by name." },
        "image": {
            "type": "string", "minLength": 1, "maxLength": 2_000_000,
            "examples": ["central://images/01890a5d-ac96-774b-bcce-b302099a8057/1"],
            "description": "Picture to start from (img2img): a uri, url or sha256 from an earlier result, or base64 of a PNG, JPEG or WebP up to 1.4 MB.",
        },
        "denoise": {
            "type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.75,
            "description": "With image: how much to change, 1 is everything.",
        },
        "task": { "type": "string", "maxLength": 64, "description": "The task it is for; kept with the picture.", "examples": ["T-42"] },
        "wait": {
            "anyOf": [{ "type": "boolean" }, { "type": "integer", "minimum": 0, "maximum": LONGEST_WAIT }],
            "default": true,
            "description": "true: wait for the picture as long as is sensible; false: return the id at once; or seconds.",
        },
        "cancel_on_disconnect": {
            "type": "boolean", "default": false,
            "description": "Cancel the image if this call is cancelled or its connection is lost. By default it goes on.",
        },
    });
    let about = "Draws pictures from a text and waits for them, reporting progress. Returns a small preview, the facts, and links to \
        the originals (resources/read, or the url with your token). If the wait ends first, the image goes on: call get_image with the id.";
    tool("generate_image", "Generate an image", about, properties, &["prompt"], image_output())
        .with_annotations(ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(true))
        .with_meta(large())
}

fn get_image() -> Tool {
    let properties = json!({
        "id": id(),
        "wait": {
            "anyOf": [{ "type": "boolean" }, { "type": "integer", "minimum": 0, "maximum": LONGEST_WAIT }],
            "default": false,
            "description": "true: wait until it has ended; or seconds.",
        },
        "preview": { "type": "boolean", "default": true, "description": "Whether to return a small picture to look at." },
    });
    let about = "Where an image stands: progress or place in the queue, or the result as generate_image returns it.";
    tool("get_image", "Get an image", about, properties, &["id"], image_output())
        .with_annotations(reading())
        .with_meta(large())
}

fn list_images() -> Tool {
    let properties = json!({
        "status": {
            "type": "string", "enum": ["any", "open", "ended"], "default": "any",
            "description": "open: waiting or being drawn, in the order of the queue.",
        },
        "text": { "type": "string", "maxLength": 1_000, "description": "Found in prompt, seed, agent or task (open: in the prompt).", "examples": ["fox"] },
        "mine": { "type": "boolean", "default": false, "description": "Only those of your agent." },
        "limit": { "type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 20 },
        "before": { "type": "string", "format": "uuid", "description": "Next page: the value of next." },
    });
    let row = json!({
        "type": "object",
        "properties": {
            "id": text("Its id."), "status": status(), "prompt": text("The first words."), "agent": text("Who asked."),
            "task": text("What for."), "created_at": text("When it was asked for."),
            "uris": { "type": "array", "items": { "type": "string" }, "description": "Its pictures." },
        },
        "required": ["id", "status", "prompt", "created_at", "uris"],
    });
    let output = object(
        json!({ "images": { "type": "array", "items": row }, "next": text("There are more: give this as before.") }),
        &["images"],
    );
    tool("list_images", "List images", "Images on the hub, newest first.", properties, &[], output)
        .with_annotations(reading())
}

fn cancel_image() -> Tool {
    let output = object(
        json!({ "id": text("Its id."), "status": status(), "message": text("What happens now.") }),
        &["id", "status", "message"],
    );
    let about = "Stops one of your images. Waiting ones stop at once, running ones as soon as the service lets go.";
    tool("cancel_image", "Cancel an image", about, json!({ "id": id() }), &["id"], output)
        .with_annotations(ToolAnnotations::new().read_only(false).destructive(true).idempotent(false).open_world(false))
}

/// What `generate_image` and `get_image` return.
fn image_output() -> Value {
    let picture = json!({
        "type": "object",
        "properties": {
            "uri": text("For resources/read."), "url": text("For HTTP, with your token."),
            "width": { "type": "integer" }, "height": { "type": "integer" },
            "seed": text("Decimal."), "model": text("The checkpoint, if one was named."),
            "bytes": { "type": "integer" }, "sha256": text("Of the file."), "media_type": text("Its type."),
        },
        "required": ["uri", "url", "width", "height", "seed", "bytes", "sha256", "media_type"],
    });
    object(
        json!({
            "id": text("For get_image and cancel_image."),
            "status": status(),
            "images": { "type": "array", "items": picture },
            "backend": text("Who draws it; \"sketch\" is a built-in placeholder and no model."),
            "duration_ms": { "type": "integer", "description": "Time drawn." },
            "cost": { "type": "number", "description": "US dollars; missing if the backend has no price." },
            "place": { "type": "integer", "description": "Images before it in the queue." },
            "step": { "type": "integer" },
            "steps": { "type": "integer" },
            "message": text("What happened, and what to do next."),
        }),
        &["id", "status", "images", "message"],
    )
}

fn tool(
    name: &'static str,
    title: &str,
    about: &'static str,
    properties: Value,
    required: &[&str],
    output: Value,
) -> Tool {
    Tool::new(name, about, into_object(object(properties, required)))
        .with_title(title)
        .with_raw_output_schema(into_object(output))
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid", "description": "The image's id, from generate_image or list_images." })
}

fn status() -> Value {
    json!({ "type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"] })
}

fn reading() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false)
}

/// Claude Code otherwise moves a result with a picture in it to a file.
fn large() -> MetaObject {
    let mut meta = MetaObject::new();
    meta.insert("anthropic/maxResultSizeChars".into(), json!(400_000));
    meta
}

fn into_object(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_are_few_and_cost_few_tokens() {
        assert!(TOOLS.len() <= 15);
        let text = serde_json::to_string(&*TOOLS).expect("JSON");
        // About three and a half characters of such JSON are a token.
        let tokens = text.len() * 2 / 7;
        assert!(tokens <= 5_000, "{tokens} tokens");
    }

    #[test]
    fn every_tool_says_what_it_does_to_the_world() {
        for tool in TOOLS.iter() {
            let hints = tool.annotations.as_ref().expect("annotations");
            assert!(hints.read_only_hint.is_some() && hints.destructive_hint.is_some(), "{}", tool.name);
            assert!(tool.output_schema.is_some() && tool.title.is_some(), "{}", tool.name);
            for (name, property) in tool.input_schema.get("properties").and_then(Value::as_object).expect("properties")
            {
                let text = property["type"] == "string";
                let bounded = ["maxLength", "enum", "format"].iter().any(|bound| property.get(*bound).is_some());
                assert!(!text || bounded, "{}: {name} has no bound", tool.name);
                let number = matches!(property["type"].as_str(), Some("integer" | "number"));
                assert!(!number || property.get("maximum").is_some(), "{}: {name} has no bound", tool.name);
            }
            let open = tool.input_schema.get("additionalProperties");
            assert_eq!(open, Some(&Value::Bool(false)), "{}", tool.name);
        }
    }
}
