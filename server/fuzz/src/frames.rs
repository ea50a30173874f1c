//! What clients say on a terminal's socket; see `checks/frames.rs`.

#![no_main]

#[path = "checks/frames.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;
use server::terminals::{FRAME, Request, Said};

fuzz_target!(|input: &[u8]| checks::check(input));
