//! What the browser may know of machines. A secret is in one answer, [`NewMachine`], and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

pub use crate::id::HUB;

/// What hub and runner say to each other on the link; a runner of another number is refused and told to update.
pub const PROTOCOL: u32 = 1;

/// How a machine stands to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineState {
    /// It was added and has not come yet.
    Invited,
    /// Its link is open.
    Connected,
    /// It was here, and its link is not open.
    Away,
}

impl MachineState {
    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

/// A machine as shown. What it says of itself (version, system, facts) is from its last link since the hub started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineView {
    /// Its name; [`HUB`] is the hub's own.
    pub name: String,
    /// How it stands to the hub.
    pub state: MachineState,
    /// Since when it is connected or away; exact to a minute where the hub itself ended hard.
    pub since: Option<Timestamp>,
    /// The version of its program.
    pub version: Option<String>,
    /// The number of the protocol that it speaks.
    pub protocol: Option<u32>,
    /// Such as `Linux 6.1 x86_64, Debian 12`. In its own words: untrusted.
    pub system: Option<String>,
    /// How busy it is.
    pub facts: Option<Facts>,
    /// When the facts came.
    pub facts_at: Option<Timestamp>,
    /// Until when its one-time secret may be used, while there is one.
    pub join_expires_at: Option<Timestamp>,
    /// The address that its link comes from.
    pub address: Option<String>,
}

/// How busy a machine is. What could not be read is `None`, never 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Processors that the system counts.
    pub cpus: u32,
    /// How busy all of them together were since the reading before, in percent, 0 to 100; `None` at the first reading.
    pub cpu: Option<f32>,
    /// Memory that programs hold, in bytes: all but what the system can give at once.
    pub memory_used: u64,
    /// All memory, in bytes.
    pub memory_total: u64,
    /// Space taken on the file system of the data folder, in bytes.
    pub disk_used: u64,
    /// All space of that file system, in bytes.
    pub disk_total: u64,
    /// The NVIDIA GPUs that `nvidia-smi` lists, in its order.
    pub gpus: Vec<Gpu>,
}

/// How busy a GPU is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Memory taken, in bytes; `None` where the GPU does not say.
    pub memory_used: Option<u64>,
    /// All memory, in bytes; `None` where the GPU does not say.
    pub memory_total: Option<u64>,
    /// How busy it is, in percent, 0 to 100; `None` where the GPU does not say.
    pub load: Option<f32>,
    /// Its temperature; `None` where the GPU does not say.
    pub celsius: Option<f32>,
}

/// A machine to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineDraft {
    /// Its name: 1 to 32 of `a-z 0-9 -`, and not [`HUB`].
    pub name: String,
}

/// A machine that may join now. The only place where its one-time secret is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct NewMachine {
    /// The machine.
    pub view: MachineView,
    /// The one-time secret: `cmj_` and 64 hexadecimal characters.
    pub join: String,
    /// Until when the secret may be used.
    pub expires_at: Timestamp,
}

// By hand, so that no log ever holds the secret.
impl fmt::Debug for NewMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMachine").field("machine", &self.view.name).finish_non_exhaustive()
    }
}

/// The program that a machine is given: the one that the hub itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramView {
    /// SHA-256 of the file, in hexadecimal characters.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// The system and processor it is for, as `uname -sm` says them, such as `Linux x86_64`.
    pub system: String,
}

/// What is pasted on a machine so that it joins the hub at `base` (such as `https://hub.example.org`, without a slash at the
/// end) with the one-time secret `join`. The checksum comes with the page that the person trusts, and not from where the
/// program comes. The secret stands in the environment of the script, for arguments can be read by everybody on that machine.
pub fn install_line(base: &str, join: &str, program: &ProgramView) -> String {
    format!(
        "curl -fsSL {base}/runner/install.sh | CENTRAL_MCP_RUNNER_TOKEN={join} sh -s -- --sha256 {}",
        program.sha256
    )
}
