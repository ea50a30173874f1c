//! `cargo xtask`: all automation of the project, in Rust, so that a newcomer needs cargo and nothing else.
//!
//! One file per verb. Every long step says first what it does; a failure says what to do about it.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to the person in front of it")]
#![expect(clippy::disallowed_methods, reason = "a tool that measures and waits has no clock of the hub's")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum as _};

mod bench;
mod cmd;
mod comfyui;
mod css;
mod dist;
mod fuzz;
mod mcp;
mod paths;
mod queries;
mod run;
mod setup;
mod site;
mod test;
mod tidy;
mod vendor;

/// Automation of Central-MCP.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything and start the program on this machine.
    Run {
        /// Start the optimised program, with the site inside, instead of the development build.
        #[arg(long)]
        release: bool,
        /// Handed to `central-mcp serve`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Look for the tools a build needs; as root on Debian or Ubuntu, install what is missing.
    Setup {
        /// Also what the tests need: Node.js, Chromium, Python, binutils.
        #[arg(long)]
        tests: bool,
    },
    /// Build the browser half into target/site.
    Site,
    /// Refresh .sqlx, the query data that lets the server compile without a database.
    Queries {
        /// Change nothing; fail where the committed data is stale.
        #[arg(long)]
        check: bool,
    },
    /// Install a real ComfyUI that draws on the CPU, and start it.
    Comfyui {
        /// Where one instance keeps its input and output; a folder in the cache if not given.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 8188)]
        port: u16,
        /// Install, and stop there.
        #[arg(long)]
        install_only: bool,
    },
    /// Everything CI does, in CI's order.
    Test {
        /// Leave out the browser tests.
        #[arg(long)]
        skip_e2e: bool,
        /// Leave out the real ComfyUI; the tests that need it then skip themselves.
        #[arg(long)]
        skip_comfyui: bool,
    },
    /// Try any bytes at an entry that takes them from outside (x86-64 Linux).
    Fuzz {
        /// A program of server/fuzz: `mcp` (messages of agents), `terminal` (what programs say in terminals) or `frames` (what
        /// viewers say on a terminal's socket).
        #[arg(default_value = "mcp")]
        target: String,
        /// How many inputs.
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
    },
    /// Measure every budget on the program that ships, and print it beside the budget.
    Bench {
        /// Also write it into BENCHMARKS.md.
        #[arg(long)]
        write: bool,
        /// Measure this program instead of building one.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// Leave out what needs a real ComfyUI.
        #[arg(long)]
        skip_comfyui: bool,
        /// Measure only this part; may be given more than once.
        #[arg(long, value_enum, value_name = "PART", conflicts_with = "write")]
        only: Vec<bench::Part>,
    },
    /// Build the one file that ships: target/dist/central-mcp.
    Dist,
    /// Check the rules of the house that a program can check.
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Run { release, args } => run::run(release, &args),
        Verb::Setup { tests: false } => setup::for_run(),
        Verb::Setup { tests: true } => setup::for_tests(),
        Verb::Site => site::build().map(|_| ()),
        Verb::Queries { check: false } => queries::refresh(),
        Verb::Queries { check: true } => queries::check(),
        Verb::Comfyui { dir, port, install_only } => comfyui::comfyui(dir, port, install_only),
        Verb::Test { skip_e2e, skip_comfyui } => test::test(skip_e2e, skip_comfyui),
        Verb::Fuzz { target, runs } => fuzz::fuzz(&target, runs),
        Verb::Bench { write, program, skip_comfyui, only } => {
            let mut parts = if only.is_empty() { bench::Part::value_variants().to_vec() } else { only };
            parts.retain(|part| !skip_comfyui || *part != bench::Part::Overhead);
            bench::bench(write, program, &parts)
        }
        Verb::Dist => dist::dist().map(|_| ()),
        Verb::Tidy => tidy::tidy(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
