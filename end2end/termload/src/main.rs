//! Load and latency client for browser terminals: opens WebSockets to a server on this machine, types, reads, and prints one line
//! of JSON. Every loop is bounded in count or time.
#![expect(clippy::disallowed_methods, reason = "a tool that measures has no clock of the hub's")]

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value};

mod conn;
mod echo;
mod paint;
mod procs;
mod slow;
mod throughput;
mod viewers;

/// What a run has to say.
type Said = Map<String, Value>;

/// Load and latency client for browser terminals.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Seconds from a typed command to its end marker.
    Throughput(throughput::Options),
    /// Milliseconds from a key to its echo.
    Echo(echo::Options),
    /// Many viewers of one session: how fast they join, what they cost, whether they see its end.
    Viewers(viewers::Options),
    /// One viewer stops reading while the session floods; another reads on.
    Slow(slow::Options),
    /// No viewer: only what the watched processes take.
    Rest(Rest),
    /// No client: draw the screen of a busy agent, to be watched.
    Paint(paint::Options),
}

#[derive(Args)]
struct Rest {
    #[command(flatten)]
    watched: procs::Watched,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    secs: f64,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let said = local.block_on(&runtime, async {
        match Cli::parse().mode {
            Mode::Throughput(options) => throughput::run(&options).await,
            Mode::Echo(options) => echo::run(&options).await,
            Mode::Viewers(options) => viewers::run(&options).await,
            Mode::Slow(options) => slow::run(&options).await,
            Mode::Rest(options) => {
                let mut said = Said::new();
                let began = options.watched.usage();
                tokio::time::sleep(conn::secs(options.secs)).await;
                options.watched.since(&began, &mut said);
                Ok(said)
            }
            Mode::Paint(options) => paint::run(&options).map(|()| Said::new()),
        }
    })?;
    if !said.is_empty() {
        println!("{}", Value::Object(said));
    }
    Ok(())
}

/// Rounded to a thousandth.
fn number(value: f64) -> Value {
    ((value * 1e3).round() / 1e3).into()
}

/// The value below which `part` of all are.
fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * part).ceil() as usize).max(1) - 1;
    values.get(place).copied().unwrap_or(f64::NAN)
}
