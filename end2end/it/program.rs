//! The program, started, asked, ended and killed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use crate::client::Client;

/// The longest a start may take, also on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A data folder; several programs may open it, one after another or side by side.
pub(crate) struct Folder {
    path: PathBuf,
    _temp: tempfile::TempDir,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// An empty one in memory, where this machine has such a place, for a test that writes thousands of files: a disk takes
    /// longer to sync and remove them than the rest of the test takes. To a killed process it is the same: what it wrote is
    /// with the kernel.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(folder: &Path) -> Self {
        let temp = tempfile::tempdir_in(folder).unwrap();
        Self { path: temp.path().join("data"), _temp: temp }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    /// tmux outlives the hub, as it should; a test leaves none behind.
    fn drop(&mut self) {
        let socket = self.path.join("terminals/tmux.sock");
        if socket.exists() {
            let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status();
        }
    }
}

/// The program without this machine's own settings.
pub(crate) fn program() -> Command {
    bare(Command::new(env!("CARGO_BIN_EXE_central-mcp")))
}

fn bare(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CENTRAL_MCP_") {
            command.env_remove(name);
        }
    }
    // A test that wants agents makes them; starting five shells for each hub helps none.
    command.env("CENTRAL_MCP_FIRST_CREW", "false");
    command
}

/// Runs a command of the program on `data` to its end, with `input` piped in.
pub(crate) fn run(data: &Path, args: &[&str], input: &str) -> Output {
    let mut command = program();
    // By the environment: what follows `--` is not ours.
    command
        .args(args)
        .env("CENTRAL_MCP_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that asks nothing closes its input early: no fault.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same, which must do well; its standard output.
pub(crate) fn done(data: &Path, args: &[&str], input: &str) -> String {
    let output = run(data, args, input);
    assert!(output.status.success(), "central-mcp {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A new token of `role`, for a hub that was started once.
pub(crate) fn token(data: &Path, role: &str) -> String {
    done(data, &["token", "create", "--name", role, "--role", role], "")
}

/// One running hub. Killed when dropped; what it logged is shown if its test failed.
pub(crate) struct Hub {
    child: Child,
    /// Its address, such as `http://localhost:40123`.
    pub(crate) url: String,
    /// The set-up link, if it printed one.
    pub(crate) setup: Option<String>,
    /// Its port.
    pub(crate) port: u16,
    log: Arc<Mutex<String>>,
}

impl Hub {
    /// Starts it on a free port.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_at(data, 0)
    }

    /// Starts it on `port`.
    pub(crate) fn start_at(data: &Path, port: u16) -> Self {
        Self::start_by(program(), data, port)
    }

    /// Starts it under a limit on the size of files, as `ulimit -f` takes it, which stands in for a full disk.
    pub(crate) fn start_limited(data: &Path, blocks: u32) -> Self {
        let mut shell = bare(Command::new("sh"));
        let binary = env!("CARGO_BIN_EXE_central-mcp");
        // Ignored, so that a write over the limit is an error and no signal.
        shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec {binary} \"$@\"")).arg("central-mcp");
        Self::start_by(shell, data, 0)
    }

    /// Starts it on a free port, letting connectors in by OAuth at its own address.
    pub(crate) fn start_with_oauth(data: &Path) -> Self {
        // Asked of the system before: the public address names the port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = program();
        command.env("CENTRAL_MCP_OAUTH", "true").env("CENTRAL_MCP_PUBLIC_URL", format!("http://localhost:{port}"));
        Self::start_by(command, data, port)
    }

    /// Starts it on a free port of every address of this machine; it answers to `host` too.
    pub(crate) fn start_for(data: &Path, host: &str) -> Self {
        let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let mut command = program();
        command.env("CENTRAL_MCP_PUBLIC_URL", format!("http://{host}:{port}"));
        Self::start_on(command, data, &format!("0.0.0.0:{port}"))
    }

    fn start_by(command: Command, data: &Path, port: u16) -> Self {
        Self::start_on(command, data, &format!("127.0.0.1:{port}"))
    }

    fn start_on(mut command: Command, data: &Path, address: &str) -> Self {
        command.arg("serve").arg("--data").arg(data).args(["--listen", address]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, mut errors) = (log.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = errors.read(&mut piece) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        let (sender, links) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(link) = line.split_whitespace().find(|word| word.starts_with("http")) {
                    let _ = sender.send(link.to_owned());
                }
            }
        });
        let Ok(link) = links.recv_timeout(START) else {
            let _ = child.kill();
            let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            panic!("the hub printed no address within {} s:\n{said}", START.as_secs());
        };
        let url: String = link.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let setup = link.contains("/setup").then_some(link);
        Self { child, url, setup, port, log }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody without any credential.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&self.url, None)
    }

    /// Somebody with this token.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client::new(&self.url, Some(token))
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(15), "the hub did not end within 15 s of SIGTERM");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the hub's log ---\n{}", self.log());
        }
    }
}

/// Asks until there is an answer; fails with `what` after `limit`.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
