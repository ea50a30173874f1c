//! `central-mcp mcp`: a hub's MCP over standard input and output, for clients that know nothing else.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use server::mcp::{Bridge, carry};
use tokio::io::BufReader;

use crate::cli::McpArgs;

pub(crate) async fn run(args: McpArgs) -> anyhow::Result<()> {
    let url = args.url.parse().with_context(|| format!("\"{}\" is not a URL; use https://HOST/mcp", args.url))?;
    let token = args.token.context("there is no token; set CENTRAL_MCP_TOKEN to one made under Settings")?;
    // Standard output belongs to the protocol; what there is to say goes to standard error.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    carry(&Bridge { url, token: token.trim().to_owned() }, BufReader::new(tokio::io::stdin()), tokio::io::stdout())
        .await
}
