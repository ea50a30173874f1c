//! ttyd, the server to compare with: one tmux client for each viewer.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, Said, hub};
use crate::bench::free_port;
use crate::bench::hub::{Folder, Running};
use crate::cmd::{command, read};

/// A running ttyd that shows one session of a tmux of its own.
pub(super) struct Ttyd<'a> {
    bench: Bench<'a>,
    process: Running,
    port: u16,
    socket: PathBuf,
}

impl<'a> Ttyd<'a> {
    /// Starts it with a session that runs `argv`.
    pub(super) fn start(bench: Bench<'a>, folder: &Folder, argv: &[&str]) -> Result<Self> {
        let socket = folder.path().join("ttyd.sock");
        let new = ["-f", "/dev/null", "new-session", "-d", "-s", "it", "-x", "160", "-y", "48"];
        read(hub::tmux(&socket).args(new).args(argv))?;
        let port = free_port()?;
        let mut ttyd = command("ttyd");
        ttyd.args(["-p", &port.to_string(), "-i", "lo", "-W", "tmux", "-S"]).arg(&socket).args(["attach", "-t", "it"]);
        let process = ttyd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start ttyd")?;
        let this = Self { bench, process: Running(process), port, socket };
        hub::answers(port, "/", Duration::from_secs(10)).context("ttyd did not answer")?;
        Ok(this)
    }

    /// Runs the load client on it.
    pub(super) fn load(&self, mode: &str, more: &[&dyn Display]) -> Result<Said> {
        let url = format!("ws://127.0.0.1:{}/ws", self.port);
        let mut args: Vec<String> = vec!["--proto".into(), "ttyd".into(), "--url".into(), url];
        args.extend(more.iter().map(ToString::to_string));
        self.bench.load(mode, self.process.0.id(), &self.socket, &args)
    }
}

impl Drop for Ttyd<'_> {
    fn drop(&mut self) {
        let _ = hub::tmux(&self.socket).arg("kill-server").stderr(Stdio::null()).status();
    }
}
