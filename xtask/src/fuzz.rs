//! `fuzz`: any bytes at the entries that take them from outside, guided by what code they reach (libFuzzer).
//!
//! Not `cargo fuzz`: its sanitizer needs a nightly compiler. The counters are stable flags, and safe Rust has little for a
//! sanitizer to find; a panic, an overflow or an answer of 500 is what we look for.

use std::fs;

use anyhow::Result;

use crate::cmd::{cargo, command, run, say};
use crate::paths;

/// Counters on every edge, and the values that are compared: what libFuzzer steers by.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// Named, so that build scripts and macros are compiled without counters.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Longest input in bytes: what a request to `/mcp` needs. What a terminal is fed has shorter parts, and each byte of it is
/// drawn on five screens: long inputs would only be fewer.
const LONGEST: u32 = 4_096;
/// See [`LONGEST`].
const LONGEST_DRAWN: u32 = 512;

/// Tries `runs` inputs at the entry `target` of `server/fuzz`.
pub(crate) fn fuzz(target: &str, runs: u64) -> Result<()> {
    let home = paths::root().join("server/fuzz");
    let build = paths::target().join("fuzz");
    say("Building with counters");
    run(cargo()
        .current_dir(&home)
        .args(["build", "--release", "--target", TARGET, "--bin", target, "--target-dir"])
        .arg(&build)
        .env("SQLX_OFFLINE", "true")
        .env("RUSTFLAGS", COVERAGE))?;
    // What it finds is kept beside the seeds, not among them.
    let found = build.join("corpus").join(target);
    fs::create_dir_all(&found)?;
    say(&format!("{runs} inputs"));
    run(command(build.join(TARGET).join("release").join(target))
        .current_dir(&build)
        .arg(&found)
        .arg(home.join("corpus").join(target))
        .arg(format!("-dict={}", home.join(format!("{target}.dict")).display()))
        .arg(format!("-runs={runs}"))
        .arg(format!("-max_len={}", if target == "terminal" { LONGEST_DRAWN } else { LONGEST }))
        .args(["-print_final_stats=1", "-timeout=30", "-rss_limit_mb=4096"]))
}
