use super::*;

fn through(parts: &[&[u8]]) -> Vec<u8> {
    let (mut policy, mut out) = (Policy::new(), Vec::new());
    for part in parts {
        policy.feed(part, &mut out);
    }
    out
}

#[test]
fn what_draws_passes() {
    for same in [
        "héllo\r\n\t\u{7}",
        "\x1b[1;31mred\x1b[m",
        "\x1b[38:2::1:2:3m",
        "\x1b[?1049h\x1b[2J\x1b[H",
        "\x1b[2 q",
        "漢字 😀",
    ] {
        assert_eq!(through(&[same.as_bytes()]), same.as_bytes(), "{same:?}");
    }
}
