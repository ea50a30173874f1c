//! What a program says in a terminal: any bytes through the escape policy into the screen.

use super::Screen;

fn fed(screen: &mut Screen, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        assert!(screen.feed(part, &mut out), "the parser survives");
    }
    out
}

/// Fails where the screen does not keep its promises. The first bytes choose a size, where the rest is cut, and another size
/// on the way. Small sizes: what goes wrong does so at the edges, and every cell is compared many times for each input.
pub(super) fn check(input: &[u8]) {
    let Some(([cols, rows, cut, turn], rest)) = input.split_first_chunk::<4>() else { return };
    let (cols, rows) = (u16::from(*cols % 48), u16::from(*rows % 14));
    let cut = usize::from(*cut).min(rest.len());
    let (start, end) = rest.split_at(cut);

    let once = fed(&mut Screen::new(cols, rows), &[rest]);
    assert!(std::str::from_utf8(&once).is_ok());
    let single: Vec<&[u8]> = rest.chunks(1).collect();
    assert_eq!(once, fed(&mut Screen::new(cols, rows), &single));
    assert_eq!(once, fed(&mut Screen::new(cols, rows), &[&once]));

    // Somebody who joins at the cut. tmux's client stays on the alternate screen, and the snapshot is of that one alone.
    let (cols, rows) = (cols.max(20), rows.max(5));
    let mut live = Screen::new(cols, rows);
    fed(&mut live, &[b"\x1b[?1049h", start]);
    let frame = live.snapshot();
    if live.alternate() {
        let mut late = Screen::shown(cols, rows, &frame);
        assert_eq!(late.text(), live.text(), "the snapshot");
        let passed = fed(&mut live, &[end]);
        fed(&mut late, &[&passed]);
        if live.alternate() {
            assert_eq!(late.text(), live.text(), "who joined late");
            assert_eq!(late.lines(), live.lines(), "who joined late");
        }
    }
    let _ = (live.lines(), live.text());
    live.resize(u16::from(turn % 64) + 1, u16::from(turn % 17) + 1);
    let _ = (live.snapshot(), live.lines());
    fed(&mut live, &[rest]);
    let _ = (live.snapshot(), live.lines(), live.text());
}
