//! Small decisions of the terminal pages, without a browser.
#![cfg_attr(
    not(feature = "hydrate"),
    allow(dead_code, reason = "most of them only a browser takes, and tests try them without one")
)]

use server::terminals::{PASTE, Run, Watching};

/// What is said when keys may not have arrived.
pub(super) const LOST: &str =
    "The connection was lost while you typed: what you typed last may not have arrived. Look before you type it again.";

/// Whether who is told holds the keyboard, and the machine is there to hear it.
pub(super) fn yours(now: &Watching) -> bool {
    now.away.is_none() && now.keyboard.as_ref().is_some_and(|keys| keys.you)
}

/// How long to wait before try number `tries` (0 is the first) to connect again, in milliseconds: 200 ms doubled up to 10 s, of
/// which `chance` (0 to 1) takes away up to a half, so that many viewers do not come back in one moment.
pub(super) fn pause(tries: u32, chance: f64) -> u64 {
    let most = 200_u64.saturating_mul(1 << tries.min(10)).min(10_000);
    let share = 1.0 - chance.clamp(0.0, 1.0) / 2.0;
    (most as f64 * share) as u64
}

/// Sizes of letters, in pixels: what may be chosen, and what fits at most.
const SMALLEST: f64 = 3.0;
const LARGEST: f64 = 28.0;
const FITTING: f64 = 18.0;
/// Letters that may be chosen one by one down to.
const LEAST: f64 = 6.0;
/// Sizes are eighths of a pixel.
const PART: f64 = 0.125;
/// Letters that one can read on a phone, and the window that is one's.
const READABLE: f64 = 10.0;
const NARROW: f64 = 640.0;

/// How large one cell is at letters of `font`, if letters of one pixel are `em`; the emulator rounds its height up to whole dots of the
/// screen, of which a pixel has `dots`.
pub(super) fn cell(font: f64, em: (f64, f64), dots: f64) -> (f64, f64) {
    (font * em.0, (font * em.1 * dots).ceil() / dots)
}

/// The largest letters at which a grid of `cols` and `rows` is seen as a whole in `room`.
fn letters(room: (f64, f64), (cols, rows): (u32, u32), em: (f64, f64), dots: f64) -> f64 {
    let steps = ((FITTING - SMALLEST) / PART) as u32;
    let fits = |font: &f64| {
        let (width, height) = cell(*font, em, dots);
        width * f64::from(cols) <= room.0 && height * f64::from(rows) <= room.1
    };
    (0..steps).map(|step| FITTING - f64::from(step) * PART).find(fits).unwrap_or(SMALLEST)
}

/// How large the letters of a terminal are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// As large as the whole grid lets them be, but on a phone never too small to be read: there the grid is panned.
    Usual,
    /// As large as the whole grid lets them be.
    Whole,
    /// As somebody chose, in eighths of a pixel.
    Own(u16),
}

impl Letters {
    /// As kept by the browser.
    pub(super) fn read(kept: &str) -> Self {
        match kept {
            "whole" => Self::Whole,
            own => own.parse().ok().filter(|own| Self::CHOICE.contains(own)).map_or(Self::Usual, Self::Own),
        }
    }

    /// See [`Letters::read`].
    pub(super) fn word(self) -> String {
        match self {
            Self::Usual => String::new(),
            Self::Whole => "whole".to_owned(),
            Self::Own(own) => own.to_string(),
        }
    }

    /// Those that differ from letters of `font` by so many pixels.
    pub(super) fn beside(font: f64, by: f64) -> Self {
        // Only those that show the whole grid may be smaller yet.
        Self::Own(((font + by).clamp(font.clamp(SMALLEST, LEAST), LARGEST) / PART) as u16)
    }

    /// How large they are for a grid in `room`; see [`letters`].
    pub(super) fn size(self, room: (f64, f64), grid: (u32, u32), em: (f64, f64), dots: f64) -> f64 {
        match self {
            Self::Usual if room.0 < NARROW => letters(room, grid, em, dots).max(READABLE),
            Self::Usual | Self::Whole => letters(room, grid, em, dots),
            Self::Own(own) => f64::from(own) * PART,
        }
    }

    /// What may be chosen.
    const CHOICE: std::ops::RangeInclusive<u16> = (SMALLEST / PART) as u16..=(LARGEST / PART) as u16;
}

/// What is done with text that somebody pastes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pasted {
    /// There is none.
    Nothing,
    /// One line: it goes.
    Send,
    /// This many lines: a program may run each, so the person is asked.
    Ask(usize),
    /// More than a session takes at once; this many bytes.
    TooLarge(usize),
}

/// Judges a paste.
pub(super) fn pasted(text: &str) -> Pasted {
    match text.len() {
        0 => Pasted::Nothing,
        bytes if bytes > PASTE => Pasted::TooLarge(bytes),
        _ => match text.trim_end_matches(['\r', '\n']).split('\n').count() {
            1 if !text.ends_with(['\r', '\n']) => Pasted::Send,
            lines => Pasted::Ask(lines),
        },
    }
}

/// The character that Ctrl makes of this one, where it makes one: Ctrl C is 3.
pub(super) fn with_ctrl(char: char) -> Option<char> {
    match char.to_ascii_uppercase() {
        upper @ '@'..='_' => Some(char::from(upper as u8 & 0x1f)),
        ' ' => Some('\0'),
        '?' => Some('\x7f'),
        _ => None,
    }
}

/// A command line as program and arguments: split at spaces, with quotes and backslashes as a shell reads them, and nothing else.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = chars.next().ok_or("the command ends with a backslash; write it twice, or finish it")?;
                word.get_or_insert_default().push(next);
            }
            (None, _) if char.is_whitespace() => all.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    match quote {
        Some(open) => Err(format!("a quote ({open}) is opened and not closed")),
        None => Ok(all.into_iter().chain(word).collect()),
    }
}

/// Who holds a keyboard, for people: `ada` of `user:ada`.
pub(super) fn person(actor: &str) -> String {
    match actor.split_once(':') {
        Some(("agent", slug)) => format!("agent {slug}"),
        Some((_, name)) => name.to_owned(),
        None => actor.to_owned(),
    }
}

/// The style of a run of a thumbnail. Its colours come from a program, so only what is surely a colour gets in.
pub(super) fn style(run: &Run) -> String {
    let [color, ground] = [&run.color, &run.ground].map(|color| color.as_deref().and_then(checked));
    let mut style = match (color, ground) {
        // Black or white, whichever can be read on it: what a program puts together may be too much alike.
        (_, Some(ground)) => {
            format!("background:{ground};color:oklch(from {ground} clamp(.1,(.57 - l)*1000,.99) 0 h);")
        }
        // The sixteen are the theme's own; others were chosen for a dark ground, or a light one.
        (Some(color), None) if color.starts_with('#') => {
            format!("color:light-dark(oklch(from {color} min(l,.5) c h),oklch(from {color} max(l,.65) c h));")
        }
        // Black on black: the next one to it can be seen.
        (Some(color), None) if color == "var(--ansi-0)" => "color:light-dark(var(--ansi-0),var(--ansi-8));".to_owned(),
        (Some(color), None) => format!("color:{color};"),
        (None, None) => String::new(),
    };
    if run.bold {
        style.push_str("font-weight:650;");
    }
    if run.dim {
        style.push_str("opacity:.85;");
    }
    style
}

fn checked(color: &str) -> Option<String> {
    if let Some(number) = color.strip_prefix("ansi-") {
        return number.parse::<u8>().ok().filter(|n| *n < 16).map(|n| format!("var(--ansi-{n})"));
    }
    let digits = color.strip_prefix('#')?;
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| color.to_owned())
}

/// A clause as a sentence: failures come as clauses, some of them questions.
pub(super) fn sentence(clause: &str) -> String {
    let end = if clause.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{end}", crate::ui::capital(clause))
}

/// `4:05`, `1:02:09`.
pub(super) fn clock(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_back_is_quick_at_first_and_never_all_at_once() {
        assert_eq!((pause(0, 0.0), pause(0, 1.0)), (200, 100));
        assert_eq!((pause(3, 0.0), pause(3, 0.5)), (1600, 1200));
        for tries in [6, 40, u32::MAX] {
            assert_eq!((pause(tries, 0.0), pause(tries, 1.0)), (10_000, 5_000));
        }
    }

    #[test]
    fn letters_are_as_large_as_the_whole_grid_lets_them_be() {
        let em = (0.6, 1.17);
        assert_eq!(letters((960.0, 2000.0), (160, 48), em, 1.0), 10.0);
        assert_eq!(letters((5000.0, 480.0), (160, 48), em, 1.0), 8.5, "ten whole dots a line");
        assert_eq!(letters((5000.0, 5000.0), (80, 24), em, 2.0), 18.0);
        assert_eq!(letters((100.0, 100.0), (400, 200), em, 1.0), 3.0);
    }

    #[test]
    fn letters_are_readable_on_a_phone_unless_somebody_wants_to_see_all() {
        let (phone, desktop, grid, em) = ((370.0, 600.0), (960.0, 2000.0), (160, 48), (0.6, 1.17));
        assert_eq!(Letters::Usual.size(phone, grid, em, 1.0), 10.0);
        assert_eq!(Letters::Whole.size(phone, grid, em, 1.0), 3.75);
        assert_eq!(Letters::Usual.size(phone, (40, 20), em, 1.0), 15.375, "what fits may be larger");
        assert_eq!(Letters::Usual.size(desktop, grid, em, 1.0), 10.0);
        assert_eq!(Letters::Own(72).size(phone, grid, em, 1.0), 9.0);
    }

    #[test]
    fn chosen_letters_are_kept_and_what_makes_no_sense_is_forgotten() {
        for letters in [Letters::Usual, Letters::Whole, Letters::Own(24), Letters::Own(224)] {
            assert_eq!(Letters::read(&letters.word()), letters);
        }
        for wrong in ["0", "23", "225", "-1", "9.5", "large", "99999"] {
            assert_eq!(Letters::read(wrong), Letters::Usual, "{wrong}");
        }
        assert_eq!((Letters::beside(9.0, 1.0), Letters::beside(3.0, -1.0)), (Letters::Own(80), Letters::Own(24)));
        assert_eq!(Letters::beside(6.5, -1.0), Letters::Own(48), "smaller ones only show the whole");
    }

    #[test]
    fn several_lines_are_asked_first_and_too_much_is_refused() {
        assert_eq!(pasted(""), Pasted::Nothing);
        assert_eq!(pasted("ls -l"), Pasted::Send);
        assert_eq!(pasted("ls\n"), Pasted::Ask(1));
        assert_eq!(pasted("a\nb\r\n"), Pasted::Ask(2));
        assert_eq!(pasted(&"é".repeat(PASTE / 2)), Pasted::Send);
        assert_eq!(pasted(&"é".repeat(PASTE)), Pasted::TooLarge(2 * PASTE));
    }

    #[test]
    fn ctrl_makes_control_characters() {
        let cases =
            [('c', Some('\x03')), ('C', Some('\x03')), ('[', Some('\x1b')), (' ', Some('\0')), ('?', Some('\x7f'))];
        for (char, expected) in cases.into_iter().chain([('1', None), ('é', None)]) {
            assert_eq!(with_ctrl(char), expected, "{char}");
        }
    }

    #[test]
    fn a_command_is_split_as_a_shell_would_and_nothing_is_run() {
        let all = |line: &str| words(line).expect("reads").join("|");
        assert_eq!(all("  htop "), "htop");
        assert_eq!(all(r#"tail -f "my log" 'a b'c \$x"#), "tail|-f|my log|a bc|$x");
        assert_eq!(all(r#"echo "" $(x) "a\"b""#), "echo||$(x)|a\"b");
        assert_eq!(all(""), "");
        assert!(words("echo 'a").is_err() && words("echo \\").is_err());
    }

    #[test]
    fn a_style_holds_only_colours() {
        let run =
            |color: &str| Run { text: "x".into(), color: Some(color.into()), ground: None, bold: false, dim: false };
        let own = "color:light-dark(oklch(from #0aF3b2 min(l,.5) c h),oklch(from #0aF3b2 max(l,.65) c h));";
        assert_eq!(style(&run("#0aF3b2")), own);
        let on = Run { ground: Some("ansi-2".into()), ..run("#0aF3b2") };
        let readable = "background:var(--ansi-2);color:oklch(from var(--ansi-2) clamp(.1,(.57 - l)*1000,.99) 0 h);";
        assert_eq!(style(&on), readable);
        assert_eq!(style(&run("ansi-15")), "color:var(--ansi-15);");
        for wrong in ["ansi-16", "#fff", "red;background:url(x)", "#12345g", ""] {
            assert_eq!(style(&run(wrong)), "", "{wrong}");
        }
        assert_eq!(
            style(&Run { bold: true, dim: true, ..run("ansi-1") }),
            "color:var(--ansi-1);font-weight:650;opacity:.85;"
        );
    }

    #[test]
    fn times_and_names_are_for_people() {
        assert_eq!([clock(-5), clock(65_000), clock(3_729_000)], ["0:00", "1:05", "1:02:09"]);
        assert_eq!([sentence("it ended"), sentence("are you online?")], ["It ended.", "Are you online?"]);
        assert_eq!([person("user:ada"), person("agent:c"), person("x")], ["ada", "agent c", "x"]);
    }
}
