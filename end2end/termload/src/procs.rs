//! Processor time and memory of processes, from /proc.

use std::{collections::HashMap, fs};

use clap::Args;
use tokio::time::Instant;

use crate::{Said, number};

/// Clock ticks a second, as Linux tells them to programs.
const TICKS: f64 = 100.0;

/// Whose usage is reported.
#[derive(Args, Clone, Debug)]
pub(crate) struct Watched {
    /// NAME=PID: report this process with all that descend from it.
    #[arg(long, value_parser = named)]
    tree: Vec<(String, u32)>,
    /// NAME=PID: report this process alone.
    #[arg(long, value_parser = named)]
    alone: Vec<(String, u32)>,
}

fn named(text: &str) -> Result<(String, u32), String> {
    let (name, pid) = text.split_once('=').ok_or("NAME=PID")?;
    Ok((name.into(), pid.parse().map_err(|_| "NAME=PID")?))
}

/// What was used at a moment.
pub(crate) struct Usage {
    at: Instant,
    /// By name: seconds of processor time, resident KiB, processes.
    by_name: HashMap<String, (f64, u64, usize)>,
}

impl Usage {
    /// Resident memory of all, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.by_name.values().map(|(_, rss, _)| rss).sum()
    }

    /// `WHEN.NAME.rss_kib` of each.
    pub(crate) fn tell_memory(&self, when: &str, said: &mut Said) {
        for (name, (_, rss, _)) in &self.by_name {
            said.insert(format!("{when}.{name}.rss_kib"), (*rss).into());
        }
    }
}

impl Watched {
    /// What they have used so far.
    pub(crate) fn usage(&self) -> Usage {
        let trees = self.tree.iter().map(|(name, pid)| (name.clone(), sum(&descendants(*pid), true)));
        let alone = self.alone.iter().map(|(name, pid)| (name.clone(), sum(&[*pid], false)));
        Usage { at: Instant::now(), by_name: trees.chain(alone).collect() }
    }

    /// What they have used since, and what they take.
    pub(crate) fn since(&self, began: &Usage, said: &mut Said) {
        let now = self.usage();
        let secs = began.at.elapsed().as_secs_f64();
        for (name, (cpu, _, processes)) in &now.by_name {
            let used = cpu - began.by_name.get(name).map_or(0.0, |(cpu, ..)| *cpu);
            said.insert(format!("{name}.cpu_s"), number(used));
            said.insert(format!("{name}.cpu_percent"), number(100.0 * used / secs));
            said.insert(format!("{name}.processes"), (*processes).into());
        }
        now.tell_memory("after", said);
    }
}

/// With `ended`, what ended children used counts too.
fn sum(pids: &[u32], ended: bool) -> (f64, u64, usize) {
    let (mut cpu, mut rss, mut processes) = (0, 0, 0);
    for pid in pids {
        if let Some((_, own, children)) = stat(*pid) {
            cpu += own + if ended { children } else { 0 };
            rss += resident(*pid);
            processes += 1;
        }
    }
    (cpu as f64 / TICKS, rss, processes)
}

/// The parent, the ticks that it used, and those that its ended children used.
fn stat(pid: u32) -> Option<(u32, u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?, ticks(13)? + ticks(14)?))
}

fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some((parent, ..)) = stat(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}
