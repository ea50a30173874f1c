//! The escape policy: what a program's output may make a viewer's terminal do.
//!
//! A list of what passes, not of what is refused: it is what tmux needs to draw on an `xterm-256color`, and no more than
//! `screen.rs` understands, so that the screen kept here and the one in a browser cannot drift apart. Text; BEL BS HT LF VT FF
//! CR; cursor, erase, insert, delete, scroll, colours, cursor shape; a few private modes; titles and web links, written
//! anew. All else is dropped: clipboard (OSC 52), every other OSC, DCS, APC, PM, SOS, everything that makes a terminal answer
//! (DA, DSR, DECRQM, title and window reports, kitty's queries), and eight-bit controls.
//!
//! What is handed on always ends between two sequences: an unfinished one is held back, and its length is bounded. So a
//! snapshot of the screen plus what follows is exact.

/// Longest control sequence that can pass, in bytes after `ESC [`.
const CSI: usize = 128;
/// Most parameters of one, as `vte` and xterm.js count them.
const PARAMETERS: usize = 32;
/// Longest string (title, link) that can pass, in bytes.
const STRING: usize = 4_096;
/// Longest title in characters.
const TITLE: usize = 200;
/// Longest address of a link in bytes.
const ADDRESS: usize = 2_048;
/// Private modes that may be switched: cursor keys, cursor, mouse, alternate screen, bracketed paste.
const MODES: [&[u8]; 9] = [b"1", b"9", b"25", b"1000", b"1002", b"1003", b"1006", b"1049", b"2004"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Between sequences.
    #[default]
    Ground,
    /// Within a character of several bytes.
    Character,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte; nothing of this kind passes.
    EscapeMore,
    /// After `ESC [`.
    Control,
    /// A control sequence that will not pass; to its end.
    ControlDropped,
    /// After `ESC ]`.
    Osc,
    /// An OSC that will not pass; to its end.
    OscDropped,
    /// DCS, APC, PM, SOS; to its end.
    StringDropped,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Policy {
    at: At,
    /// The unfinished sequence, without its introducer; or the unfinished character.
    held: Vec<u8>,
    frames: u64,
    /// The scrolling region as it was set last.
    region: Option<(u16, u16)>,
}

impl Policy {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// How many synchronised updates have ended. Their marks do not pass: what is drawn at once is published at once anyway.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// The scrolling region (first and last row, from 1), if one is set.
    pub(super) fn region(&self) -> Option<(u16, u16)> {
        self.region
    }

    /// The terminal has another size, which resets its scrolling region.
    pub(super) fn resized(&mut self) {
        self.region = None;
    }

    /// Appends to `out` what of `input` may pass.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some((&byte, after)) = rest.split_first() {
            if self.at == At::Ground {
                let plain = rest.iter().position(|byte| !(0x20..0x7f).contains(byte)).unwrap_or(rest.len());
                if plain > 0 {
                    out.extend_from_slice(&rest[..plain]);
                    rest = &rest[plain..];
                    continue;
                }
            }
            rest = after;
            self.byte(byte, out);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        // These end whatever is unfinished, in every state (ECMA-48 §8.3.6, the state machine of vt100.net).
        match byte {
            0x1b => {
                // ESC \ is the usual end of a string; the backslash itself is dropped below.
                match self.at {
                    At::Osc => self.string(out),
                    // Before 3.4, tmux marks the end of an update so.
                    At::StringDropped if self.held == b"=2s" => self.frames += 1,
                    _ => {}
                }
                return self.go(At::Escape);
            }
            0x18 | 0x1a => return self.go(At::Ground),
            _ => {}
        }
        match self.at {
            At::Ground => self.ground(byte, out),
            At::Character => self.character(byte, out),
            At::Escape => self.escape(byte, out),
            At::EscapeMore => {
                if !(0x20..0x30).contains(&byte) {
                    self.go(At::Ground);
                }
            }
            At::Control => match byte {
                0x40..=0x7e => {
                    self.control(byte, out);
                    self.go(At::Ground);
                }
                0x20..=0x3f if self.held.len() < CSI => self.held.push(byte),
                0x20..=0x3f => self.go(At::ControlDropped),
                _ => self.lost(byte, out),
            },
            At::ControlDropped => match byte {
                0x40..=0x7e => self.go(At::Ground),
                0x20..=0x3f => {}
                _ => self.lost(byte, out),
            },
            At::Osc => match byte {
                0x07 => {
                    self.string(out);
                    self.go(At::Ground);
                }
                _ if self.held.len() < STRING => self.held.push(byte),
                _ => self.go(At::OscDropped),
            },
            At::OscDropped if byte == 0x07 => self.go(At::Ground),
            At::StringDropped if self.held.len() < 4 => self.held.push(byte),
            At::OscDropped | At::StringDropped => {}
        }
    }

    fn go(&mut self, at: At) {
        self.at = at;
        self.held.clear();
    }

    /// A byte that cannot be within a sequence ends it, and counts by itself.
    fn lost(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.go(At::Ground);
        self.ground(byte, out);
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0x07..=0x0d | 0x20..=0x7e => out.push(byte),
            // The first byte of a character; what cannot be one (and eight-bit controls among it) is dropped.
            0xc2..=0xf4 => {
                self.held.push(byte);
                self.at = At::Character;
            }
            _ => {}
        }
    }

    fn character(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !(0x80..0xc0).contains(&byte) {
            return self.lost(byte, out);
        }
        self.held.push(byte);
        match std::str::from_utf8(&self.held) {
            Ok(text) => {
                match text.chars().next() {
                    // Controls of eight bits, which terminals obey.
                    Some('\u{80}'..='\u{9f}') | None => {}
                    // `vt100` does not draw it, browsers do: where the cursor is would be in doubt.
                    Some('\u{fffd}') => out.push(b'?'),
                    Some(_) => out.extend_from_slice(&self.held),
                }
                self.go(At::Ground);
            }
            Err(error) if error.error_len().is_some() => self.go(At::Ground),
            Err(_) => {}
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'[' => self.go(At::Control),
            b']' => self.go(At::Osc),
            b'P' | b'X' | b'^' | b'_' => self.go(At::StringDropped),
            0x20..=0x2f => self.go(At::EscapeMore),
            b'=' | b'>' | b'M' | b'c' => {
                if byte == b'c' {
                    self.region = None;
                }
                out.extend_from_slice(&[0x1b, byte]);
                self.go(At::Ground);
            }
            0x30..=0x7e => self.go(At::Ground),
            _ => self.lost(byte, out),
        }
    }

    /// Decides about the control sequence in `held` that ends with `last`.
    fn control(&mut self, last: u8, out: &mut Vec<u8>) {
        let numbers = |text: &[u8]| {
            let mut parts = text.split(|byte| matches!(byte, b';' | b':'));
            parts.clone().count() <= PARAMETERS
                && parts.all(|part| part.len() <= 4 && part.iter().all(u8::is_ascii_digit))
        };
        match (self.held.as_slice(), last) {
            ([b'?', modes @ ..], b'h' | b'l') if numbers(modes) => {
                if modes == b"2026" {
                    self.frames += u64::from(last == b'l');
                }
                let passing: Vec<&[u8]> =
                    modes.split(|byte| *byte == b';').filter(|mode| MODES.contains(mode)).collect();
                // Each of the two screens has a region of its own, and the alternate one is new whenever it is entered.
                if passing.contains(&b"1049".as_slice()) {
                    self.region = None;
                }
                if !passing.is_empty() {
                    out.extend_from_slice(b"\x1b[?");
                    out.extend_from_slice(&passing.join(&b';'));
                    out.push(last);
                }
            }
            ([shape @ .., b' '], b'q') if shape.len() <= 1 && numbers(shape) => self.pass(last, out),
            (text, b'm') if numbers(text) => self.pass(last, out),
            (text, _) if text.contains(&b':') => {}
            (text, b'r') if numbers(text) => {
                let mut parts = text.split(|byte| *byte == b';').map(number);
                self.region = match (parts.next().flatten(), parts.next().flatten()) {
                    (None | Some(0 | 1), None | Some(0)) => None,
                    // 0 is what is not said: the last row.
                    (first, last) => {
                        Some((first.unwrap_or(1).max(1), last.filter(|last| *last > 0).unwrap_or(u16::MAX)))
                    }
                };
                self.pass(last, out);
            }
            (text, b'@' | b'A'..=b'H' | b'J'..=b'M' | b'P' | b'S' | b'X' | b'`' | b'd' | b'f' | b'r')
                if numbers(text) =>
            {
                self.pass(last, out)
            }
            // With several parameters it is another function (highlight tracking).
            (text, b'T') if numbers(text) && !text.contains(&b';') => self.pass(last, out),
            _ => {}
        }
    }

    fn pass(&self, last: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(&self.held);
        out.push(last);
    }

    /// Decides about the OSC in `held`.
    fn string(&self, out: &mut Vec<u8>) {
        let Ok(text) = std::str::from_utf8(&self.held) else { return };
        match text.split_once(';') {
            Some(("0" | "2", title)) => {
                out.extend_from_slice(b"\x1b]2;");
                out.extend_from_slice(clean(title, TITLE).as_bytes());
                out.push(0x07);
            }
            Some(("8", link)) => {
                let (about, address) = link.split_once(';').unwrap_or_default();
                out.extend_from_slice(b"\x1b]8;");
                // What may not be a link ends the link before it, or its text would lead there.
                if web(address) {
                    let id = about.split(':').find_map(|part| part.strip_prefix("id=")).filter(|id| plain(id));
                    out.extend_from_slice(id.map(|id| format!("id={id}")).unwrap_or_default().as_bytes());
                    out.push(b';');
                    out.extend_from_slice(address.as_bytes());
                } else {
                    out.push(b';');
                }
                out.push(0x07);
            }
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A text without control characters and marks that change the direction of writing, at most `most` characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let hidden = |char: &char| {
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffd}')
    };
    text.chars().filter(|char| !hidden(char)).take(most).collect()
}

/// Whether it is an address of the web, in visible ASCII.
fn web(address: &str) -> bool {
    let scheme = |name: &str| address.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    address.len() <= ADDRESS
        && address.bytes().all(|byte| byte.is_ascii_graphic())
        && (scheme("http://") || scheme("https://"))
}

/// Whether it can be the id of a link.
fn plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
#[path = "tests/policy.rs"]
pub(super) mod tests;
