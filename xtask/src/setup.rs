//! The tools around cargo: found, or installed, or asked for by name.

use anyhow::{Context, Result, bail};

use crate::cmd::{command, read, run, say, which};

const WASM: &str = "wasm32-unknown-unknown";

/// A program we call and the Debian packages that bring it.
struct Tool {
    program: &'static str,
    packages: &'static [&'static str],
    why: &'static str,
}

const fn tool(program: &'static str, packages: &'static [&'static str], why: &'static str) -> Tool {
    Tool { program, packages, why }
}

/// SQLite and the cryptography are C; cargo needs a linker anyway.
const FOR_RUN: &[Tool] = &[
    tool("cc", &["gcc", "libc6-dev"], "compiles SQLite and links"),
    tool("tmux", &["tmux"], "holds the sessions of the terminals"),
    tool("npm", &["nodejs", "npm"], "brings the terminal emulator of the browser half"),
];

const FOR_TESTS: &[Tool] = &[
    tool("node", &["nodejs"], "runs the browser tests"),
    tool("chromium", &["chromium", "fonts-liberation"], "is the browser of the browser tests"),
    tool("python3", &["python3", "python3-venv"], "runs ComfyUI and makes the scratch database"),
    tool("gcc", &["gcc", "libc6-dev"], "compiles the stand-ins for CUDA"),
    tool("ip", &["iproute2"], "makes a network of its own for a runner"),
    tool("curl", &["curl"], "runs the line that installs a runner"),
    tool("readelf", &["binutils"], "reads what torch wants of CUDA"),
];

/// What `run` and `dist` need.
pub(crate) fn for_run() -> Result<()> {
    say("Setup: looking for the tools a build needs");
    wasm_target()?;
    system(FOR_RUN)
}

/// What `test` needs.
pub(crate) fn for_tests() -> Result<()> {
    for_run()?;
    say("Setup: looking for the tools the tests need");
    system(FOR_TESTS)?;
    node_version()?;
    if read(command("python3").args(["-c", "import venv, ensurepip"])).is_err() {
        install(&["python3-venv"])?;
    }
    Ok(())
}

/// Adds the browser's target unless it is there. Without rustup the distribution has to bring it.
fn wasm_target() -> Result<()> {
    if which("rustup").is_none() {
        let sysroot = read(command("rustc").args(["--print", "sysroot"]))?;
        let lib = std::path::Path::new(sysroot.trim()).join("lib/rustlib").join(WASM);
        if !lib.is_dir() {
            bail!(
                "the Rust target {WASM} is missing; install rustup (https://rustup.rs), or your system's package for that target"
            );
        }
        return Ok(());
    }
    if read(command("rustup").args(["target", "list", "--installed"]))?.lines().any(|line| line.trim() == WASM) {
        return Ok(());
    }
    say("Setup: adding the Rust target for the browser");
    run(command("rustup").args(["target", "add", WASM]))
        .context("the browser half cannot be built without it; is the network up?")
}

fn system(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| which(tool.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        println!("    missing: `{}`, which {}", tool.program, tool.why);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages.iter().copied()).collect();
    install(&packages)
}

/// As root on an apt system installs; anywhere else says what to type, and stops.
fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if which("apt-get").is_none() {
        bail!("install these first (names as on Debian): {names}");
    }
    if read(command("id").arg("-u"))?.trim() != "0" {
        bail!("install these first:\n\n    sudo apt-get update && sudo apt-get install -y {names}\n");
    }
    say(&format!("Setup: installing {names}"));
    let apt = || {
        let mut apt = command("apt-get");
        // Nobody is there to answer a package's questions.
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn node_version() -> Result<()> {
    match node_major()? {
        18.. => Ok(()),
        major => bail!("the browser tests need Node.js 18 or newer, this is {major}; install a newer one"),
    }
}

/// The first number of the system's Node.js.
pub(crate) fn node_major() -> Result<u32> {
    let version = read(command("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.with_context(|| format!("node --version says {}, which is no version", version.trim()))
}
