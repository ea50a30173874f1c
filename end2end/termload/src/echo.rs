//! From a key to its echo. The session must echo single bytes, as `cat` does.

use clap::Args;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use crate::{
    Said,
    conn::{Conn, Target, secs},
    number, percentile,
    procs::Watched,
};

/// Letters that end no sequence of a terminal that a server draws with.
const KEYS: &[u8] = b"aeiouvwyzkjq";

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    watched: Watched,
    /// How many keys.
    #[arg(short, default_value_t = 300)]
    n: usize,
    /// Between two keys.
    #[arg(long, default_value_t = 0.01)]
    gap: f64,
    /// Another session of the same server, which floods meanwhile and is read.
    #[arg(long, requires = "flood")]
    flood_url: Option<String>,
    /// The command that floods it.
    #[arg(long, requires = "flood_url")]
    flood: Option<String>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Said> {
    let mut conn = Conn::open(&options.target, None).await?;
    conn.settle(secs(0.7), secs(10.0)).await?;
    conn.input(b"cat\r").await?;
    conn.settle(secs(0.7), secs(10.0)).await?;
    let flood = match (&options.flood_url, &options.flood) {
        (Some(url), Some(command)) => {
            let target = options.target.at(url);
            let (stop, stopped) = oneshot::channel();
            let reading = tokio::task::spawn_local(read_flood(target, command.clone(), stopped));
            sleep(secs(2.0)).await;
            Some((stop, reading))
        }
        _ => None,
    };
    let usage = options.watched.usage();
    let (mut times, mut lost) = (Vec::with_capacity(options.n), 0);
    for key in KEYS.iter().cycle().take(options.n) {
        let began = Instant::now();
        conn.input(&[*key]).await?;
        let seen = timeout(secs(3.0), async {
            while let Some(frame) = conn.recv().await? {
                if frame.contains(key) {
                    break;
                }
            }
            anyhow::Ok(())
        });
        match seen.await {
            Ok(seen) => {
                seen?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            Err(_) => lost += 1,
        }
        if lost > 5 {
            break;
        }
        sleep(secs(options.gap)).await;
    }
    let mut said = Said::new();
    options.watched.since(&usage, &mut said);
    if let Some((stop, reading)) = flood {
        let _ = stop.send(());
        said.insert("flood_mb_per_s".into(), number(reading.await??));
    }
    said.insert("samples".into(), times.len().into());
    said.insert("lost".into(), lost.into());
    for (name, part) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0)] {
        said.insert(name.into(), number(percentile(&mut times, part)));
    }
    Ok(said)
}

/// Floods and reads until told to stop; megabytes a second.
async fn read_flood(target: Target, command: String, mut stopped: oneshot::Receiver<()>) -> anyhow::Result<f64> {
    let mut conn = Conn::open(&target, None).await?;
    conn.settle(secs(0.5), secs(5.0)).await?;
    conn.input(format!("{command}\r").as_bytes()).await?;
    let (began, mut bytes) = (Instant::now(), 0);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            frame = conn.recv() => match frame? {
                Some(frame) => bytes += frame.len(),
                None => anyhow::bail!("the flooded session was closed"),
            },
        }
    }
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}
