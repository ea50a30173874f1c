//! `run`: from a fresh clone to the program on localhost.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Error, Result};

use crate::cmd::{cargo, run as run_command, say};
use crate::{dist, paths, setup, site};

/// Builds what is not built yet, then becomes the program, so that Ctrl-C and its exit status are the program's own.
pub(crate) fn run(release: bool, args: &[String]) -> Result<()> {
    setup::for_run()?;
    let program = if release {
        dist::dist()?
    } else {
        site::build()?;
        say("Building the server (a first time takes some minutes)");
        run_command(cargo().args(["build", "--package", "central-mcp", "--bin", "central-mcp"]))?;
        paths::target().join("debug/central-mcp")
    };
    say(&format!("Starting {} serve", program.display()));
    let error = Command::new(&program).arg("serve").args(args).stdin(Stdio::inherit()).exec();
    Err(Error::new(error).context(format!("cannot start {}", program.display())))
}
