//! `central-mcp runner`: holds sessions on this machine for a hub elsewhere.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use server::{
    config,
    runner::{self, RunnerOptions},
};
use tokio_util::sync::CancellationToken;

use super::stopping::{many_files, signal};
use crate::cli::RunnerArgs;

pub(crate) async fn run(args: RunnerArgs) -> anyhow::Result<()> {
    many_files();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let data = args.data.unwrap_or_else(config::default_runner_data);
    let options = RunnerOptions {
        hub: args.hub,
        token: args.token,
        data: std::path::absolute(&data).with_context(|| format!("{} is no folder", data.display()))?,
        insecure: args.insecure,
        only_join: args.only_join,
    };
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(runner::run(options, stop.clone()));
    tokio::select! {
        ended = &mut running => ended,
        () = signal() => {
            stop.cancel();
            let ended = running.await;
            tracing::info!("ended; the sessions of this machine go on");
            ended
        }
    }
}
