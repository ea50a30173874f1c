//! The checks of `server/fuzz`, over its seeds and over what is made of them at random: short enough for every test run.
//! `cargo xtask fuzz` is the long one, and looks where it has not been.

#[path = "../../../fuzz/src/checks/frames.rs"]
mod frames;
#[path = "../../../fuzz/src/checks/screen.rs"]
mod screen;

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::terminals::{FRAME, Request, Said, Screen};

/// The seeds of one target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).expect("a folder of seeds");
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.expect("a file").path()).expect("reads")).collect();
    assert!(seeds.len() > 3, "{target} has seeds");
    seeds
}

/// Pieces of seeds in a row, with some bytes replaced.
fn made_of(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec((any::<Index>(), any::<Index>(), any::<Index>()), 1..5);
    let strange = vec((any::<Index>(), any::<u8>()), 0..4);
    (pieces, strange).prop_map(move |(pieces, strange)| {
        let mut made = Vec::new();
        for (seed, from, until) in pieces {
            let seed = seed.get(&seeds);
            let (from, until) = (from.index(seed.len() + 1), until.index(seed.len() + 1));
            // A whole beginning now and then: much is only understood from its first byte.
            made.extend_from_slice(if from < until { &seed[from..until] } else { &seed[..from] });
        }
        for (place, byte) in strange {
            if !made.is_empty() {
                let place = place.index(made.len());
                made[place] = byte;
            }
        }
        made
    })
}

#[test]
fn the_seeds_are_survived() {
    seeds("terminal").iter().for_each(|seed| screen::check(seed));
    seeds("frames").iter().for_each(|seed| frames::check(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_clients_say_is_read_or_refused(input in made_of(seeds("frames"))) {
        frames::check(&input);
    }
}

proptest! {
    #[test]
    fn what_programs_say_is_drawn_alike_for_all(input in made_of(seeds("terminal"))) {
        screen::check(&input);
    }
}
