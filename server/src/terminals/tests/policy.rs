use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn through(parts: &[&[u8]]) -> Vec<u8> {
    let (mut policy, mut out) = (Policy::new(), Vec::new());
    for part in parts {
        policy.feed(part, &mut out);
    }
    out
}

fn shown(text: &str) -> String {
    String::from_utf8(through(&[text.as_bytes()])).expect("what passes is text")
}

#[test]
fn what_draws_passes() {
    for same in [
        "héllo\r\n\t\u{8}\u{7}",
        "漢字 😀 e\u{301} 👩\u{200d}👩",
        "\x1b[1;31mred\x1b[m",
        "\x1b[38;2;1;2;3;48;5;200mx",
        "\x1b[38:2::1:2:3mx",
        "\x1b[4:3mx",
        "\x1b[?1049h\x1b[2J\x1b[H\x1b[1;30r\x1b[5d\x1b[7G",
        "\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1h\x1b=\x1b>",
        "\x1b[2 q\x1b[ q",
        "\x1b[3@\x1b[3P\x1b[2L\x1b[2M\x1b[4X\x1b[3S\x1b[3T\x1bM\x1bc",
        "\x1b]2;a title\x07",
        "\x1b]8;;https://example.org/a;b?c=d\x07here\x1b]8;;\x07",
        "\x1b]8;id=a-1;http://example.org\x07here\x1b]8;;\x07",
    ] {
        assert_eq!(shown(same), same);
    }
}

#[test]
fn what_answers_steals_or_leads_astray_does_not() {
    for (what, left) in [
        ("\x1b]52;c;aGk=\x07", ""),
        ("\x1b]52;c;?\x1b\\", ""),
        ("\x1b]0;\x1b]52;c;aGk=\x07", "\x1b]2;\x07"),
        ("\x1b[c\x1b[>c\x1b[=c\x1b[0c\x1b[5n\x1b[6n\x1b[?6n\x1b[x\x1b[>q\x1bZ", ""),
        ("\x1b[?2026$p\x1b[4$p\x1b[?u\x1b[>1u\x1b[<u\x1b[=1;1u\x1b[?996n", ""),
        ("\x1b[14t\x1b[18t\x1b[20t\x1b[21t\x1b[8;5;5t\x1b[22;0;0t", ""),
        ("\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1bPq#0;2;0;0;0~\x1b\\", ""),
        ("\x1b_Gi=1,a=q;AAAA\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\", ""),
        (
            "\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;#fff\x07\x1b]12;?\x07\x1b]104\x07\x1b]50;x\x07\x1b]9;x\x07\x1b]777;x\x07",
            "",
        ),
        ("\x1b]1337;File=inline=1:AAAA\x07\x1b]7;file:///etc\x07\x1b]133;A\x07\x1b]1;icon\x07", ""),
        ("\u{9b}6n\u{9d}52;c;?\u{9c}\u{90}q\u{9c}", "6n52;c;?q"),
        ("\x1b[?1004h\x1b[?1;1004;2031;25h\x1b[?2048h\x1b[?3h\x1b[?6h\x1b[?5h", "\x1b[?1;25h"),
        (
            "\x1b[4i\x1b[5i\x1b[9999b\x1b[3g\x1b[!p\x1b[4h\x1b[1q\x1b[>4;2m\x1b[?1m\x1b[1\"q\x1b[1;1;5;5$x\x1b[?1S\x1b[1;2;3;4;5T",
            "",
        ),
        ("\x1b(0\x1b)B\x1b#8\x1b7\x1b8\x1bD\x1bE\x1bH\x1bN\x1b\\\x1b~\x0e\x0f", ""),
        ("\x05\x00\x7f\x01", ""),
        ("\x1b[12345;1H\x1b[1\n6n", "\n6n"),
        ("\x1b]2;a\u{9c}b\u{202e}c\nd\x07", "\x1b]2;abcd\x07"),
        ("\x1b]8;;javascript:alert(1)\x07x", "\x1b]8;;\x07x"),
        ("\x1b]8;;https://good.example\x07a\x1b]8;;data:x\x07b", "\x1b]8;;https://good.example\x07a\x1b]8;;\x07b"),
        ("\x1b]8;id=\u{e9}:x=y;https://e.example/\u{e9}\x07x", "\x1b]8;;\x07x"),
        ("\u{fffd}", "?"),
    ] {
        assert_eq!(shown(what), left, "{what:?}");
    }
}

#[test]
fn what_is_unfinished_waits_and_what_is_endless_is_forgotten() {
    assert_eq!(through(&[b"a\x1b[3", b"1mb"]), b"a\x1b[31mb");
    assert_eq!(through(&[b"a\xe6\xbc"]), b"a");
    let mut policy = Policy::new();
    for start in [&b"\x1b["[..], b"\x1b]2;", b"\x1bP", b"\x1b]8;;https://", b"\x1b(", b"\x1b_"] {
        let mut out = Vec::new();
        policy.feed(start, &mut out);
        for _ in 0..1_000 {
            policy.feed(&[b'1'; 1_000], &mut out);
        }
        assert!(policy.held.capacity() <= 2 * STRING, "{}", policy.held.capacity());
        policy.feed(b"\x1b\\\x18", &mut out);
        assert!(out.len() < 1_100_000);
    }
    let long = "x".repeat(1_000);
    assert_eq!(shown(&format!("\x1b]2;{long}\x07")), format!("\x1b]2;{}\x07", &long[..TITLE]));
}

#[test]
fn the_end_of_an_update_and_the_scrolling_region_are_seen() {
    let (mut policy, mut out) = (Policy::new(), Vec::new());
    policy.feed(b"\x1bP=1s\x1b\\\x1b[?2026h\x1b[3;20r", &mut out);
    assert_eq!((policy.frames(), policy.region()), (0, Some((3, 20))));
    policy.feed(b"\x1bP=2s\x1b\\\x1b[?2026l\x1b[r", &mut out);
    assert_eq!((policy.frames(), policy.region()), (2, None));
    assert_eq!(out, b"\x1b[3;20r\x1b[r");
}

/// A second opinion about what may pass, written from the rules and not from the state machine.
fn allowed(out: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(out).map_err(|error| error.to_string())?;
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let tail = &rest[char.len_utf8()..];
        rest = match char {
            '\x1b' => {
                let sequence = tail.get(..1).ok_or("ends within a sequence")?;
                let tail = &tail[1..];
                match sequence {
                    "=" | ">" | "M" | "c" => tail,
                    "[" => {
                        let end = tail.find(|char: char| ('@'..='~').contains(&char)).ok_or("ends within CSI")?;
                        let (body, last) = (&tail[..end], &tail[end..=end]);
                        let good = match last {
                            "h" | "l" => body.starts_with('?'),
                            "q" => body.ends_with(' '),
                            _ => "@ABCDEFGHJKLMPSTX`dfmr".contains(last) && !body.starts_with(['?', '>', '<', '=']),
                        };
                        let known = |char: char| char.is_ascii_digit() || ";:? ".contains(char);
                        if !good || !body.chars().all(known) {
                            return Err(format!("CSI {body} {last}"));
                        }
                        &tail[end + 1..]
                    }
                    "]" => {
                        let end = tail.find('\x07').ok_or("ends within OSC")?;
                        let body = &tail[..end];
                        let link = body.strip_prefix("8;");
                        let bad_link = link.is_some_and(|link| {
                            link != ";"
                                && !link.to_lowercase().contains(";http://")
                                && !link.to_lowercase().contains(";https://")
                        });
                        if !(body.starts_with("2;") || link.is_some()) || bad_link || body.chars().any(char::is_control)
                        {
                            return Err(format!("OSC {body:?}"));
                        }
                        &tail[end + 1..]
                    }
                    other => return Err(format!("ESC {other}")),
                }
            }
            '\x07'..='\r' => tail,
            '\u{fffd}' => return Err("a replacement character".into()),
            char if char.is_control() => return Err(format!("{char:?}")),
            _ => tail,
        };
    }
    Ok(())
}

/// Bytes as a hostile program might say them: pieces of sequences, put together at random.
pub(in crate::terminals) fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\x1b",
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"\x1b_",
        b"\x1b\\",
        b"\x07",
        b"\x18",
        b"?",
        b">",
        b"=",
        b"$",
        b" ",
        b"!",
        b";",
        b":",
        b"0",
        b"2",
        b"8",
        b"52",
        b"1049",
        b"2026",
        b"1004",
        b"38;2;1;2;3",
        b"9999",
        b"65536",
        b"h",
        b"l",
        b"m",
        b"H",
        b"J",
        b"r",
        b"n",
        b"c",
        b"p",
        b"q",
        b"u",
        b"t",
        b"b",
        b"S",
        b"T",
        b"L",
        b"@",
        b"id=a",
        b"https://e.example",
        b"javascript:1",
        b"=2s",
        b"\xc2\x9b",
        b"\xc2\x9c",
        b"\x9b",
        b"\xe6\xbc\xa2",
        b"\xf0\x9f\x98\x80",
        b"\xef\xbf\xbd",
        b"\xe2\x80\x8d",
        b"e\xcc\x81",
        b"\xff",
        b"\xe6",
        b"text",
        b"\r\n",
        b"\t",
        b"\x08",
        b"\x0e",
        b"M",
        b"c",
        b"7",
        b"(",
        b"\x00",
        b"\x7f",
    ];
    let piece = prop_oneof![
        8 => select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..6),
    ];
    vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_forbidden_passes(input in hostile()) {
        let out = through(&[&input]);
        prop_assert_eq!(allowed(&out), Ok(()), "{:?}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn how_the_input_is_cut_changes_nothing(input in hostile(), cuts in vec(0usize..400, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
        prop_assert_eq!(through(&parts), through(&[&input]));
        let single: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(through(&single), through(&[&input]));
    }

    #[test]
    fn what_has_passed_passes_again(input in hostile()) {
        let once = through(&[&input]);
        prop_assert_eq!(through(&[&once]), once);
    }

    #[test]
    fn text_passes_unchanged(text in "[^\\p{Cc}\u{fffd}]{0,200}") {
        prop_assert_eq!(through(&[text.as_bytes()]), text.as_bytes());
    }
}
