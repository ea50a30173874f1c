//! `dist`: the one file that ships.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cmd::{cargo, run, say};
use crate::{paths, setup, site};

/// Builds the optimised program with the site inside and returns where it lies.
pub(crate) fn dist() -> Result<PathBuf> {
    setup::for_run()?;
    let hash = site::build()?;
    say("Building the release (link-time optimisation: some minutes)");
    // The site is embedded at compile time and cargo does not watch it. A variable that the crate reads
    // is watched, so a new site compiles that crate anew, and only then.
    let mut build = cargo();
    build.args(["rustc", "--release", "--package", "central-mcp", "--bin", "central-mcp"]);
    if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
        // There Rust links with lld, which can lay functions of the same code together: 1 % of the file.
        build.args(["--", "-C", "link-arg=-Wl,--icf=all"]);
    }
    run(build.env("CENTRAL_MCP_SITE_HASH", &hash))?;
    let folder = paths::root().join("target/dist");
    fs::create_dir_all(&folder)?;
    let program = folder.join("central-mcp");
    // A running program cannot be written over, but its name can be taken.
    let fresh = folder.join("central-mcp.new");
    fs::copy(paths::target().join("release/central-mcp"), &fresh).context("cargo built no release program")?;
    fs::rename(&fresh, &program)?;
    let size = fs::metadata(&program)?.len();
    println!("    {}: {:.1} MB", program.display(), size as f64 / 1e6);
    Ok(program)
}
