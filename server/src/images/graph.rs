//! Graphs in ComfyUI's API format: the built-in ones, and saved workflows with placeholders. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{ImageDraft, Seed};

/// Most nodes of a saved workflow.
const NODES: usize = 2000;

/// The graph that draws `draft` (reference/comfyui.md §5): text to image, or image to image when `source_name` (LoadImage's
/// name of the uploaded source) is given, with the draft's LoRAs in order. `prefix` must be new for each submission:
/// for the same graph ComfyUI runs nothing and names the old file.
pub(super) fn build(
    draft: &ImageDraft,
    seed: Seed,
    prefix: &str,
    checkpoint: &str,
    source_name: Option<&str>,
) -> Value {
    let mut nodes = Map::new();
    let mut add = |id: &str, class: &str, inputs: Value| {
        nodes.insert(id.to_owned(), json!({ "class_type": class, "inputs": inputs }));
    };
    add("1", "CheckpointLoaderSimple", json!({ "ckpt_name": checkpoint }));
    let mut model = "1".to_owned();
    for (index, lora) in draft.loras.iter().enumerate() {
        let id = format!("{}", 20 + index);
        let inputs = json!({
            "lora_name": lora.name,
            "strength_model": lora.strength,
            "strength_clip": lora.strength,
            "model": [model, 0],
            "clip": [model, 1],
        });
        add(&id, "LoraLoader", inputs);
        model = id;
    }
    add("2", "CLIPTextEncode", json!({ "text": draft.prompt, "clip": [model, 1] }));
    add("3", "CLIPTextEncode", json!({ "text": draft.negative_prompt, "clip": [model, 1] }));
    let (latent, denoise) = match (source_name, &draft.source) {
        (Some(name), Some(source)) => {
            add("4", "LoadImage", json!({ "image": name }));
            let scale = json!({
                "image": ["4", 0], "upscale_method": "lanczos", "width": draft.width, "height": draft.height, "crop": "center",
            });
            add("5", "ImageScale", scale);
            add("6", "VAEEncode", json!({ "pixels": ["5", 0], "vae": ["1", 2] }));
            if draft.count > 1 {
                add("7", "RepeatLatentBatch", json!({ "samples": ["6", 0], "amount": draft.count }));
            }
            (if draft.count > 1 { "7" } else { "6" }, source.denoise)
        }
        _ => {
            let size = json!({ "width": draft.width, "height": draft.height, "batch_size": draft.count });
            add("4", "EmptyLatentImage", size);
            ("4", 1.0)
        }
    };
    let sampler = json!({
        "seed": seed.0,
        "steps": draft.steps,
        "cfg": draft.cfg_scale,
        "sampler_name": draft.sampler.as_deref().unwrap_or("euler"),
        "scheduler": draft.scheduler.as_deref().unwrap_or("normal"),
        "denoise": denoise,
        "model": [model, 0],
        "positive": ["2", 0],
        "negative": ["3", 0],
        "latent_image": [latent, 0],
    });
    add("8", "KSampler", sampler);
    add("9", "VAEDecode", json!({ "samples": ["8", 0], "vae": ["1", 2] }));
    add("10", "SaveImage", json!({ "images": ["9", 0], "filename_prefix": prefix }));
    Value::Object(nodes)
}

/// Puts `values` in the place of a saved workflow's placeholders, with their types: `"{{seed}}"` becomes a number.
///
/// # Errors
/// Names every placeholder without a value, or what is wrong with the graph.
pub(super) fn fill(graph: &Value, values: &BTreeMap<String, Value>) -> Result<Value, String> {
    let missing: Vec<String> = inputs(graph)?.into_iter().filter(|name| !values.contains_key(name)).collect();
    if !missing.is_empty() {
        return Err(format!("the workflow wants values that were not given: {}", missing.join(", ")));
    }
    let mut graph = graph.clone();
    for node in graph.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(inputs) = node.get_mut("inputs") {
            replace(inputs, values);
        }
    }
    Ok(graph)
}

/// Gives every node that saves under a `filename_prefix` this one, so that a repeated graph makes a new file
/// (see [`build`]).
pub(super) fn save_as(graph: &mut Value, prefix: &str) {
    for node in graph.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(old) = node.get_mut("inputs").and_then(|inputs| inputs.get_mut("filename_prefix"))
            && old.is_string()
        {
            *old = json!(prefix);
        }
    }
}

fn replace(value: &mut Value, values: &BTreeMap<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(new) = placeholder(text).and_then(|name| values.get(name)) {
                *value = new.clone();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names of a saved workflow's placeholders, sorted, each once. This is also the check that it is a graph that
/// `POST /prompt` can take.
///
/// # Errors
/// Says what is wrong, and for the web front end's own format what to do.
pub(super) fn inputs(graph: &Value) -> Result<Vec<String>, String> {
    let Some(nodes) = graph.as_object() else {
        return Err("a workflow is a JSON object of nodes; export it from ComfyUI with \"Export (API)\"".to_owned());
    };
    if nodes.get("nodes").is_some_and(Value::is_array) {
        return Err("this is the web page's format; export it from ComfyUI with \"Export (API)\" (in older ones: switch on the \
                    developer options, then \"Save (API Format)\")"
            .to_owned());
    }
    if nodes.is_empty() {
        return Err("the workflow has no nodes".to_owned());
    }
    if nodes.len() > NODES {
        return Err(format!("the workflow has more than {NODES} nodes"));
    }
    let mut names = BTreeSet::new();
    for (id, node) in nodes {
        let id: String = id.chars().take(40).collect();
        if !node["class_type"].is_string() {
            return Err(format!("node {id} has no class_type; export the workflow from ComfyUI with \"Export (API)\""));
        }
        if !node["inputs"].is_object() {
            return Err(format!("node {id} has no inputs; export the workflow from ComfyUI with \"Export (API)\""));
        }
        collect(&node["inputs"], &mut names);
    }
    Ok(names.into_iter().collect())
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => names.extend(placeholder(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `{{name}}` as a whole text; a name is letters, digits and `_`. Everything else is text: prompts may hold braces.
fn placeholder(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let good = !name.is_empty() && name.len() <= 60 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    good.then_some(name)
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
