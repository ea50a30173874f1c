//! One viewer stops reading while the session floods; another reads on.

use clap::Args;
use tokio::time::{Instant, timeout};

use crate::{
    Said,
    conn::{Conn, Target, secs},
    number,
    procs::Watched,
};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    watched: Watched,
    /// The command that floods.
    #[arg(long, default_value = "yes")]
    flood: String,
    /// How long.
    #[arg(long, default_value_t = 15.0)]
    secs: f64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Said> {
    let mut said = Said::new();
    let mut reads = Conn::open(&options.target, None).await?;
    reads.settle(secs(0.7), secs(10.0)).await?;
    // With room for little, so that the server notices soon.
    let mut sleeps = Conn::open(&options.target, Some(8 << 10)).await?;
    sleeps.settle(secs(0.7), secs(10.0)).await?;
    let usage = options.watched.usage();
    usage.tell_memory("before", &mut said);
    reads.input(format!("{}\r", options.flood).as_bytes()).await?;
    let (mut peak, mut each, mut silent, mut all) = (usage.memory(), Vec::new(), 0, 0);
    let began = Instant::now();
    while began.elapsed() < secs(options.secs) {
        let second = Instant::now();
        let mut bytes = 0;
        while let Some(left) = secs(1.0).checked_sub(second.elapsed()) {
            if let Ok(frame) = timeout(left, reads.recv()).await {
                let Some(frame) = frame? else { anyhow::bail!("the viewer that reads was closed") };
                bytes += frame.len();
            }
        }
        peak = peak.max(options.watched.usage().memory());
        each.push(number(bytes as f64 / 1e6));
        silent += usize::from(bytes == 0);
        all += bytes;
    }
    options.watched.since(&usage, &mut said);
    said.insert("peak_growth_kib".into(), (peak - usage.memory()).into());
    said.insert("reader_mb".into(), number(all as f64 / 1e6));
    said.insert("reader_mb_each_s".into(), each.into());
    said.insert("reader_silent_s".into(), silent.into());

    // What does the other one get, who reads again? Beside what the reader gets it is old.
    let (woke, mut bytes, mut live, mut open) = (Instant::now(), 0, 0, true);
    while open && woke.elapsed() < secs(5.0) {
        tokio::select! {
            frame = sleeps.recv() => match frame {
                Ok(Some(frame)) => bytes += frame.len(),
                _ => open = false,
            },
            frame = reads.recv() => live += frame?.map_or(0, |frame| frame.len()),
        }
    }
    said.insert("sleeper_got_old_mb".into(), number((bytes as f64 - live as f64).max(0.0) / 1e6));
    said.insert("sleeper_still_open".into(), open.into());
    Ok(said)
}
