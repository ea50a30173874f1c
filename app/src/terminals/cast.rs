//! A recording as a timeline: asciicast v3, as `GET /casts/ID.cast` gives it. Without a browser.

use serde::Deserialize;

/// What begins a picture of the whole screen: what came before it no longer matters.
const ANEW: &str = "\x1bc";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The session said this.
    Output(String),
    /// The session has another size.
    Resized(u16, u16),
    /// Somebody marked the place.
    Marked(String),
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    /// Milliseconds since the beginning, as it is played.
    pub(super) at: u64,
    /// Milliseconds since the one before, as it was.
    gap: u64,
    /// What.
    pub(super) what: What,
}

/// A whole recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    /// Columns at the beginning.
    pub(super) cols: u16,
    /// Rows at the beginning.
    pub(super) rows: u16,
    /// In order.
    pub(super) events: Vec<Happened>,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
    term: Term,
}

#[derive(Deserialize)]
struct Term {
    cols: u16,
    rows: u16,
}

impl Cast {
    /// Reads it. A last line that was cut off, because the recording still runs, is left out.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let head = lines.next().ok_or("the recording is empty")?;
        let head: Head = serde_json::from_str(head).map_err(|_| "this is no recording of a terminal")?;
        if head.version != 3 {
            return Err(format!("this is asciicast version {}; only version 3 is played here", head.version));
        }
        let mut events = Vec::new();
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            let (gap, code, data): (f64, String, String) = match serde_json::from_str(line) {
                Ok(event) => event,
                Err(_) if lines.peek().is_none() => break,
                Err(_) => return Err(format!("line {} of the recording is damaged", events.len() + 2)),
            };
            let what = match code.as_str() {
                "o" => What::Output(data),
                "r" => match size(&data) {
                    Some((cols, rows)) => What::Resized(cols, rows),
                    None => return Err(format!("the recording holds a size that is none: {data}")),
                },
                "m" => What::Marked(data),
                // Input and exit codes change nothing that is seen; their time counts.
                _ => What::Output(String::new()),
            };
            let gap = if gap.is_finite() && gap > 0.0 { (gap * 1000.0).round() as u64 } else { 0 };
            events.push(Happened { at: 0, gap, what });
        }
        let mut cast = Self { cols: head.term.cols, rows: head.term.rows, events };
        cast.squeeze(None);
        Ok(cast)
    }

    /// Plays no pause longer than `idle` milliseconds; `None` plays all as they were.
    pub(super) fn squeeze(&mut self, idle: Option<u64>) {
        let mut at = 0;
        for event in &mut self.events {
            at += idle.map_or(event.gap, |idle| event.gap.min(idle));
            event.at = at;
        }
    }

    /// How long it plays.
    pub(super) fn length(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at)
    }

    /// How many events have happened at `ms`.
    pub(super) fn place(&self, ms: u64) -> usize {
        self.events.partition_point(|event| event.at <= ms)
    }

    /// From where to draw to see the screen after the first `place` events: the last whole picture, and the size it was drawn in.
    pub(super) fn start(&self, place: usize) -> (usize, (u16, u16)) {
        let anew = |event: &Happened| matches!(&event.what, What::Output(text) if text.starts_with(ANEW));
        let from = self.events[..place].iter().rposition(anew).unwrap_or_default();
        let size = self.events[..from].iter().rev().find_map(|event| match event.what {
            What::Resized(cols, rows) => Some((cols, rows)),
            _ => None,
        });
        (from, size.unwrap_or((self.cols, self.rows)))
    }

    /// Where the size changed or somebody made a mark: the time, and words for it.
    pub(super) fn marks(&self) -> Vec<(u64, String)> {
        let mark = |event: &Happened| match &event.what {
            What::Resized(cols, rows) => Some((event.at, format!("{cols} × {rows}"))),
            What::Marked(words) => Some((event.at, words.clone())),
            What::Output(_) => None,
        };
        self.events.iter().filter_map(mark).collect()
    }
}

fn size(text: &str) -> Option<(u16, u16)> {
    let (cols, rows) = text.split_once('x')?;
    Some((cols.parse().ok().filter(|n| *n > 0)?, rows.parse().ok().filter(|n| *n > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAPE: &str = concat!(
        "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24},\"title\":\"agent-a\"}\n",
        "# a comment\n",
        "[0.5, \"o\", \"\\u001bcone\"]\n",
        "[10, \"o\", \"two\"]\n",
        "[0.25, \"r\", \"120x40\"]\n",
        "[0.25, \"o\", \"\\u001bcthree\"]\n",
        "[4, \"m\", \"here\"]\n",
        "[0, \"i\", \"secret\"]\n",
        "[1, \"o\", \"cut o"
    );

    #[test]
    fn a_tape_is_read_and_its_cut_end_left_out() {
        let cast = Cast::read(TAPE).expect("reads");
        assert_eq!((cast.cols, cast.rows, cast.events.len()), (80, 24, 6));
        assert_eq!(cast.length(), 15_000);
        assert_eq!(cast.marks(), [(10_750, "120 × 40".to_owned()), (15_000, "here".to_owned())]);
        assert!(!cast.events.iter().any(|event| matches!(&event.what, What::Output(text) if text.contains("secret"))));
    }

    #[test]
    fn pauses_are_squeezed_and_come_back() {
        let mut cast = Cast::read(TAPE).expect("reads");
        cast.squeeze(Some(2_000));
        assert_eq!(cast.length(), 500 + 2_000 + 250 + 250 + 2_000);
        cast.squeeze(None);
        assert_eq!(cast.length(), 15_000);
    }

    #[test]
    fn seeking_draws_from_the_last_whole_picture_in_its_size() {
        let cast = Cast::read(TAPE).expect("reads");
        assert_eq!([cast.place(0), cast.place(500), cast.place(10_500), cast.place(99_999)], [0, 1, 2, 6]);
        assert_eq!(cast.start(2), (0, (80, 24)));
        assert_eq!(cast.start(4), (3, (120, 40)));
        assert_eq!(cast.start(0), (0, (80, 24)));
    }

    #[test]
    fn what_is_no_tape_is_refused_in_words() {
        for (text, words) in [
            ("", "empty"),
            ("<html>", "no recording"),
            ("{\"version\":2,\"width\":1,\"height\":1}", "no recording"),
            ("{\"version\":4,\"term\":{\"cols\":1,\"rows\":1}}", "version 4"),
            ("{\"version\":3,\"term\":{\"cols\":1,\"rows\":1}}\n[1]\n[1,\"o\",\"x\"]", "line 2"),
            ("{\"version\":3,\"term\":{\"cols\":1,\"rows\":1}}\n[1,\"r\",\"0x5\"]", "size"),
        ] {
            let refused = Cast::read(text).expect_err(text);
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
