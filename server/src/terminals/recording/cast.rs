//! The text of a recording: asciicast v3 (docs.asciinema.org/manual/asciicast/v3), one JSON line for the header, then one for
//! each event: `[seconds since the event before, "o" or "r", data]`. No files and no clock here.

use std::io::Write as _;

use serde_json::json;

use crate::clock::Timestamp;

/// Output within this time of the first is one event: a player draws no faster.
const TOGETHER: i64 = 16;
/// An event is not let grow beyond this.
const EVENT: usize = 32 * 1024;

/// A recording's text as it grows.
pub(super) struct Cast {
    /// When the last event was, or the beginning.
    last: Timestamp,
    /// Output that is no event yet, and when its first byte came.
    pending: Vec<u8>,
    pending_at: Timestamp,
    /// The beginning of a character whose rest has not come.
    tail: Vec<u8>,
    /// Finished lines.
    lines: Vec<u8>,
}

impl Cast {
    /// Begins with the header. A title that is empty is left out.
    pub(super) fn begin(at: Timestamp, cols: u16, rows: u16, title: &str) -> Self {
        let mut header = json!({
            "version": 3,
            "term": { "cols": cols, "rows": rows, "type": "xterm-256color" },
            "timestamp": at.millis().max(0) / 1_000,
        });
        if !title.is_empty() {
            header["title"] = title.into();
        }
        let lines = format!("{header}\n").into_bytes();
        Self { last: at, pending: Vec::new(), pending_at: at, tail: Vec::new(), lines }
    }

    /// Takes output in.
    pub(super) fn output(&mut self, at: Timestamp, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if at.since(self.pending_at) >= TOGETHER || self.pending.len() >= EVENT {
            self.settle();
        }
        if self.pending.is_empty() {
            self.pending_at = at;
            self.pending.append(&mut self.tail);
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The terminal has another size.
    pub(super) fn resized(&mut self, at: Timestamp, cols: u16, rows: u16) {
        self.settle();
        self.event(at, 'r', &format!("{cols}x{rows}"));
    }

    /// Makes an event of what waits, but for a character cut in the middle.
    pub(super) fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.tail = pending.split_off(pending.len() - unfinished(&pending));
        if !pending.is_empty() {
            self.event(self.pending_at, 'o', &String::from_utf8_lossy(&pending));
        }
    }

    /// Makes events of everything: nothing more will come.
    pub(super) fn finish(&mut self) {
        self.settle();
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.event(self.pending_at, 'o', &String::from_utf8_lossy(&tail));
        }
    }

    /// Whether there is nothing to write, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.pending.is_empty()
    }

    /// How much there is to write.
    pub(super) fn len(&self) -> usize {
        self.lines.len() + self.pending.len()
    }

    /// The finished lines, to be written away.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
    }

    fn event(&mut self, at: Timestamp, code: char, data: &str) {
        // The wall clock may be set back; a recording's does not run backwards.
        let at = at.max(self.last);
        let millis = at.since(self.last);
        self.last = at;
        // Writing to memory does not fail.
        let _ = write!(self.lines, "[{}.{:03}, \"{code}\", ", millis / 1_000, millis % 1_000);
        let _ = serde_json::to_writer(&mut self.lines, data);
        self.lines.extend_from_slice(b"]\n");
    }
}

/// How many bytes at the end are the beginning of a character whose rest may come.
fn unfinished(bytes: &[u8]) -> usize {
    let cut = |from: &usize| {
        std::str::from_utf8(&bytes[*from..]).is_err_and(|it| it.valid_up_to() == 0 && it.error_len().is_none())
    };
    (bytes.len().saturating_sub(3)..bytes.len()).find(cut).map_or(0, |from| bytes.len() - from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_500);

    fn lines(mut cast: Cast) -> Vec<Value> {
        cast.finish();
        let text = String::from_utf8(cast.take()).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[test]
    fn a_recording_is_asciicast_3() {
        let mut cast = Cast::begin(START, 80, 24, "agent \"a\"");
        cast.output(START, b"\x1bc");
        cast.output(START.plus(5), b"hello ");
        cast.output(START.plus(15), b"world\r\n");
        cast.output(START.plus(16), b"later \xff");
        cast.resized(START.plus(1_250), 100, 30);
        // The clock was set back.
        cast.output(START.plus(900), "größer".as_bytes());
        cast.output(START.plus(3_250), "!".as_bytes());
        let term = json!({ "cols": 80, "rows": 24, "type": "xterm-256color" });
        assert_eq!(
            lines(cast),
            [
                json!({ "version": 3, "term": term, "timestamp": 1_800_000_000, "title": "agent \"a\"" }),
                json!([0.0, "o", "\u{1b}chello world\r\n"]),
                json!([0.016, "o", "later \u{fffd}"]),
                json!([1.234, "r", "100x30"]),
                json!([0.0, "o", "größer"]),
                json!([2.0, "o", "!"]),
            ]
        );
    }

    #[test]
    fn a_character_cut_in_the_middle_is_put_together() {
        let euro = "€".as_bytes();
        let mut cast = Cast::begin(START, 80, 24, "");
        cast.output(START, &euro[..1]);
        cast.output(START.plus(100), &euro[1..2]);
        cast.output(START.plus(200), &[euro[2], b'a', 0xf0, 0x9f]);
        assert_eq!(lines(cast)[1..], [json!([0.2, "o", "€a"]), json!([0.0, "o", "\u{fffd}"])]);
        for (bytes, expected) in [
            (b"abc".as_slice(), 0),
            (b"", 0),
            (b"\xe2", 1),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\xf0\x9f\x98\x80", 0),
            (b"\x80\x80\x80", 0),
            (b"\xff", 0),
            (b"\xe2\x41", 0),
        ] {
            assert_eq!(unfinished(bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        /// However it is cut and written away, the text is the same, each line is JSON, and the times sum up.
        #[test]
        fn nothing_is_lost_and_the_times_sum_up(
            steps in prop::collection::vec((0..40_i64, prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..40),
        ) {
            let (mut cast, mut at, mut all) = (Cast::begin(START, 80, 24, ""), START, Vec::new());
            let mut written = Vec::new();
            let mut last = START;
            for (wait, bytes, write) in &steps {
                at = at.plus(*wait);
                cast.output(at, bytes);
                last = if bytes.is_empty() { last } else { at };
                all.extend_from_slice(bytes);
                if *write {
                    cast.settle();
                    written.extend(cast.take());
                }
            }
            cast.finish();
            written.extend(cast.take());
            prop_assert!(cast.is_empty());
            let text = String::from_utf8(written).expect("text");
            let (mut said, mut time) = (String::new(), 0);
            for line in text.lines().skip(1) {
                let (seconds, code, data): (f64, char, String) = serde_json::from_str(line).expect(line);
                prop_assert_eq!(code, 'o');
                said += &data;
                time += (seconds * 1_000.0).round() as i64;
            }
            prop_assert_eq!(said, String::from_utf8_lossy(&all));
            prop_assert!(time <= last.since(START), "{} of {}", time, last.since(START));
        }
    }
}
