use proptest::prelude::*;

use super::{super::policy::tests::hostile, *};

/// The selectors are dropped for the parser only; what it is told here is what browsers are.
fn told(rest: &[u8]) -> Vec<u8> {
    without_selectors(rest).flatten().copied().collect()
}

/// A screen that was told `frame` (a snapshot) and then `rest`.
fn joined(frame: &[u8], rest: &[u8]) -> Screen {
    let mut screen = Screen::shown(40, 10, frame);
    screen.parser.process(&told(rest));
    screen
}

fn state(screen: &Screen) -> (String, (u16, u16)) {
    let inner = screen.parser.screen();
    (inner.state_formatted(), inner.cursor_position())
}

#[test]
fn lines_are_runs_of_one_style() {
    let mut screen = Screen::new(20, 5);
    let mut out = Vec::new();
    screen.feed(
        "plain \x1b[1;31mred\x1b[m\r\n\x1b[7minverse\x1b[m 漢\r\n\x1b[48;2;1;2;3m  \x1b[m\x1b[38;5;196mx\x1b[m   "
            .as_bytes(),
        &mut out,
    );
    let lines = screen.lines();
    let run = |text: &str| Run { text: text.into(), color: None, ground: None, bold: false, dim: false };
    assert_eq!(lines[0], [run("plain "), Run { color: Some("ansi-1".into()), bold: true, ..run("red") }]);
    assert_eq!(lines[1][0], Run { color: Some("ansi-0".into()), ground: Some("ansi-7".into()), ..run("inverse") });
    assert_eq!(lines[1][1], run(" 漢"));
    assert_eq!(
        lines[2],
        [Run { ground: Some("#010203".into()), ..run("  ") }, Run { color: Some("#ff0000".into()), ..run("x") }]
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn title_and_bells_are_heard_and_outlive_a_new_attach() {
    let mut screen = Screen::new(20, 5);
    screen.feed(b"\x1b]0;hello\x07\x07\x07", &mut Vec::new());
    assert_eq!((screen.title(), screen.bells()), ("hello", 2));
    let again = screen.again();
    assert_eq!((again.title(), again.bells(), again.text().as_str()), ("hello", 2, ""));
}

#[test]
fn a_snapshot_holds_the_scrolling_region() {
    for (region, text) in [("2;4", "1\n3\n4\nnew\n5"), ("2;0", "1\n2\n3\n4\nnew"), ("2", "1\n2\n3\n4\nnew")] {
        let mut live = Screen::new(40, 10);
        let mut out = Vec::new();
        live.feed(format!("\x1b[?1049h1\r\n2\r\n3\r\n4\r\n5\x1b[{region}r\x1b[4;1H").as_bytes(), &mut out);
        let frame = live.snapshot();
        let mut rest = Vec::new();
        live.feed(b"\nnew", &mut rest);
        assert_eq!(state(&joined(&frame, &rest)), state(&live), "{region}");
        assert_eq!(live.text(), text, "{region}");
        // From the last row on, what is above the region stays.
        live.feed(b"\x1b[10;1H\n\n", &mut rest);
        assert_eq!(state(&joined(&frame, &rest)), state(&live), "{region}");
    }
}

#[test]
fn a_snapshot_at_the_end_of_a_full_line_colours_nothing() {
    let mut live = Screen::new(20, 10);
    live.feed(b"\x1b[?1049h\x1b[2;5r\x1b[1;1H12345678901234567890\x1b[47m", &mut Vec::new());
    let mut late = Screen::shown(20, 10, &live.snapshot());
    assert_eq!(late.lines(), live.lines());
    let mut rest = Vec::new();
    live.feed(b"next", &mut rest);
    late.parser.process(&rest);
    assert_eq!(state(&late), state(&live));
}

proptest! {
    /// Whoever joins at any place sees what somebody sees who was there from the beginning.
    #[test]
    fn a_snapshot_and_the_rest_lead_to_the_same_screen(input in hostile(), cut in 0usize..400) {
        let (mut live, mut before, mut rest) = (Screen::new(40, 10), Vec::new(), Vec::new());
        let cut = cut.min(input.len());
        live.feed(b"\x1b[?1049h", &mut before);
        live.feed(&input[..cut], &mut before);
        // tmux's client stays in the alternate screen; the parser's snapshot knows but one of the two.
        prop_assume!(live.parser.screen().alternate_screen());
        let frame = live.snapshot();
        live.feed(&input[cut..], &mut rest);
        prop_assume!(live.parser.screen().alternate_screen());
        prop_assert_eq!(state(&joined(&frame, &rest)), state(&live));
    }

    #[test]
    fn any_size_is_survived(input in hostile(), sizes in proptest::collection::vec((0u16..60, 0u16..30), 1..6)) {
        let mut screen = Screen::new(40, 10);
        let mut out = Vec::new();
        for (cols, rows) in sizes {
            screen.resize(cols, rows);
            screen.feed(&input, &mut out);
            let _ = (screen.snapshot(), screen.lines(), screen.text());
        }
    }
}
