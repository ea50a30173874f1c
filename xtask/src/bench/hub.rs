//! The program to measure: started, asked, ended.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{free_port, wire};
use crate::cmd::{command, read, shown};
use crate::paths;

/// A data folder; gone when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(super) fn new(name: &str) -> Result<Self> {
        let path = paths::target().join(format!("bench/{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The socket of the hub's tmux.
    pub(super) fn tmux(&self) -> PathBuf {
        self.0.join("terminals/tmux.sock")
    }
}

/// tmux, on the server at `socket`.
pub(super) fn tmux(socket: &Path) -> Command {
    let mut tmux = command("tmux");
    tmux.env_remove("TMUX").arg("-S").arg(socket);
    tmux
}

impl Drop for Folder {
    fn drop(&mut self) {
        // tmux outlives the hub, as it should; a measurement leaves none behind.
        if self.tmux().exists() {
            let _ = tmux(&self.tmux()).arg("kill-server").stderr(Stdio::null()).status();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that ends when dropped.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running hub.
pub(super) struct Hub {
    process: Running,
    /// Where it listens.
    pub(super) port: u16,
    /// From the start of the process to the first answered request.
    pub(super) took: Duration,
}

impl Hub {
    /// Starts it and waits until it answers.
    pub(super) fn start(program: &Path, folder: &Folder) -> Result<Self> {
        Self::start_with(bare(program), folder)
    }

    /// The same, without the agents and the terminal that a first start makes.
    pub(super) fn start_alone(program: &Path, folder: &Folder) -> Result<Self> {
        let mut serve = bare(program);
        serve.env("CENTRAL_MCP_FIRST_CREW", "false");
        Self::start_with(serve, folder)
    }

    fn start_with(mut serve: Command, folder: &Folder) -> Result<Self> {
        let port = free_port()?;
        serve.arg("serve").arg("--data").arg(folder.path()).args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--log",
            "warn",
        ]);
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let began = Instant::now();
        let process = Running(serve.spawn().with_context(|| format!("cannot start `{}`", shown(&serve)))?);
        answers(port, "/healthz", Duration::from_secs(30)).context("the hub did not answer; its log is above")?;
        Ok(Self { process, port, took: began.elapsed() })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Its resident memory in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("/proc does not say how much memory it takes")? * 1024)
    }
}

/// A token that may do everything but own.
pub(super) fn token(program: &Path, folder: &Folder) -> Result<String> {
    let mut create = bare(program);
    create.args(["token", "create", "--name", "bench", "--role", "operator", "--data"]).arg(folder.path());
    Ok(read(&mut create)?.trim().to_owned())
}

/// Waits until `path` is answered.
pub(super) fn answers(port: u16, path: &str, limit: Duration) -> Result<()> {
    let began = Instant::now();
    loop {
        // A look at the port alone is cheap, so that waiting does not slow down what is waited for.
        if TcpStream::connect(("127.0.0.1", port)).is_ok() && wire::get(port, path, None, false).is_ok() {
            return Ok(());
        }
        if began.elapsed() > limit {
            bail!("no answer from port {port} within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// The program without this machine's own settings.
pub(super) fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CENTRAL_MCP_") {
            command.env_remove(name);
        }
    }
    command
}
