//! Messages of ComfyUI's socket (reference/comfyui.md §3). Pure; whatever comes in, it answers and never panics.

use bytes::{Buf as _, Bytes};
use serde_json::Value;

/// What the client says first on every socket; nothing after the first message is ever read by the server.
pub(super) const FLAGS: &str = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;

/// One message, as far as it concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The queue changed, of whomever.
    Status,
    /// A node begins.
    Executing {
        /// Absent right after a reconnect.
        prompt_id: Option<String>,
        /// The node; a generated one (`5.0.2`) when a node expands.
        node: String,
        /// The node of the graph that it stands for.
        display_node: String,
    },
    /// A node's own count.
    Progress {
        /// Of which job.
        prompt_id: Option<String>,
        /// The node.
        node: String,
        /// Done.
        value: u32,
        /// In all.
        max: u32,
    },
    /// Success, error, interrupt, or `executing` null. The history has more to say.
    Ended {
        /// Of which job.
        prompt_id: Option<String>,
    },
    /// A preview, or a result of SaveImageWebsocket.
    Picture {
        /// `image/jpeg` or `image/png`.
        media_type: &'static str,
        /// The file.
        bytes: Bytes,
        /// Whose it is; absent in the layout without metadata.
        of: Option<PictureOf>,
    },
    /// Nothing that is used here.
    Other,
}

/// The metadata of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PictureOf {
    /// The job.
    pub(super) prompt_id: String,
    /// The node of the graph.
    pub(super) node: String,
}

/// Reads a text message.
pub(super) fn text(message: &str) -> Message {
    let Ok(message) = serde_json::from_str::<Value>(message) else { return Message::Other };
    let data = &message["data"];
    let word = |key: &str| data[key].as_str().map(str::to_owned);
    let prompt_id = word("prompt_id");
    match message["type"].as_str() {
        Some("status") => Message::Status,
        Some("executing") => match word("node") {
            Some(node) => {
                let display_node = word("display_node").unwrap_or_else(|| node.clone());
                Message::Executing { prompt_id, node, display_node }
            }
            None => Message::Ended { prompt_id },
        },
        Some("progress") => match (word("node"), count(&data["value"]), count(&data["max"])) {
            (Some(node), Some(value), Some(max)) => Message::Progress { prompt_id, node, value, max },
            _ => Message::Other,
        },
        Some("execution_success" | "execution_error" | "execution_interrupted") => Message::Ended { prompt_id },
        _ => Message::Other,
    }
}

/// Some nodes count in floats.
fn count(value: &Value) -> Option<u32> {
    let whole = value.as_u64().or_else(|| value.as_f64().map(|float| float.round() as u64))?;
    Some(u32::try_from(whole).unwrap_or(u32::MAX))
}

/// Reads a binary message; all integers are big-endian.
pub(super) fn binary(mut message: Bytes) -> Message {
    let Ok(event) = message.try_get_u32() else { return Message::Other };
    match event {
        1 => {
            let media_type = match message.try_get_u32() {
                Ok(1) => "image/jpeg",
                Ok(2) => "image/png",
                _ => return Message::Other,
            };
            Message::Picture { media_type, bytes: message, of: None }
        }
        4 => {
            let Some(length) = message.try_get_u32().ok().and_then(|length| usize::try_from(length).ok()) else {
                return Message::Other;
            };
            if length > message.len() {
                return Message::Other;
            }
            let Ok(about) = serde_json::from_slice::<Value>(&message.split_to(length)) else { return Message::Other };
            let media_type = match about["image_type"].as_str() {
                Some("image/jpeg") => "image/jpeg",
                Some("image/png") => "image/png",
                _ => return Message::Other,
            };
            let node = about["display_node_id"].as_str().or(about["node_id"].as_str());
            let of = about["prompt_id"]
                .as_str()
                .zip(node)
                .map(|(id, node)| PictureOf { prompt_id: id.to_owned(), node: node.to_owned() });
            Message::Picture { media_type, bytes: message, of }
        }
        _ => Message::Other,
    }
}
