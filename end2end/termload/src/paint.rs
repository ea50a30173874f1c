//! The screen of an agent at work: what coding agents of today draw, at their pace.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    /// Updates a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Not an agent's screen, but every letter of it new at each update: more than a slow viewer's socket holds.
    #[arg(long)]
    full: bool,
    /// When this file appears, the marker is all that is shown.
    #[arg(long)]
    curtain: PathBuf,
    #[arg(long)]
    marker: String,
    /// The longest.
    #[arg(long, default_value_t = 300.0)]
    secs: f64,
}

const WHEEL: [&str; 6] = ["·", "✢", "✳", "✶", "✻", "✽"];
const COLS: u64 = 160;
/// All but the last: no letter makes the screen scroll.
const ROWS: u64 = 47;
/// An update in so many adds a line of work above the prompt.
const LINE: u64 = 5;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut out = std::io::stdout().lock();
    // Alone on a clear screen, the prompt at its foot; the lines of work scroll above.
    write!(out, "\x1b[2J\x1b[1;43r\x1b[44;1H╭{0}╮\r\n│ > {1}│\r\n╰{0}╯", "─".repeat(100), " ".repeat(97))?;
    for step in 0.. {
        if options.curtain.exists() || began.elapsed().as_secs_f64() > options.secs {
            break;
        }
        if options.full {
            let letters: String = (0..COLS * ROWS).map(|place| letter(place + step * 7)).collect();
            write!(out, "\x1b[r\x1b[H{letters}")?;
            out.flush()?;
            sleep(Duration::from_secs_f64(1.0 / options.rate));
            continue;
        }
        // Agents wrap every repaint, so that nobody sees half of it.
        write!(out, "\x1b[?2026h")?;
        if step % LINE == 0 {
            let colour = 60 + step / LINE * 7 % 160;
            write!(
                out,
                "\x1b[43;1H\n\x1b[38;2;{colour};180;120m● Edit\x1b[0m(src/part_{step}.rs) \x1b[2m{} lines, {} of them new\x1b[0m",
                step % 97,
                step % 13
            )?;
        }
        let wheel = WHEEL[(step % 6) as usize];
        write!(
            out,
            "\x1b[47;1H\x1b[38;5;174m{wheel} Thinking…\x1b[0m \x1b[2m({}s · ↑ {} tokens · esc to interrupt)\x1b[0m\x1b[K\x1b[45;5H",
            step / 20,
            step * 37
        )?;
        write!(out, "\x1b[?2026l")?;
        out.flush()?;
        sleep(Duration::from_secs_f64(1.0 / options.rate));
    }
    write!(out, "\x1b[r\x1b[2J\x1b[H{}\r\n", options.marker)?;
    out.flush()?;
    // The session lives on until it is ended.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

fn letter(place: u64) -> char {
    char::from(b'a' + (place * place / 3 % 26) as u8)
}
