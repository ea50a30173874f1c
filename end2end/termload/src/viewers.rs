//! Many viewers of one session.

use std::{fs, num::NonZero, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    Said,
    conn::{Conn, Finder, Target, secs},
    number, percentile,
    procs::Watched,
};

#[derive(Args, Clone)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    watched: Watched,
    /// How many.
    #[arg(short, default_value_t = 50)]
    n: usize,
    /// Between two that join.
    #[arg(long, default_value_t = 0.01)]
    gap: f64,
    /// How long they watch.
    #[arg(long, default_value_t = 10.0)]
    secs: f64,
    /// A file that ends the show: it is made when the time is over, and all should see `--marker` then.
    #[arg(long)]
    curtain: PathBuf,
    #[arg(long)]
    marker: String,
    /// Every which viewer has an emulator, whose last screen is told.
    #[arg(long, default_value_t = 100)]
    emulate: usize,
}

/// The size of the emulators, which is that of a terminal never resized.
const ROWS: NonZero<u16> = NonZero::new(48).expect("not zero");
const COLS: NonZero<u16> = NonZero::new(160).expect("not zero");
/// After the marker there may be more to draw.
const MORE: f64 = 1.0;

/// What a viewer saw.
struct Seen {
    bytes: usize,
    messages: u64,
    /// From the curtain to the marker, if it came.
    end: Option<f64>,
    screen: Option<String>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Said> {
    room_for_all()?;
    let mut said = Said::new();
    options.watched.usage().tell_memory("before", &mut said);
    let (curtain, fallen) = watch::channel(None);
    let (joined, mut joins) = mpsc::unbounded_channel();
    let mut all = Vec::new();
    for index in 0..options.n {
        let viewer = view(options.clone(), index % options.emulate == 0, joined.clone(), fallen.clone());
        all.push(tokio::task::spawn_local(viewer));
        sleep(secs(options.gap)).await;
    }
    drop(joined);
    let mut times = Vec::new();
    let _ = timeout(secs(20.0), async {
        while let Some(time) = joins.recv().await {
            times.push(time);
        }
    })
    .await;
    // The connections' first facts and the last joins are over.
    sleep(secs(2.0)).await;

    let usage = options.watched.usage();
    usage.tell_memory("joined", &mut said);
    sleep(secs(options.secs)).await;
    options.watched.since(&usage, &mut said);
    curtain.send_replace(Some(Instant::now()));
    fs::write(&options.curtain, "").context("the curtain")?;

    let (mut bytes, mut messages, mut ends, mut screens, mut broken) = (0, 0, Vec::new(), Vec::new(), Vec::new());
    for viewer in all {
        match viewer.await? {
            Ok(seen) => {
                bytes += seen.bytes;
                messages += seen.messages;
                ends.extend(seen.end);
                screens.extend(seen.screen);
            }
            Err(error) => broken.push(format!("{error:#}")),
        }
    }
    said.insert("joined".into(), times.len().into());
    said.insert("join_p50_ms".into(), number(percentile(&mut times, 0.5)));
    said.insert("join_p99_ms".into(), number(percentile(&mut times, 0.99)));
    said.insert("saw_marker".into(), ends.len().into());
    said.insert("last_saw_s".into(), number(percentile(&mut ends, 1.0)));
    said.insert("total_mb".into(), number(bytes as f64 / 1e6));
    said.insert("messages".into(), messages.into());
    said.insert("emulators".into(), screens.len().into());
    screens.sort_unstable();
    screens.dedup();
    said.insert("screens".into(), screens.into());
    said.insert("broken".into(), broken.len().into());
    broken.dedup();
    broken.truncate(3);
    said.insert("errors".into(), broken.into());
    Ok(said)
}

/// As many open files as the system lets us have.
fn room_for_all() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).context("no room for so many sockets")
}

/// One viewer, from the handshake to the last screen.
async fn view(
    options: Options,
    emulate: bool,
    joined: mpsc::UnboundedSender<f64>,
    fallen: watch::Receiver<Option<Instant>>,
) -> anyhow::Result<Seen> {
    let began = Instant::now();
    let mut conn = Conn::open(&options.target, None).await?;
    let mut emulator = emulate.then(|| vt100::Parser::new(ROWS, COLS, 0));
    // The first terminal bytes: there is something to see.
    let first = timeout(secs(10.0), conn.recv()).await.context("no picture in 10 s")??.context("closed at once")?;
    let _ = joined.send(began.elapsed().as_secs_f64() * 1e3);
    drop(joined);
    let (mut bytes, mut finder, mut end) = (0, Finder::new(&options.marker), None);
    let mut take = |frame: &[u8]| {
        bytes += frame.len();
        if let Some(emulator) = &mut emulator {
            emulator.process(frame);
        }
        if end.is_none() && finder.feed(frame) {
            end = fallen.borrow().map(|at| at.elapsed().as_secs_f64());
        }
        end.is_some()
    };
    take(&first);
    let mut late = fallen.clone();
    let until_end = async {
        while !take(&conn.recv().await?.context("the server closed")?) {}
        // What comes after the marker.
        while let Ok(frame) = timeout(secs(MORE), conn.recv()).await {
            take(&frame?.context("the server closed")?);
        }
        anyhow::Ok(())
    };
    let too_late = async {
        let _ = late.wait_for(Option::is_some).await;
        sleep(secs(20.0)).await;
    };
    tokio::select! {
        result = until_end => result?,
        () = too_late => {}
    }
    let screen = emulator.map(|emulator| emulator.screen().contents());
    Ok(Seen { bytes, messages: conn.messages, end, screen })
}
