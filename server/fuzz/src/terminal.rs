//! What programs say in terminals; see `checks/screen.rs`.

#![no_main]

#[path = "checks/screen.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;
use server::terminals::Screen;

fuzz_target!(|input: &[u8]| checks::check(input));
