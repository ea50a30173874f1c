//! `test`: everything CI does, in CI's order, stopping at the first failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cmd::{cargo, command, read, run, say, which};
use crate::{comfyui, dist, mcp, paths, queries, setup, site, tidy};

/// Crates that mean the server's half leaked into the browser's.
const SERVER_ONLY: &[&str] = &["tokio", "sqlx", "axum", "reqwest", "hyper"];
const BROWSER: &[&str] = &["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "hydrate"];

/// What the first page loads.
const WASM_BUDGET: u64 = 300_000;
/// What the heaviest of the other pages may load on top of it: its own file, and those it shares with others. Not all pages
/// together: nobody loads them at once, and that sum would only count the screens.
const PAGE_BUDGET: u64 = 220_000;
const REST_BUDGET: u64 = 60_000;
/// The one file that people download.
const RELEASE_BUDGET: u64 = 30_000_000;

/// The steps done so far, for the closing table.
#[derive(Default)]
struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let outcome = work().with_context(|| format!("step `{name}`"));
        if outcome.is_ok() {
            self.done.push((name, began.elapsed()));
        }
        outcome
    }

    fn table(&self) {
        println!();
        for (name, took) in &self.done {
            println!("    {name:<16} {:>7.1} s", took.as_secs_f64());
        }
        let all: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("    {:<16} {:>7.1} s", "all", all.as_secs_f64());
    }
}

/// Runs all steps; prints what each took, also when one failed.
pub(crate) fn test(skip_e2e: bool, skip_comfyui: bool) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = all(&mut steps, skip_e2e, skip_comfyui);
    steps.table();
    outcome
}

fn all(steps: &mut Steps, skip_e2e: bool, skip_comfyui: bool) -> Result<()> {
    steps.step("setup", setup::for_tests)?;
    steps.step("format", || {
        say("Checking the format (to repair: cargo fmt --all)");
        run(cargo().args(["fmt", "--all", "--check"]))
    })?;
    steps.step("tidy", tidy::tidy)?;
    steps.step("tree", tree_gate)?;
    // The server embeds the site by path, so the folder must be there before anything compiles it.
    fs::create_dir_all(paths::site())?;
    steps.step("clippy", clippy)?;
    steps.step("doc", || {
        say("Building the documentation; a broken link fails");
        run(cargo()
            .args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"])
            // This replaces the flags of .cargo/config.toml, so that one is said again.
            .env("RUSTDOCFLAGS", "-D warnings --cfg erase_components"))
    })?;
    steps.step("queries", queries::check)?;
    let comfyui = if skip_comfyui { None } else { Some(steps.step("comfyui", comfyui::install)?) };
    steps.step("site", site::build)?;
    steps.step("tests", || tests(comfyui.as_deref()))?;
    let program = steps.step("release", dist::dist)?;
    steps.step("size", || sizes(&program))?;
    if !skip_e2e {
        steps.step("end2end", || end2end(&program))?;
        steps.step("mcp", || mcp::test(&program))?;
    }
    Ok(())
}

/// The browser's dependencies hold nothing of the server's.
fn tree_gate() -> Result<()> {
    say("Checking that the browser half depends on nothing of the server's");
    let tree = read(
        cargo()
            .args(["tree", "--package", "central-mcp", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .args(BROWSER),
    )?;
    let found = leaks(&tree);
    if found.is_empty() {
        return Ok(());
    }
    bail!(
        "the browser half depends on {}; `cargo tree -p central-mcp --target wasm32-unknown-unknown \
         --no-default-features --features hydrate -i CRATE` says why",
        found.join(", ")
    )
}

fn leaks(tree: &str) -> Vec<&str> {
    let mut found: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| {
            SERVER_ONLY
                .iter()
                .any(|bad| name == bad || name.strip_prefix(bad).is_some_and(|rest| rest.starts_with(['-', '_'])))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn clippy() -> Result<()> {
    say("Clippy, everything");
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    say("Clippy, the browser half");
    run(cargo().args(["clippy", "--package", "central-mcp", "--lib"]).args(BROWSER).args(["--", "-D", "warnings"]))
}

fn tests(comfyui: Option<&Path>) -> Result<()> {
    say("Running the tests");
    let mut cargo = cargo();
    cargo.args(["test", "--workspace"]);
    match comfyui {
        Some(home) => cargo.env("CENTRAL_MCP_COMFYUI", home),
        None => cargo.env_remove("CENTRAL_MCP_COMFYUI"),
    };
    if !makes_networks() {
        say(
            "LEFT OUT: the tests called needs_root, which cut a network of their own; here only root may make one (ip netns)",
        );
        cargo.args(["--", "--skip", "needs_root"]);
    }
    run(&mut cargo)
}

/// Whether this user may make network namespaces: root may, except in most containers.
fn makes_networks() -> bool {
    let name = format!("cmprobe{}", std::process::id());
    let ip = |words: [&str; 3]| read(command("ip").args(words)).is_ok();
    ip(["netns", "add", &name]) && ip(["netns", "del", &name])
}

/// What a person downloads, and what a machine holds, may not grow unnoticed.
fn sizes(program: &Path) -> Result<()> {
    say("Checking the size budget");
    let hash = fs::read_to_string(paths::site().join("pkg.txt"))?;
    let (mut wasm, mut rest) = (0, 0);
    let files = site::tree(&paths::site().join("pkg").join(hash.trim()))?;
    for (name, bytes) in &files {
        if name.ends_with("_bg.wasm.br") {
            wasm += bytes.len() as u64;
        } else if name.ends_with(".br") && !name.ends_with(".wasm.br") {
            rest += bytes.len() as u64;
        }
    }
    let loader = files.iter().find(|(name, _)| name.starts_with("__wasm_split") && name.ends_with(".js"));
    let loader = loader.map(|(_, bytes)| String::from_utf8_lossy(bytes)).context("the site has no loader of pages")?;
    let weigh = |page: Vec<String>| -> u64 {
        page.iter().filter_map(|file| files.get(&format!("{file}.br"))).map(|bytes| bytes.len() as u64).sum()
    };
    let page = page_files(&loader).into_iter().map(weigh).max().unwrap_or_default();
    let all = [
        ("wasm of the first page, brotli", wasm, WASM_BUDGET),
        ("wasm of another page, brotli", page, PAGE_BUDGET),
        ("script and style, brotli", rest, REST_BUDGET),
        ("release file", fs::metadata(program)?.len(), RELEASE_BUDGET),
    ];
    for (what, size, budget) in all {
        println!("    {what:<32} {:>8.1} kB of {:>8.1} kB", size as f64 / 1e3, budget as f64 / 1e3);
    }
    // A part that weighs nothing was not built: that is no success.
    match all.iter().find(|(_, size, budget)| *size == 0 || size > budget) {
        None => Ok(()),
        Some((what, size, budget)) => bail!(
            "{what}: {size} bytes, the budget is 1 to {budget}; make it smaller or argue for a new budget in xtask/src/test.rs"
        ),
    }
}

/// What each page loads when it is first visited, as the loader says: the files that it shares with others, and its own.
fn page_files(loader: &str) -> Vec<Vec<String>> {
    let page = |part: &str| {
        let (name, rest) = part.split_once(" = ")?;
        let (_, list) = rest.split_once("\n, [")?;
        let shared = list.split_once(']')?.0.split(',').map(str::trim).filter(|file| !file.is_empty());
        let shared = shared.map(|file| format!("{}.wasm", file.trim_start_matches('_')));
        Some(shared.chain([format!("split_{name}.wasm")]).collect())
    };
    loader.split("export const __wasm_split_load_").skip(1).filter_map(page).collect()
}

/// The browser tests, against the program that ships.
fn end2end(program: &Path) -> Result<()> {
    say("Browser tests: installing the driver");
    let folder = paths::root().join("end2end");
    run(command("npm")
        .current_dir(&folder)
        .args(["ci", "--no-audit", "--no-fund"])
        // The browser is the system's; a download of another would fail where only registries are reachable.
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"))?;
    let chromium: PathBuf = which("chromium").context("no chromium; run `cargo xtask setup --tests`")?;
    // Named one by one: what `node --test FOLDER` means differs between Node's versions.
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs") || path.to_string_lossy().ends_with(".test.js"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("no end2end/*.test.mjs: a browser step without a test proves nothing");
    }
    say("Browser tests");
    run(command("node")
        .arg("--test")
        // Each file starts a program and a browser and mostly waits for them: two fit on two cores.
        .arg("--test-concurrency=2")
        .args(files)
        .env("CENTRAL_MCP_BIN", program)
        .env("CHROMIUM", chromium))
}

#[cfg(test)]
mod tests {
    use super::{leaks, page_files};

    #[test]
    fn a_page_loads_its_own_file_and_those_it_shares() {
        let loader = "const __chunk_7 = makeLoad(() => {\n}\n, []);\nexport const __wasm_split_load_a_1 = wrapAsyncCb(makeLoad(() => {\n}\n\
                      , [__chunk_7, __chunk_8]));\nexport const __wasm_split_load___b_2 = wrapAsyncCb(makeLoad(() => {\n}\n, []));\n";
        assert_eq!(
            page_files(loader),
            [vec!["chunk_7.wasm", "chunk_8.wasm", "split_a_1.wasm"], vec!["split___b_2.wasm"]]
        );
    }

    #[test]
    fn a_server_crate_in_the_browser_is_found_and_a_namesake_is_not() {
        let tree = "central-mcp v0.1.0\nleptos v0.8.23\nhyper-util v0.1.0\nsqlx-core v0.9.0\ntokio v1.0.0\naxumish v1.0.0\ntokio v1.0.0\n";
        assert_eq!(leaks(tree), ["hyper-util", "sqlx-core", "tokio"]);
        assert!(leaks("leptos v0.8.23\n").is_empty());
    }
}
