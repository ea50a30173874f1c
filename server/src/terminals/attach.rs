//! The one tmux client of a watched session: drained without a pause, whatever its readers do.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use futures_util::FutureExt as _;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use tokio::{
    io::AsyncReadExt as _,
    process::Child,
    time::{sleep, timeout},
};

use super::{
    feed::{Feed, Way},
    last_words,
    sessions::{Lonely, Sessions},
    tmux::Tmux,
};
use crate::clock::Stopwatch;

/// Most bytes of one chunk.
const CHUNK: usize = 32 * 1024;
/// How often calm readers are told.
const CALM: Duration = Duration::from_millis(25);
/// How often a program that says it has ended is believed: any may say so.
const LOOK: Duration = Duration::from_secs(1);
/// A redraw is taken as ended so long after its beginning, if tmux does not say so.
const OVERDUE: Duration = Duration::from_millis(100);
/// A client that lived so long was well.
const WELL: Duration = Duration::from_secs(5);
/// Between two attempts to attach.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// A farewell is written in pieces, and only its last one tells what it was; so long each is waited for.
const PIECES: Duration = Duration::from_millis(20);
/// What a client gets to end by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why an attach ended.
enum End {
    /// Nobody watches any more.
    Left,
    /// The hub stops. Readers are told by it, not by us: their session has not ended.
    Stop,
    /// The client ended, and the session perhaps too.
    Lost,
}

/// Feeds `feed` from the session with tmux's id `id` until that ends, or nobody watches.
pub(super) async fn run(sessions: Sessions, tmux: Tmux, feed: Arc<Feed>, id: String) {
    let mut pause = SHORTEST;
    loop {
        let lived = Stopwatch::start();
        let end = match once(&sessions, &tmux, &feed).await {
            Ok(end) => end,
            Err(error) => {
                tracing::warn!(terminal = feed.name(), error = format!("{error:#}"), "cannot attach");
                End::Lost
            }
        };
        disconnect(&feed).await;
        match end {
            End::Left => return feed.end(),
            End::Stop => return,
            End::Lost => {}
        }
        match tmux.find(feed.name()).await {
            Ok(Some(session)) if session.id == id => {}
            Ok(_) => return sessions.ended(&feed),
            Err(error) => tracing::warn!(terminal = feed.name(), %error, "tmux does not answer"),
        }
        if lived.elapsed() > WELL {
            pause = SHORTEST;
        }
        tokio::select! {
            () = sessions.stop().cancelled() => return,
            () = sleep(pause) => {}
        }
        if sessions.leave(&feed) {
            return feed.end();
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// Attaches once, until the client ends or is not wanted any more.
async fn once(sessions: &Sessions, tmux: &Tmux, feed: &Arc<Feed>) -> anyhow::Result<End> {
    let (cols, rows) = feed.size();
    let (pty, pts) = pty_process::open().context("no PTY")?;
    pty.resize(Size::new(rows, cols)).map_err(|error| anyhow!("the PTY took no size: {error}"))?;
    let mut child =
        tmux.attach_command(feed.name()).spawn(pts).map_err(|error| anyhow!("tmux did not start: {error}"))?;
    let (reader, writer) = pty.into_split();
    feed.begin();
    let end = pump(sessions, tmux, feed, reader, writer).await;
    disconnect(feed).await;
    farewell(&mut child).await;
    end
}

async fn disconnect(feed: &Feed) {
    // Only a PTY that takes no size fails here, and there is none.
    let _ = feed.connect(None).await;
}

async fn pump(
    sessions: &Sessions,
    tmux: &Tmux,
    feed: &Arc<Feed>,
    mut reader: OwnedReadPty,
    writer: OwnedWritePty,
) -> anyhow::Result<End> {
    // Keys before the client has made its terminal raw would be echoed into the picture.
    let mut writer = Some(writer);
    let mut lonely = Lonely::new(feed, sessions.grace());
    let mut buffer = vec![0; CHUNK];
    // A timer only where something waits for it: the echo of a key, after a rest, does not.
    let (mut calm, mut told, mut owed) = (pin!(sleep(CALM)), None::<Stopwatch>, false);
    let (mut overdue, mut drawing) = (pin!(sleep(OVERDUE)), false);
    let (mut ready, mut over) = (false, false);
    let mut looked = None::<Stopwatch>;
    loop {
        tokio::select! {
            read = reader.read(&mut buffer) => {
                let Ok(mut length @ 1..) = read else { return Ok(End::Lost) };
                // What is there already belongs to the same chunk.
                while length < CHUNK
                    && let Some(Ok(more @ 1..)) = reader.read(&mut buffer[length..]).now_or_never()
                {
                    length += more;
                }
                let held = Stopwatch::start();
                while ready
                    && length < CHUNK
                    && held.elapsed() < OVERDUE
                    && may_be_farewell(&buffer[..length])
                    && let Ok(Ok(more @ 1..)) = timeout(PIECES, reader.read(&mut buffer[length..])).await
                {
                    length += more;
                }
                if over {
                    continue;
                }
                let said = before_farewell(&buffer[..length]);
                over = said.len() < length;
                if !feed.publish(said) {
                    return Ok(End::Lost);
                }
                if last_words::announced(said) && looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                    // Who looks ends it, and so this client. An error is met again at the next look.
                    let _ = tmux.look().await;
                    looked = Some(Stopwatch::start());
                }
                if !ready {
                    ready = feed.frames() > 0;
                    if ready || !drawing {
                        overdue.set(sleep(if ready { Duration::ZERO } else { OVERDUE }));
                    }
                    drawing = true;
                }
                let rest = told.map_or(Duration::ZERO, |told| CALM.saturating_sub(told.elapsed()));
                if rest.is_zero() {
                    feed.calm();
                    (told, owed) = (Some(Stopwatch::start()), false);
                } else if !owed {
                    calm.set(sleep(rest));
                    owed = true;
                }
            }
            () = calm.as_mut(), if owed => {
                feed.calm();
                (told, owed) = (Some(Stopwatch::start()), false);
            }
            () = overdue.as_mut(), if drawing => {
                (ready, drawing) = (true, false);
                feed.connect(writer.take().map(Way::Pty)).await?;
                feed.ready();
            }
            () = lonely.over() => {
                if sessions.leave(feed) {
                    return Ok(End::Left);
                }
            }
            () = sessions.stop().cancelled() => return Ok(End::Stop),
        }
    }
}

/// What was said before tmux's client gave the terminal back, which it does by clearing the screen, leaving the alternate one and
/// saying `[exited]`. Dropped, so that the last words of a program stay on the screens of those who watched.
fn before_farewell(said: &[u8]) -> &[u8] {
    let Some(leaving) = last(said, LEAVE) else { return said };
    // The first thing of a farewell is the whole scrolling region; the screen is cleared a few sequences later.
    let cleared = last(&said[..leaving], CLEAR).unwrap_or(leaving);
    &said[..cleared]
}

/// How tmux's client clears the screen, and leaves the alternate one.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
/// See [`CLEAR`].
const LEAVE: &[u8] = b"\x1b[?1049l";
/// More than is said between the two.
const BETWEEN: usize = 256;

fn last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

/// Whether the screen was cleared and nothing was drawn since: perhaps the beginning of a farewell.
fn may_be_farewell(said: &[u8]) -> bool {
    let end = &said[said.len().saturating_sub(BETWEEN)..];
    let Some(cleared) = last(end, CLEAR) else { return false };
    let mut since = end[cleared + CLEAR.len()..].split(|byte| *byte == 0x1b);
    // Sequences alone, of which the last may be unfinished.
    let nothing = |sequence: &[u8]| match sequence {
        [b'[', rest @ ..] => {
            rest.iter().position(|byte| (0x40..0x7f).contains(byte)).is_none_or(|end| end + 1 == rest.len())
        }
        sequence => sequence.len() <= 2,
    };
    last(end, LEAVE).is_none_or(|leaving| leaving < cleared)
        && since.next().is_some_and(<[u8]>::is_empty)
        && since.all(nothing)
}

/// The PTY is closed, so the client ends; it is waited for, and ended if it does not.
async fn farewell(child: &mut Child) {
    if timeout(FAREWELL, child.wait()).await.is_err() {
        // An error means that it has ended in between.
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_is_known_in_whatever_pieces_it_comes() {
        let (drawn, start) = (b"famous last words".as_slice(), b"\x1b[1;24r\x1b(B\x1b[m\x1b[?1l\x1b>".as_slice());
        let rest = b"\x1b[34h\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b(B\x1b[?2004l";
        let whole = [drawn, start, CLEAR, rest, LEAVE, b"[exited]\r\n"].concat();
        let (cleared, left) = (drawn.len() + start.len(), whole.len() - 10 - LEAVE.len());
        assert_eq!(before_farewell(&whole), &whole[..cleared]);
        for cut in 0..=whole.len() {
            let waits = (cleared + CLEAR.len()..left + LEAVE.len()).contains(&cut);
            assert_eq!(may_be_farewell(&whole[..cut]), waits, "{:?}", String::from_utf8_lossy(&whole[..cut]));
        }
        for drawn in ["text", "\x1b[5;1Htext", "\x1b[1mb", "\r\n", "\x1b(Btext"] {
            assert!(!may_be_farewell(&[CLEAR, drawn.as_bytes()].concat()), "{drawn:?}");
        }
    }
}
