//! One client, from a command to its end marker.

use clap::Args;
use tokio::time::{Instant, timeout};

use crate::{
    Said,
    conn::{Conn, Finder, Target, secs},
    number,
    procs::Watched,
};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    watched: Watched,
    /// What is typed, with Enter after it. The marker must not stand in it as it will come out.
    #[arg(long)]
    command: String,
    #[arg(long)]
    marker: String,
    /// The longest that it may take.
    #[arg(long, default_value_t = 120.0)]
    timeout: f64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Said> {
    let mut conn = Conn::open(&options.target, None).await?;
    conn.settle(secs(0.7), secs(10.0)).await?;
    let (mut finder, mut bytes, mut done) = (Finder::new(&options.marker), 0, false);
    let messages = conn.messages;
    let usage = options.watched.usage();
    let began = Instant::now();
    conn.input(format!("{}\r", options.command).as_bytes()).await?;
    let _ = timeout(secs(options.timeout), async {
        while let Some(frame) = conn.recv().await? {
            bytes += frame.len();
            if finder.feed(&frame) {
                done = true;
                break;
            }
        }
        anyhow::Ok(())
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    let mut said = Said::new();
    said.insert("done".into(), done.into());
    said.insert("secs".into(), number(took));
    said.insert("terminal_mb".into(), number(bytes as f64 / 1e6));
    said.insert("messages".into(), (conn.messages - messages).into());
    options.watched.since(&usage, &mut said);
    Ok(said)
}
