//! NVIDIA GPUs, as `nvidia-smi` lists them.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use super::super::Gpu;
use crate::clock::Stopwatch;

/// What is asked for; the order of the fields of a line.
const QUERY: &str = "--query-gpu=name,memory.used,memory.total,utilization.gpu,temperature.gpu";
const FORMAT: &str = "--format=csv,noheader,nounits";
/// How long the answer is waited for; a driver that hangs must not hold up what else is known.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a program that is not there, or does not work, is looked for.
const AGAIN: Duration = Duration::from_secs(60);
/// The most GPUs of one machine.
const MOST: usize = 64;

/// Asks for the GPUs, and remembers when there were none to ask.
#[derive(Default)]
pub(super) struct Gpus {
    failed: Option<Stopwatch>,
}

impl Gpus {
    /// The GPUs now; none where they cannot be asked.
    pub(super) async fn read(&mut self) -> Vec<Gpu> {
        if self.failed.is_some_and(|watch| watch.elapsed() < AGAIN) {
            return Vec::new();
        }
        let said = ask().await;
        self.failed = said.is_none().then(Stopwatch::start);
        said.as_deref().map(gpus).unwrap_or_default()
    }
}

/// What the program says; `None` when it is not there, fails, or takes too long.
async fn ask() -> Option<String> {
    let asked = Command::new("nvidia-smi")
        .args([QUERY, FORMAT])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ANSWER, asked).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One GPU a line. A line that is not of five fields is no GPU.
fn gpus(text: &str) -> Vec<Gpu> {
    text.lines().filter_map(gpu).take(MOST).collect()
}

fn gpu(line: &str) -> Option<Gpu> {
    // A name may hold a comma; a number does not.
    let mut fields = line.rsplitn(5, ',').map(str::trim);
    let (celsius, load, total, used) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let name: String = fields.next()?.chars().filter(|c| !c.is_control()).take(80).collect();
    // Without units memory is in MiB (nvidia-smi --help-query-gpu). What it does not know it says as `[N/A]`.
    let bytes = |field: &str| field.parse::<u64>().ok()?.checked_mul(1 << 20);
    Some(Gpu {
        name,
        memory_used: bytes(used),
        memory_total: bytes(total),
        load: number(load).map(|load| load.clamp(0.0, 100.0)),
        celsius: number(celsius),
    })
}

fn number(field: &str) -> Option<f32> {
    field.parse().ok().filter(|number: &f32| number.is_finite())
}
