//! The screen of one terminal: what a viewer who joins now should see.

use std::{
    num::NonZeroU16,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use vt100::{Callbacks, Color};

use super::{
    BYTES, Run,
    policy::{Policy, clean},
};

/// The screen of one terminal, fed with what its program says; the escape policy comes first.
pub struct Screen {
    policy: Policy,
    parser: vt100::Parser<Heard>,
}

/// What the parser tells beside the screen.
#[derive(Default)]
struct Heard {
    title: String,
    /// How often it was set.
    titles: u64,
    bells: u64,
}

impl Callbacks for Heard {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bells += 1;
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = clean(&String::from_utf8_lossy(title), 200);
        self.titles += 1;
    }
}

impl Screen {
    /// An empty screen.
    pub fn new(cols: u16, rows: u16) -> Self {
        let (cols, rows) = size(cols, rows);
        Self { policy: Policy::new(), parser: vt100::Parser::new_with_callbacks(rows, cols, 0, Heard::default()) }
    }

    /// The screen of somebody who was shown a snapshot. It is ours, so no policy is between, as in a browser.
    pub fn shown(cols: u16, rows: u16, snapshot: &[u8]) -> Self {
        let mut screen = Self::new(cols, rows);
        screen.parser.process(snapshot.get(1..).unwrap_or_default());
        screen
    }

    /// Takes what the program said. What may be passed on is appended to `out`; it ends between two sequences.
    /// `false` when the screen was lost on the way, so that only a redraw brings it back: no output of a program may stop what
    /// feeds all who watch, so a fault of the parser is caught. None is known.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.policy.feed(input, out);
        let parser = &mut self.parser;
        let whole = catch_unwind(AssertUnwindSafe(|| {
            for part in without_selectors(&out[start..]) {
                parser.process(part);
            }
        }))
        .is_ok();
        if !whole {
            *self = self.again();
        }
        whole
    }

    /// An empty screen of the same size that has heard the same.
    pub(super) fn again(&self) -> Self {
        let (rows, cols) = self.parser.screen().size();
        let mut new = Self::new(cols.get(), rows.get());
        new.parser.callbacks_mut().bells = self.bells();
        new.parser.callbacks_mut().titles = self.titles();
        self.title().clone_into(&mut new.parser.callbacks_mut().title);
        new
    }

    /// The screen as text.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// What draws this screen on an empty terminal, as a frame for viewers.
    pub fn snapshot(&self) -> Bytes {
        let screen = self.parser.screen();
        let mut frame = vec![BYTES];
        frame.extend_from_slice(b"\x1bc");
        if screen.alternate_screen() {
            frame.extend_from_slice(b"\x1b[?1049h");
        }
        frame.extend_from_slice(screen.state_formatted().as_bytes());
        // The parser does not tell its scrolling region. Set after the lines, which would scroll in it; it moves the cursor, which
        // is put back by drawing the last cell of a full line again: from plain attributes.
        let rows = screen.size().0.get();
        let region = self.policy.region().map(|(first, last)| (first, last.min(rows)));
        if let Some((first, last)) = region.filter(|(first, last)| first < last && (*first, *last) != (1, rows)) {
            frame.extend_from_slice(format!("\x1b[{first};{last}r\x1b[m").as_bytes());
            frame.extend_from_slice(screen.cursor_state_formatted().as_bytes());
            frame.extend_from_slice(screen.attributes_formatted().as_bytes());
        }
        frame.into()
    }

    /// Another size.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let (cols, rows) = size(cols, rows);
        self.parser.set_size(rows, cols);
        self.policy.resized();
    }

    /// Whether the alternate screen is shown, as it is from the beginning to the end of an attach.
    pub fn alternate(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// Whether the program has asked for pastes in brackets (DECSET 2004). tmux passes it on to its client.
    pub(super) fn pastes_in_brackets(&self) -> bool {
        self.parser.screen().bracketed_paste()
    }

    /// The title that the program set.
    pub fn title(&self) -> &str {
        &self.parser.callbacks().title
    }

    /// How often the title was set.
    pub fn titles(&self) -> u64 {
        self.parser.callbacks().titles
    }

    /// How often the bell has rung.
    pub fn bells(&self) -> u64 {
        self.parser.callbacks().bells
    }

    /// How many whole redraws tmux has announced as ended.
    pub fn frames(&self) -> u64 {
        self.policy.frames()
    }

    /// The lines without the empty ones at the end, each as runs of one style.
    pub fn lines(&self) -> Vec<Vec<Run>> {
        let screen = self.parser.screen();
        let (rows, cols) = screen.size();
        let mut lines: Vec<Vec<Run>> = (0..rows.get()).map(|row| line(screen, row, cols.get())).collect();
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines
    }
}

/// The parts between variation selectors (U+FE0E, U+FE0F). The parser widens what is before one, and neither tmux (before 3.6) nor
/// xterm.js does: its line would become longer than theirs.
fn without_selectors(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(said);
    std::iter::from_fn(move || {
        let part = rest?;
        let selector = |window: &[u8]| matches!(window, [0xef, 0xb8, 0x8e | 0x8f]);
        // Most of what is said has no byte of one.
        let place = if part.contains(&0xef) { part.windows(3).position(selector) } else { None };
        rest = place.map(|place| &part[place + 3..]);
        Some(place.map_or(part, |place| &part[..place]))
    })
}

/// At least two columns: the parser fails on a character that is wider than its screen.
fn size(cols: u16, rows: u16) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(cols.max(2)).unwrap_or(NonZeroU16::MIN), NonZeroU16::new(rows).unwrap_or(NonZeroU16::MIN))
}

fn line(screen: &vt100::Screen, row: u16, cols: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for cell in (0..cols).filter_map(|col| screen.cell(row, col)).filter(|cell| !cell.is_wide_continuation()) {
        let (mut color, mut ground) = (css(cell.fgcolor()), css(cell.bgcolor()));
        if cell.inverse() {
            (color, ground) =
                (ground.or_else(|| Some("ansi-0".to_owned())), color.or_else(|| Some("ansi-7".to_owned())));
        }
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match runs.last_mut() {
            Some(run)
                if run.color == color && run.ground == ground && run.bold == cell.bold() && run.dim == cell.dim() =>
            {
                run.text.push_str(text);
            }
            _ => runs.push(Run { text: text.to_owned(), color, ground, bold: cell.bold(), dim: cell.dim() }),
        }
    }
    // Blank to the right is nothing to show.
    while let Some(run) = runs.last_mut().filter(|run| run.ground.is_none()) {
        run.text.truncate(run.text.trim_end_matches(' ').len());
        if !run.text.is_empty() {
            break;
        }
        runs.pop();
    }
    runs
}

fn css(color: Color) -> Option<String> {
    match color {
        Color::Default => None,
        Color::Idx(index @ 0..16) => Some(format!("ansi-{index}")),
        Color::Idx(index @ 16..232) => {
            let cube = index - 16;
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            Some(format!("#{:02x}{:02x}{:02x}", level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
        }
        Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
    }
}

#[cfg(test)]
#[path = "tests/screen.rs"]
mod tests;
