//! Images: what is asked for, where it stands, what came out.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    clock::Timestamp,
    id::{ImageId, ServiceId, WorkflowId},
    services::MicroUsd,
};

/// The number that fixes a picture: 0 … 2^64−1. Written as a decimal string in JSON, because JavaScript numbers lose
/// digits above 2^53; read from a string or a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Self).map_err(|_| {
            format!(
                "\"{}\" is not a seed; use a whole number from 0 to 18446744073709551615",
                text.chars().take(40).collect::<String>()
            )
        })
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(input) {
            Ok(Either::Number(number)) => Ok(Self(number)),
            Ok(Either::Text(text)) => text.parse().map_err(serde::de::Error::custom),
            Err(_) => Err(serde::de::Error::custom(
                "a seed is a whole number from 0 to 18446744073709551615, as a number or a string",
            )),
        }
    }
}

/// Where an image stands. `queued → running → done`, or `failed`, or `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum ImageStatus {
    /// Accepted and durable; waits for a service.
    Queued,
    /// Given to a service.
    Running,
    /// Its pictures are stored.
    Done,
    /// It will not be drawn; the reason is kept.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

impl ImageStatus {
    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A LoRA to apply, with its strength (−10 … 10; 1 is as trained).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// Its file name on the service.
    pub name: String,
    /// How strongly.
    pub strength: f64,
}

/// A picture to start from (img2img).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// An upload or an earlier picture, by its SHA-256 in hex.
    pub sha256: String,
    /// How much to change it: above 0 (nothing) to 1 (everything).
    pub denoise: f64,
}

/// What is asked for. Field bounds are checked by `rules::check`; the defaults are those of the form and of the tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageDraft {
    /// What to draw: 1 to 20,000 bytes.
    pub prompt: String,
    /// What to avoid: up to 20,000 bytes.
    pub negative_prompt: String,
    /// Pixels, 64 to 4096, a multiple of 8.
    pub width: u32,
    /// Pixels, 64 to 4096, a multiple of 8.
    pub height: u32,
    /// Sampling steps, 1 to 150.
    pub steps: u32,
    /// Guidance, 0 to 30.
    pub cfg_scale: f64,
    /// `None` draws a random one when the image is accepted.
    pub seed: Option<Seed>,
    /// Pictures per image, 1 to 16.
    pub count: u32,
    /// Checkpoint file name; `None` is the service's first.
    pub model: Option<String>,
    /// Sampler name; `None` is `euler`.
    pub sampler: Option<String>,
    /// Scheduler name; `None` is `normal`.
    pub scheduler: Option<String>,
    /// LoRAs in order, at most 8.
    pub loras: Vec<Lora>,
    /// A picture to start from.
    pub source: Option<Source>,
    /// A saved workflow instead of the built-in graph.
    pub workflow: Option<WorkflowId>,
    /// Values of the workflow's own inputs, by name.
    pub inputs: BTreeMap<String, serde_json::Value>,
    /// The one service that may draw it; `None` is any active one.
    pub service: Option<ServiceId>,
    /// The task it is for, in the asker's words: up to 64 characters.
    pub task: Option<String>,
}

impl Default for ImageDraft {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            negative_prompt: String::new(),
            width: 1024,
            height: 1024,
            steps: 20,
            cfg_scale: 8.0,
            seed: None,
            count: 1,
            model: None,
            sampler: None,
            scheduler: None,
            loras: Vec::new(),
            source: None,
            workflow: None,
            inputs: BTreeMap::new(),
            service: None,
            task: None,
        }
    }
}

/// A finished picture, stored under its own hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// SHA-256 of the file in hex; the file is `/pictures/SHA256`.
    pub sha256: String,
    /// SHA-256 of its WebP thumbnail (320 px at most); the file is `/pictures/SHA256`.
    pub thumbnail: String,
    /// `image/png`, `image/jpeg` or `image/webp`.
    pub media_type: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Size of the file.
    pub bytes: i64,
}

/// How far a running image is. Not stored: it is gone with the process, and comes back with the service's next message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is going on, in a word or two: `sent`, `loading`, `sampling`, `decoding`, `fetching`.
    pub phase: String,
    /// Steps done.
    pub step: u32,
    /// Steps in all; 0 while unknown.
    pub steps: u32,
    /// Grows with each preview; 0 while there is none. The preview is `/images/ID/preview?rev=N`.
    pub preview: u32,
}

/// An image as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageView {
    /// Its id.
    pub id: ImageId,
    /// Where it stands.
    pub status: ImageStatus,
    /// What was asked, with the seed that was drawn filled in.
    pub draft: ImageDraft,
    /// Who draws or drew it: a service's name, or `sketch`, the built-in renderer that is not a model.
    pub renderer: Option<String>,
    /// Who asked: `user:NAME`, `agent:SLUG`, `token:NAME`.
    pub asked_by: String,
    /// The agent who asked.
    pub agent: Option<String>,
    /// The image this one was made from, by "again" or "vary".
    pub parent: Option<ImageId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a service began to draw it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long the service drew, in milliseconds.
    pub drawn_ms: Option<i64>,
    /// Price per hour × time drawn. `None` if the renderer has no price.
    pub cost: Option<MicroUsd>,
    /// Times it was given to a service.
    pub attempts: u32,
    /// Why it failed or waits again, and what to do.
    pub reason: Option<String>,
    /// Images before it in the queue, counted from 0; only while queued.
    pub place: Option<u32>,
    /// How far it is; only while running.
    pub progress: Option<Progress>,
    /// What came out.
    pub pictures: Vec<Picture>,
}

impl ImageView {
    /// Whether the built-in renderer drew it, which is not a model.
    pub fn is_sketch(&self) -> bool {
        self.renderer.as_deref() == Some("sketch")
    }
}

/// Which images to list. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFilter {
    /// Found in prompt, seed, agent or task, ignoring case.
    pub text: Option<String>,
    /// Of this agent; empty text for images that no agent asked for.
    pub agent: Option<String>,
    /// Drawn by this renderer.
    pub renderer: Option<String>,
    /// Only ended (`true`) or only waiting and running ones (`false`).
    pub ended: Option<bool>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
    /// Accepted before.
    pub until: Option<Timestamp>,
    /// Older than this image: the last one of the page before.
    pub before: Option<ImageId>,
    /// At most this many, 1 to 200; 0 means 60.
    pub limit: u32,
}

/// Totals, from the view `image_generation_stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStats {
    /// Being drawn now.
    pub running: i64,
    /// Waiting.
    pub queued: i64,
    /// Done; what was deleted is counted no more, here and in all totals below.
    pub done: i64,
    /// Failed.
    pub failed: i64,
    /// Cancelled.
    pub cancelled: i64,
    /// Done within the last hour.
    pub done_hour: i64,
    /// Done within the last 24 hours.
    pub done_day: i64,
    /// Done within the last 7 days.
    pub done_week: i64,
    /// Median time drawn of the last 200 done, in milliseconds.
    pub median_ms: Option<i64>,
    /// Sum of the time drawn, in milliseconds.
    pub drawn_ms: i64,
    /// Sum of the known costs.
    pub cost: MicroUsd,
    /// By agent, most first.
    pub by_agent: Vec<AgentImages>,
    /// The tasks of the last 7 days that images were asked for, the newest first; at most 5.
    pub by_task: Vec<TaskImages>,
}

/// A task that images were asked for within the last 7 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskImages {
    /// In the asker's words.
    pub task: String,
    /// Its images of those days.
    pub images: i64,
    /// When the newest was asked for.
    pub last_at: Timestamp,
}

/// One row of the view `recent_images_by_agent`: an agent that asked for something within the last 7 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentImages {
    /// The agent; empty for people and scripts.
    pub agent: String,
    /// Its images, of any age.
    pub images: i64,
    /// The newest.
    pub last_at: Timestamp,
}

/// A saved ComfyUI workflow in API format. Text `{{name}}` as a whole value marks a named input; `prompt`, `negative_prompt`,
/// `width`, `height`, `steps`, `cfg_scale`, `seed`, `count`, `model`, `sampler`, `scheduler` are filled from the draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// What people call it: 1 to 60 characters, unique.
    pub name: String,
    /// The graph as JSON text.
    pub graph: String,
    /// The names of its inputs that the draft's fields do not fill.
    pub inputs: Vec<String>,
    /// When it was saved.
    pub created_at: Timestamp,
}
