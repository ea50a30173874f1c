//! What ComfyUI says, in words that a person understands, without the server's paths (reference/comfyui.md §2.1).

use serde_json::Value;

use super::Stop;

/// Names of a list that are shown; a shop of models has hundreds.
const SHOWN: usize = 12;
/// Longest text of an exception that is shown, in characters.
const LONGEST: usize = 400;

/// A `POST /prompt` that was answered with an error.
pub(super) fn refusal(answer: &Value) -> Stop {
    let error = &answer["error"];
    // Very old servers answer with a bare text.
    if let Some(text) = error.as_str() {
        return Stop::Refused(format!("ComfyUI refuses the job: {}", clean(text)));
    }
    let message = clean(error["message"].as_str().unwrap_or_default());
    match error["type"].as_str() {
        Some("missing_node_type") => match error["extra_info"]["class_type"].as_str() {
            Some(class) => missing_class(class),
            None => Stop::Refused(message),
        },
        // The same in servers before 0.12, where only the text names the class.
        Some("invalid_prompt") => {
            match message.split_once("because node ").and_then(|(_, rest)| rest.split_once(" does not exist")) {
                Some((class, _)) => missing_class(class),
                None => Stop::Refused(format!("ComfyUI refuses the job: {message}")),
            }
        }
        Some("prompt_no_outputs") => {
            Stop::Refused("the graph has no output node; add one that saves, such as SaveImage".to_owned())
        }
        Some("prompt_outputs_failed_validation") => {
            let (reasons, unfit) = node_errors(&answer["node_errors"]);
            if reasons.is_empty() {
                return Stop::Refused(
                    "ComfyUI refuses the graph and names no reason; older servers do that when nodes link in a circle"
                        .to_owned(),
                );
            }
            if unfit { Stop::Unfit(reasons.join("; ")) } else { Stop::Refused(reasons.join("; ")) }
        }
        _ if message.is_empty() => Stop::Refused("ComfyUI refuses the job and gives no reason".to_owned()),
        _ => Stop::Refused(format!("ComfyUI refuses the job: {message}")),
    }
}

/// What a job that was accepted lost on the way: the `node_errors` of a 200.
pub(super) fn warning(node_errors: &Value) -> Option<String> {
    let (reasons, _) = self::node_errors(node_errors);
    (!reasons.is_empty()).then(|| format!("ComfyUI left out a part of the graph: {}", reasons.join("; ")))
}

/// A reason for each fault, and whether all of them are things that only this server lacks.
fn node_errors(node_errors: &Value) -> (Vec<String>, bool) {
    let mut reasons = Vec::new();
    let mut unfit = true;
    for (id, node) in node_errors.as_object().into_iter().flatten() {
        let class = node["class_type"].as_str().unwrap_or("unknown class");
        for error in node["errors"].as_array().into_iter().flatten().take(SHOWN) {
            unfit &= error["type"] == "value_not_in_list";
            reasons.push(reason(id, class, error));
        }
    }
    reasons.truncate(SHOWN);
    (reasons, unfit)
}

fn reason(id: &str, class: &str, error: &Value) -> String {
    let info = &error["extra_info"];
    let message = clean(error["message"].as_str().unwrap_or("no reason given"));
    let details = clean(error["details"].as_str().unwrap_or_default());
    let input = info["input_name"].as_str().unwrap_or(&details);
    let place = format!("node {id} ({class})");
    match error["type"].as_str() {
        Some("value_not_in_list") => {
            let value =
                info["received_value"].as_str().map_or_else(|| info["received_value"].to_string(), str::to_owned);
            let has = match choices(&info["input_config"]) {
                Some(names) if names.is_empty() => "it has none".to_owned(),
                Some(names) => listed(&names),
                None => "its list is in the service's catalog".to_owned(),
            };
            format!("this server has no {} \"{}\"; {has}", thing(input), clean(&value))
        }
        Some("required_input_missing") => format!("{place} lacks its input {input}"),
        Some("value_smaller_than_min" | "value_bigger_than_max") => {
            format!("{place}, input {input}: {}", message.replacen("Value", "value", 1))
        }
        Some("invalid_input_type") => {
            format!("{place}, input {input}: {} is of the wrong kind", clean(&info["received_value"].to_string()))
        }
        Some("return_type_mismatch") => {
            format!("{place}, input {input}: linked to an output of another kind ({details})")
        }
        Some("bad_linked_input") => format!("{place}, input {input}: its link is not a pair of node and output"),
        Some("custom_validation_failed") => format!("{place} refuses its input: {details}"),
        Some("dependency_cycle") => format!("nodes link in a circle: {details}"),
        Some("exception_during_validation" | "exception_during_inner_validation") => {
            format!(
                "{place} cannot be checked, often because a link goes to a node or output that does not exist ({details})"
            )
        }
        _ if details.is_empty() => format!("{place}: {message}"),
        _ => format!("{place}: {message} ({details})"),
    }
}

fn missing_class(class: &str) -> Stop {
    Stop::Unfit(format!("this server lacks the node \"{}\"; install the custom node that has it", clean(class)))
}

/// What an input with a list of names holds.
fn thing(input: &str) -> &str {
    match input {
        "ckpt_name" => "checkpoint",
        "lora_name" => "LoRA",
        "vae_name" => "VAE",
        "unet_name" => "diffusion model",
        "control_net_name" => "ControlNet",
        "clip_name" | "clip_name1" | "clip_name2" => "text encoder",
        "sampler_name" => "sampler",
        "scheduler" => "scheduler",
        other => other,
    }
}

/// The choices of an input, in either way of writing: `[["a"], {…}]` or `["COMBO", {"options": ["a"]}]`.
fn choices(config: &Value) -> Option<Vec<String>> {
    let names = config[0].as_array().or_else(|| config[1]["options"].as_array())?;
    Some(names.iter().map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned)).collect())
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => format!("it has {shown}"),
        Some(more) => format!("it has {shown} and {more} more"),
    }
}

/// An `execution_error` message of the history.
pub(super) fn failure(error: &Value) -> Stop {
    let node = clean(error["node_type"].as_str().unwrap_or("a node"));
    let kind = error["exception_type"].as_str().unwrap_or_default();
    let message = clean(error["exception_message"].as_str().unwrap_or_default());
    if kind.contains("OutOfMemory") {
        return Stop::Unfit(format!(
            "{node} ran out of memory on this server; ask for a smaller picture or use a larger server"
        ));
    }
    if message.is_empty() {
        return Stop::Failed(format!("{node} failed ({})", clean(kind)));
    }
    Stop::Failed(format!("{node} failed: {message}"))
}

/// A text of the server without its absolute paths (only their last part stays), without control characters, at most
/// [`LONGEST`] characters.
pub(super) fn clean(text: &str) -> String {
    let text: Vec<char> = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(8 * LONGEST).collect();
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        let before = at.checked_sub(1).map(|before| text[before]);
        if begins_path(&text[at..], before) {
            // A quoted path may hold blanks; a bare one ends at the first.
            let quote = before.filter(|c| matches!(c, '\'' | '"' | '`'));
            let ends = |c: char| match quote {
                Some(quote) => c == quote,
                None => c.is_whitespace() || matches!(c, '\'' | '"' | '`' | ',' | ';' | ')' | ']' | '>'),
            };
            let length = text[at..].iter().position(|&c| ends(c)).unwrap_or(text.len() - at);
            let path: String = text[at..at + length].iter().collect();
            out.push_str(path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default());
            at += length;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out.chars().take(LONGEST).collect()
}

fn begins_path(rest: &[char], before: Option<char>) -> bool {
    let starts_word = before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '\\' | '.' | '-' | '_' | '~'));
    match rest {
        // `//host` after a scheme is an address, which is no path of ours to hide the end of; it is hidden all the same.
        ['/', second, ..] => starts_word && !second.is_whitespace(),
        ['~', '/', ..] | ['\\', '\\', ..] => starts_word,
        [drive, ':', '\\' | '/', third, ..] => starts_word && drive.is_ascii_alphabetic() && *third != '/',
        _ => false,
    }
}
