//! Where things lie.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository.
///
/// Cargo says at run time which checkout it runs in; the path known at compile time is for a binary started by hand.
pub(crate) fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Cargo's target folder, which CI moves into the cache.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The built browser half. Always inside the checkout, because the server embeds it by this path.
pub(crate) fn site() -> PathBuf {
    root().join("target/site")
}

/// What is costly to make and outlives a checkout: `$CENTRAL_MCP_CACHE`, else `~/.cache/central-mcp`.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("CENTRAL_MCP_CACHE") {
        return std::path::absolute(dir).context("CENTRAL_MCP_CACHE is not a path");
    }
    let home = env::var_os("HOME").context("neither CENTRAL_MCP_CACHE nor HOME is set; set one of them")?;
    Ok(PathBuf::from(home).join(".cache/central-mcp"))
}
