//! `bench`: every budget of the product beside what this machine measures, on the program that ships.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cmd::{cargo, command, read, run, say};
use crate::{comfyui, dist, paths};

mod hub;
mod page;
mod terminals;
mod wire;

use hub::{Folder, Hub};

const SEED: &str = include_str!("bench/seed.py");
const OVERHEAD: &str = include_str!("bench/overhead.py");
const GRAPH: &str = "server/tests/data/comfyui/workflows/empty-image.json";
const STARTS: usize = 10;
const REQUESTS: usize = 200;

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// The file that ships.
    Size,
    /// Start and idle memory.
    Starts,
    /// What pages make a browser fetch.
    Loads,
    /// The overview with a long history.
    Overview,
    /// What the hub adds to a job on a real ComfyUI.
    Overhead,
    /// The MCP door.
    Mcp,
    /// Terminals and their viewers.
    Terminals,
}

/// One line of the table.
struct Row {
    what: String,
    measured: f64,
    /// Without one it stands there to compare with.
    budget: Option<f64>,
    unit: String,
}

impl Row {
    fn good(&self) -> bool {
        self.budget.is_none_or(|budget| self.measured <= budget)
    }
}

/// What was measured so far.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, what: &str, measured: f64, budget: impl Into<Option<f64>>, unit: &str) {
        let budget = budget.into();
        let against = budget.map(|budget| format!(" (budget {budget} {unit})")).unwrap_or_default();
        println!("    {what}: {measured:.*} {unit}{against}", digits(measured));
        self.0.push(Row { what: what.into(), measured, budget, unit: unit.into() });
    }

    fn markdown(&self) -> String {
        let mut text = String::from("| what | measured | budget | |\n| --- | ---: | ---: | --- |\n");
        for row in &self.0 {
            let Row { what, measured, budget, unit } = row;
            let digits = digits(*measured);
            let mark = match (budget, row.good()) {
                (None, _) => "",
                (_, true) => "kept",
                (_, false) => "**over**",
            };
            let budget = budget.map(|budget| format!("{budget} {unit}")).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {what} | {measured:.digits$} {unit} | {budget} | {mark} |");
        }
        text
    }
}

/// How many digits after the point are worth telling.
fn digits(value: f64) -> usize {
    match value {
        _ if value.fract() == 0.0 => 0,
        _ if value.abs() < 1.0 => 2,
        _ => 1,
    }
}

/// Measures these parts and prints the table; with `write`, `BENCHMARKS.md` becomes it.
pub(crate) fn bench(write: bool, program: Option<PathBuf>, parts: &[Part]) -> Result<()> {
    let program = match program {
        // It is started from other folders, too.
        Some(program) => std::path::absolute(program)?,
        None => dist::dist()?,
    };
    let mut table = Table::default();
    for part in parts {
        match part {
            Part::Size => table.add("release file", fs::metadata(&program)?.len() as f64 / 1e6, 30.0, "MB"),
            Part::Starts => starts(&program, &mut table)?,
            Part::Loads => loads(&program, &mut table)?,
            Part::Overview => overview(&program, &mut table)?,
            Part::Overhead => overhead(&program, &mut table)?,
            Part::Mcp => mcp(&program, &mut table)?,
            Part::Terminals => terminals::terminals(&program, &mut table)?,
        }
    }
    let text = format!("{}\n{}", machine()?, table.markdown());
    println!("\n{text}");
    if write {
        let file = paths::root().join("BENCHMARKS.md");
        fs::write(&file, format!("{INTRODUCTION}\n{text}"))?;
        println!("written: {}", file.display());
    }
    Ok(())
}

const INTRODUCTION: &str = "# Benchmarks

What `cargo xtask bench --write` measured with the program that ships, beside the budget of each. Sizes are what crosses the
wire in brotli. Times are medians. The overhead is the difference of two clients in one run that take turns on the same
ComfyUI with the same graph without a model: a bare one (submit, socket, history, fetch) and one that asks the hub
(`draw_image`, `/live`, `get_image`, fetch), 200 jobs each. The hub checks, stores and scales each picture in that time; the
bare client does nothing with it. Of the MCP door, `whoami` (a token, one read of the database) is measured by 16 connections
of 2026-07-28 in turns with a bare echo on the same SDK in a process of its own; processor time is the kernel's count.

Terminals are real tmux sessions, watched by `end2end/termload` over their WebSockets; each line has a hub and a tmux of its own.
ttyd runs beside it where it is installed; else its figures are those of another machine. Memory is resident, the hub's
with its tmux client; processor time of tmux is its server's alone. \"By tmux's own client\" is the same key without the hub: what
tmux and this machine take by themselves.
";

/// From the start of the process to the first answered request, and what it takes when idle.
fn starts(program: &Path, table: &mut Table) -> Result<()> {
    say("Starting it again and again");
    let folder = Folder::new("starts")?;
    let mut first = Vec::new();
    let mut later = Vec::new();
    for n in 0..STARTS {
        let fresh = Folder::new(&format!("first-{n}"))?;
        first.push(Hub::start(program, &fresh)?.took);
        later.push(Hub::start(program, &folder)?.took);
    }
    table.add("start to first answered request, new data folder", ms(median(first)?), 150.0, "ms");
    // The first of these made the folder.
    later.remove(0);
    table.add("start to first answered request", ms(median(later)?), 150.0, "ms");

    say("Idle for 5 s");
    let hub = Hub::start(program, &folder)?;
    std::thread::sleep(Duration::from_secs(5));
    table.add("idle memory (RSS after 5 s)", hub.resident()? as f64 / 1e6, 40.0, "MB");
    Ok(())
}

/// What a browser fetches to see the landing page and the first signed-in page.
fn loads(program: &Path, table: &mut Table) -> Result<()> {
    say("Loading the landing page and the overview as a browser does");
    let folder = Folder::new("loads")?;
    let hub = Hub::start(program, &folder)?;
    let landing = page::load(hub.port, "/", None)?;
    table.add("landing: WASM and script", landing.of(page::CODE) as f64, 0.0, "B");
    table.add("landing: HTML, CSS and icons", landing.except(&[page::CODE, page::PICTURES]) as f64 / 1e3, 30.0, "kB");
    table.add("landing: pictures", landing.of(page::PICTURES) as f64 / 1e3, 150.0, "kB");
    let token = hub::token(program, &folder)?;
    let inside = page::load(hub.port, "/overview", Some(&token))?;
    let wasm = inside.of(&["wasm"]);
    if wasm == 0 {
        bail!("the overview loads no WASM: the page was not understood, or the site was not built");
    }
    table.add("signed-in first load: WASM", wasm as f64 / 1e3, 300.0, "kB");
    table.add("signed-in first load: everything else", inside.except(&[&["wasm"]]) as f64 / 1e3, 60.0, "kB");
    Ok(())
}

/// The overview, rendered with a long history.
fn overview(program: &Path, table: &mut Table) -> Result<()> {
    say("Rendering the overview with 10,000 images and 1,000 events");
    let folder = Folder::new("overview")?;
    // The database is there once a hub was.
    let token = {
        let _hub = Hub::start(program, &folder)?;
        hub::token(program, &folder)?
    };
    read(command("python3").arg("-c").arg(SEED).arg(folder.path().join("central-mcp.db")))?;
    let hub = Hub::start(program, &folder)?;
    let mut times = Vec::new();
    for n in 0..REQUESTS + 20 {
        let answer = wire::get(hub.port, "/overview", Some(&token), false)?;
        let text = String::from_utf8_lossy(&answer.body);
        if !text.contains("10,000") && !text.contains("10000") && !text.contains("10\u{202f}000") {
            bail!("the overview does not show its 10,000 images; was it rendered?");
        }
        // The first ones warm up.
        if n >= 20 {
            times.push(answer.took);
        }
    }
    table.add("overview rendered by the server (10,000 images, 1,000 events)", ms(median(times)?), 5.0, "ms");
    Ok(())
}

/// What the hub adds to a job that costs nothing.
fn overhead(program: &Path, table: &mut Table) -> Result<()> {
    let install = comfyui::install()?;
    say("Starting ComfyUI");
    let folder = Folder::new("overhead")?;
    let port = free_port()?;
    let mut start = Command::new(install.join("start"));
    start.arg(port.to_string()).arg(folder.path().join("comfyui")).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = hub::Running(start.stdin(Stdio::null()).spawn()?);
    hub::answers(port, "/system_stats", Duration::from_secs(180)).context("ComfyUI did not answer")?;

    let hub = Hub::start(program, &folder)?;
    let token = hub::token(program, &folder)?;
    let graph = fs::read_to_string(paths::root().join(GRAPH))?;
    let settings = json!({
        "hub": format!("http://127.0.0.1:{}", hub.port), "comfyui": format!("http://127.0.0.1:{port}"),
        "token": token, "graph": graph, "jobs": REQUESTS,
    });
    say("200 jobs by a bare client and 200 through the hub, in turns");
    let said = read(command(install.join("venv/bin/python")).arg("-c").arg(OVERHEAD).arg(settings.to_string()))?;
    let said: Value = serde_json::from_str(said.trim()).with_context(|| format!("the clients said: {said}"))?;
    let (bare, through) = (&said["bare"], &said["hub"]);
    let (Some(bare), Some(through)) = (bare.as_f64(), through.as_f64()) else { bail!("the clients said: {said}") };
    println!("    bare client: p50 {bare:.1} ms; through the hub: p50 {through:.1} ms");
    table.add("overhead over a bare client (p50)", through - bare, 15.0, "ms");
    Ok(())
}

/// What the MCP door costs beside a bare echo of its SDK (`server/benches/mcp.rs`).
fn mcp(program: &Path, table: &mut Table) -> Result<()> {
    say("MCP: building the bare echo");
    run(cargo().args(["bench", "--package", "server", "--bench", "mcp", "--no-run"]))?;
    say("MCP: the door and the bare echo, in turns");
    let said = read(
        cargo()
            .args(["bench", "--quiet", "--package", "server", "--bench", "mcp"])
            .env("CENTRAL_MCP_BIN", program)
            // Its tmux would outlive it.
            .env("CENTRAL_MCP_FIRST_CREW", "false"),
    )?;
    let mut figures = 0;
    for line in said.lines().filter(|line| line.starts_with('{')) {
        let figure: Value = serde_json::from_str(line).with_context(|| format!("the bench said: {line}"))?;
        let (Some(what), Some(measured), Some(unit)) =
            (figure["what"].as_str(), figure["measured"].as_f64(), figure["unit"].as_str())
        else {
            bail!("the bench said: {line}");
        };
        table.add(what, measured, figure["budget"].as_f64(), unit);
        figures += 1;
    }
    if figures == 0 {
        bail!("the bench said nothing that was understood:\n{said}");
    }
    Ok(())
}

/// The middle of the times.
fn median(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("nothing was measured")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What it was measured on, and when.
fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |it| it.1);
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .context("/proc/meminfo does not say how much memory there is")?;
    let date = read(command("date").args(["-u", "+%F"]))?;
    Ok(format!("{model}, {cores} cores, {:.0} GB memory, {}\n", kib * 1024.0 / 1e9, date.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_budget_is_marked_and_a_kept_one_is_not() {
        let mut table = Table::default();
        table.add("size", 29.96, 30.0, "MB");
        table.add("time", 15.1, 15.0, "ms");
        let text = table.markdown();
        assert!(text.contains("| size | 30.0 MB | 30 MB | kept |"), "{text}");
        assert!(text.contains("| time | 15.1 ms | 15 ms | **over** |"), "{text}");
    }

    #[test]
    fn small_figures_keep_two_digits() {
        assert_eq!([3.0, 0.417, 12.34].map(|value| format!("{value:.*}", digits(value))), ["3", "0.42", "12.3"]);
    }

    #[test]
    fn the_median_needs_something_to_stand_on() -> Result<()> {
        let times = [5, 1, 9].map(Duration::from_millis).to_vec();
        assert_eq!(median(times)?, Duration::from_millis(5));
        assert!(median(Vec::new()).is_err());
        Ok(())
    }
}
