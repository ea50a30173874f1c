//! How busy this machine is: processors and memory from `/proc`, the disk from its file system, GPUs from `nvidia-smi`.
//!
//! The few lines of `/proc` are read here and not by a library: these numbers are all that is wanted of one.

mod gpus;
mod proc;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::sync::Mutex;

use self::{gpus::Gpus, proc::Ticks};
use super::Facts;
use crate::clock::{Clock, SECOND, Timestamp};

/// Who asks sooner gets what was read last: a shorter span says little about processors.
const FRESH: i64 = 2 * SECOND;

/// Reads how busy this machine is, time and again.
pub struct FactsReader {
    /// The folder whose file system counts.
    data: PathBuf,
    /// The processors' ticks at the reading before.
    before: Option<Ticks>,
    gpus: Gpus,
}

impl FactsReader {
    /// A reader for the machine with the folder `data`.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned(), before: None, gpus: Gpus::default() }
    }

    /// Reads. Fails where there is no `/proc` as Linux has it.
    pub async fn read(&mut self) -> anyhow::Result<Facts> {
        let text = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let ticks = proc::ticks(&text("/proc/stat")?).context("/proc/stat is not understood")?;
        let memory = proc::memory(&text("/proc/meminfo")?).context("/proc/meminfo is not understood")?;
        // In a container `/proc` tells of the whole machine. Outside of one these files are not there.
        let limit = |name: &str| fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).unwrap_or_default();
        let memory = memory.within(&limit("memory.max"), &limit("memory.current"), &limit("memory.stat"));
        let disk = rustix::fs::statvfs(&self.data).context("the data folder's file system does not answer")?;
        let cpu = self.before.and_then(|before| ticks.busy_since(before));
        self.before = Some(ticks);
        Ok(Facts {
            cpus: ticks.cpus,
            cpu,
            memory_used: memory.total.saturating_sub(memory.available),
            memory_total: memory.total,
            disk_used: disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize),
            disk_total: disk.f_blocks.saturating_mul(disk.f_frsize),
            gpus: self.gpus.read().await,
        })
    }
}

/// What a reader read last, for those who ask often.
pub(super) struct Cached(Mutex<(FactsReader, Option<(Facts, Timestamp)>)>);

impl Cached {
    pub(super) fn new(reader: FactsReader) -> Self {
        Self(Mutex::new((reader, None)))
    }

    /// The facts and when they were read; `None` where they cannot be.
    pub(super) async fn get(&self, clock: &Clock) -> Option<(Facts, Timestamp)> {
        let (reader, last) = &mut *self.0.lock().await;
        let now = clock.now();
        if last.as_ref().is_none_or(|(_, at)| now.since(*at) >= FRESH) {
            let read = reader.read().await;
            *last =
                read.inspect_err(|error| tracing::debug!(%error, "no facts of this machine")).ok().map(|it| (it, now));
        }
        last.clone()
    }
}

/// This machine's system, such as `Linux 6.1.0 x86_64, Debian GNU/Linux 12`.
pub fn system() -> String {
    let name = rustix::system::uname();
    let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let kernel = format!("{} {} {}", part(name.sysname()), part(name.release()), part(name.machine()));
    match fs::read_to_string("/etc/os-release").ok().as_deref().and_then(proc::pretty_name) {
        Some(pretty) => format!("{kernel}, {pretty}"),
        None => kernel,
    }
}
