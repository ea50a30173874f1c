//! What the browser may know of outside services. Secrets go in and never come out.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, id::ServiceId};

/// Money in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

impl MicroUsd {
    /// Reads dollars such as `0.59` or `$2`, exactly; at most six decimals.
    pub fn parse_dollars(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{}\" is not a price; use dollars such as 0.59", text.chars().take(40).collect::<String>());
        let digits = text.trim().trim_start_matches('$');
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty()
            || whole.len() > 6
            || part.len() > 6
            || !all_digits(whole)
            || !all_digits(part)
            || (whole.len() + part.len() == 0)
        {
            return Err(wrong());
        }
        let micro = format!("{whole}{part:0<6}").parse().map_err(|_| wrong())?;
        Ok(Self(micro))
    }
}

/// What a service is. One kind today; the table and the screen have the column for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// A ComfyUI server.
    Comfyui,
}

/// How the hub proves to a service who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ServiceAuth {
    /// Nothing is sent.
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer {
        /// The token.
        token: String,
    },
    /// HTTP Basic.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// Any headers, such as a tunnel's pair of id and secret.
    Headers {
        /// Name and value of each, at most 16.
        headers: Vec<(String, String)>,
    },
}

impl ServiceAuth {
    /// The word for its kind, all that is ever shown of it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer { .. } => "bearer",
            Self::Basic { .. } => "basic",
            Self::Headers { .. } => "headers",
        }
    }
}

/// A service to add, or the new values of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDraft {
    /// What people call it: 1 to 60 characters, unique.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// `http` or `https` URL without credentials, query or fragment. A path prefix is kept.
    pub base_url: String,
    /// How the hub signs in. On an update, `None` keeps what is stored.
    pub auth: Option<ServiceAuth>,
    /// What an hour of it costs; 0 for a machine of one's own.
    pub price_per_hour: MicroUsd,
}

/// Whether a service works, as its last check said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Never checked.
    Unknown,
    /// The last check was answered in time.
    Healthy,
    /// The last check was answered slowly (over 2 s) or only in part.
    Degraded,
    /// The last check was not answered.
    Down,
}

impl Health {
    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// One health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// When it was made.
    pub at: Timestamp,
    /// What it said.
    pub health: Health,
    /// How long the answer took, in milliseconds; `None` if there was none.
    pub response_ms: Option<i64>,
    /// What was wrong, and what to do.
    pub problem: Option<String>,
}

/// A service as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its id.
    pub id: ServiceId,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
    /// Where it is.
    pub base_url: String,
    /// How the hub signs in: `none`, `bearer`, `basic` or `headers`.
    pub auth: String,
    /// What an hour of it costs.
    pub price_per_hour: MicroUsd,
    /// Whether the hub gives it work.
    pub active: bool,
    /// The version it reported at the last answered check.
    pub version: Option<String>,
    /// The devices it reported then, such as `cuda:0 NVIDIA GeForce RTX 4090`.
    pub devices: Vec<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// The last checks, oldest first, at most 60. The last one is the health.
    pub checks: Vec<CheckView>,
}

impl ServiceView {
    /// What the last check said.
    pub fn health(&self) -> Health {
        self.checks.last().map_or(Health::Unknown, |check| check.health)
    }
}

/// One question of a connection test, with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStep {
    /// What was asked, in words.
    pub asked: String,
    /// Whether the answer was good.
    pub good: bool,
    /// The answer, or what was wrong and what to do.
    pub answer: String,
}

/// What a connection test found. Good when every step was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// Every question that was asked, in order; stops at the first that failed.
    pub steps: Vec<TestStep>,
    /// How long the first answer took, in milliseconds.
    pub response_ms: Option<i64>,
    /// The version it reported.
    pub version: Option<String>,
    /// The devices it reported.
    pub devices: Vec<String>,
    /// The checkpoints it offers.
    pub checkpoints: Vec<String>,
}

impl TestReport {
    /// Whether the service may be activated.
    pub fn good(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.good)
    }
}

/// What a ComfyUI server offers, from its `/object_info`. Empty lists mean that it offers none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Checkpoint file names.
    pub checkpoints: Vec<String>,
    /// LoRA file names.
    pub loras: Vec<String>,
    /// Sampler names.
    pub samplers: Vec<String>,
    /// Scheduler names.
    pub schedulers: Vec<String>,
}
