//! tmux, which keeps the sessions: our own server on our own socket, with our own configuration.
//!
//! Commands are argument vectors, never a shell string. Secrets go to a session through the environment of the `tmux` process
//! and never as arguments, which every user of the machine can read.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use tokio::process::Command;

mod conf;

pub(super) use conf::configuration;

use super::{
    LastWords, Launch,
    last_words::{self, End},
    policy::clean,
    rules,
};
use crate::{
    clock::{SECOND, Timestamp},
    config,
    error::{Error, Failure, FailureKind},
};

/// Longest a command of tmux may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What tmux gets to hear how its programs ended.
const NUDGED: Duration = Duration::from_millis(20);
/// Oldest version that knows `-f ignore-size` and `new-session -e`.
const OLDEST: (u32, u32) = (3, 2);
/// Longest path of a socket, the end byte included (`sun_path` of unix(7), less on macOS).
const SOCKET: usize = 104;
const INSTALL: &str =
    "install it (Debian and Ubuntu: apt-get install tmux; Alpine: apk add tmux; Fedora: dnf install tmux)";
/// Rows that tmux keeps above the screen, and those of the screen.
const KEPT: &str = "#{history_size} #{pane_height}";
/// Longest title in characters.
const TITLE: usize = 200;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Tmux(Arc<Own>);

#[derive(Debug)]
struct Own {
    /// The program. By its whole path, for a session may have a `PATH` of its own.
    program: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    conf: PathBuf,
    environment: Vec<(String, String)>,
    /// What our own client says it is.
    term: &'static str,
    last_words: last_words::Kept,
}

/// A session as tmux lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct SessionInfo {
    /// tmux's own id (`$3`), never used again while its server runs.
    pub(super) id: String,
    pub(super) name: String,
    /// The session's process.
    pub(super) pid: u32,
    pub(super) cols: u16,
    pub(super) rows: u16,
    pub(super) started_at: Timestamp,
    /// The last output.
    pub(super) activity: Timestamp,
    /// The bell rang while nobody watched.
    pub(super) bell: bool,
    /// The title that the program set. Untrusted; control characters are removed.
    pub(super) title: String,
}

impl Tmux {
    /// Makes the folder and the configuration below `data`. Starts nothing. Fails when tmux is missing, and says what to install.
    pub(super) fn open(data: &Path) -> anyhow::Result<Self> {
        let environment = config::shell_environment();
        let program = program(&environment)?;
        let version = version(&program)?;
        let folder = data.join("terminals");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)))
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let (folder, data) = (folder.canonicalize()?, data.canonicalize()?);
        let (socket, conf) = (folder.join("tmux.sock"), folder.join("tmux.conf"));
        if socket.as_os_str().len() >= SOCKET {
            bail!(
                "the path {} is too long for a socket (at most {} bytes); choose a shorter data folder",
                socket.display(),
                SOCKET - 1
            );
        }
        let term = ["xterm-256color", "xterm", "screen-256color"].into_iter().find(|name| known(name));
        let term = term.context(
            "there is no terminal description xterm-256color; install ncurses-base (ncurses-terminfo-base on Alpine)",
        )?;
        let inner = ["tmux-256color", "screen-256color", "screen"].into_iter().find(|name| known(name)).unwrap_or(term);
        fs::write(&conf, configuration(version, inner)).with_context(|| format!("cannot write {}", conf.display()))?;
        let last_words = last_words::Kept::default();
        Ok(Self(Arc::new(Own { program, data, socket, conf, environment, term, last_words })))
    }

    /// The sessions that run; none when no tmux server does.
    pub(super) async fn list(&self) -> Result<Vec<SessionInfo>, Error> {
        Ok(self.look().await?.unwrap_or_default())
    }

    /// The sessions that run; `None` when no tmux server does. What has failed since the last look is ended, its last words kept.
    pub(super) async fn look(&self) -> Result<Option<Vec<SessionInfo>>, Error> {
        let Some(mut listed) = self.listed().await? else { return Ok(None) };
        let unheard =
            listed.iter().find_map(|(_, end)| if let End::Unknown { server } = end { Some(*server) } else { None });
        if let Some(server) = unheard {
            last_words::nudge(server);
            tokio::time::sleep(NUDGED).await;
            listed = self.listed().await?.unwrap_or_default();
        }
        let mut running = Vec::new();
        for (session, end) in listed {
            match end {
                End::Runs => running.push(session),
                End::Failed { how } => self.bury(session, how).await,
                End::Unknown { .. } => {} // the next look may know
            }
        }
        Ok(Some(running))
    }

    /// The sessions that are there, also those whose program has ended.
    async fn listed(&self) -> Result<Option<Vec<(SessionInfo, End)>>, Error> {
        const FORMAT: &str = "#{session_id} #{session_name} #{pane_pid} #{window_width} #{window_height} \
            #{session_created} #{window_activity} #{window_bell_flag} #{?pane_dead,#{pid},0} \
            #{?pane_dead_status,#{pane_dead_status},-} #{?pane_dead_signal,#{pane_dead_signal},-} #{?#{==:#{pane_title},#{host}},,#{pane_title}}";
        let output = self.run(self.command(["list-sessions", "-F", FORMAT])).await?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            if absent(&words) {
                return Ok(None);
            }
            return Err(anyhow!("tmux cannot list its sessions: {}", words.trim()).into());
        }
        Ok(Some(String::from_utf8_lossy(&output.stdout).lines().filter_map(session).collect()))
    }

    /// Keeps the last words of a session whose program has failed, and ends it.
    async fn bury(&self, session: SessionInfo, how: String) {
        // By its id: another may have its name by now.
        let id = session.id.as_str();
        let lines = format!("-{}", last_words::LINES);
        let capture = self.run(self.command(["capture-pane", "-p", "-J", "-S", &lines, "-t", id])).await;
        match capture {
            Ok(output) if output.status.success() => {
                let mut lines = last_words::without_announcement(text(&output.stdout));
                lines.drain(..lines.len().saturating_sub(last_words::LINES));
                let lines = lines.into_iter().map(|line| clean(&line, last_words::LINE)).collect();
                self.0.last_words.put(&session.name, LastWords { how, at: session.activity, lines });
                if let Err(error) = self.run(self.command(["kill-session", "-t", id])).await {
                    tracing::warn!(terminal = session.name, %error, "a session that has ended stays");
                }
            }
            // Somebody else looked at the same time.
            Ok(_) => {}
            Err(error) => tracing::warn!(terminal = session.name, %error, "what it said last cannot be read"),
        }
    }

    /// What a session said last, if its program failed.
    pub(super) fn last_words(&self, name: &str) -> Option<LastWords> {
        self.0.last_words.of(name)
    }

    /// One session, if it runs.
    pub(super) async fn find(&self, name: &str) -> Result<Option<SessionInfo>, Error> {
        Ok(self.list().await?.into_iter().find(|session| session.name == name))
    }

    /// Starts a session, and tmux's server before the first one.
    pub(super) async fn start(&self, launch: &Launch) -> Result<(), Error> {
        rules::name(&launch.name)?;
        if !launch.folder.is_dir() {
            return Err(Failure::invalid(format!(
                "the folder {} is not there; make it, or choose another",
                clean(&launch.folder.display().to_string(), TITLE)
            ))
            .into());
        }
        if launch.environment.iter().any(|(name, value)| !variable(name) || value.contains('\0')) {
            return Err(
                Failure::invalid("a variable's name is made of A-Z, a-z, 0-9 and _, and begins with no digit").into()
            );
        }
        if launch.argv.iter().any(|word| word.contains('\0')) {
            return Err(Failure::invalid("a command cannot hold the character NUL").into());
        }
        // By itself, so that the arguments of a server that lives for months are not those of its first session.
        // The configuration again, for a server that an older hub has started.
        let conf = self.0.conf.to_str().context("the folder's path is not UTF-8")?;
        let started = self.run(self.command(["start-server", ";", "source-file", conf])).await?;
        if !started.status.success() {
            let words = String::from_utf8_lossy(&started.stderr);
            tracing::warn!(words = words.trim(), "tmux did not take all of its configuration");
        }
        let names: Vec<&str> = launch.environment.iter().map(|(name, _)| name.as_str()).collect();
        let (cols, rows) = (launch.cols.to_string(), launch.rows.to_string());
        // tmux expands formats in a folder, and `#(…)` in one runs a shell.
        let folder = launch.folder.to_str().context("the folder's path is not UTF-8")?.replace('#', "##");
        let names = names.join(" ");
        let mut command = self.command(["set-option", "-g", "update-environment", &names, ";"]);
        command.args(["new-session", "-d", "-s", &launch.name, "-x", &cols, "-y", &rows, "-c", &word(&folder), "--"]);
        // A program that uses tmux for itself must not find ours: `tmux kill-server` there would end every agent.
        command.args(["/usr/bin/env", "-u", "TMUX", "-u", "TMUX_PANE"]);
        if let Some(banner) = &launch.banner {
            // The text is an argument, never a part of the script.
            command.args(["/bin/sh", "-c", "printf '%s\\n' \"$1\"; shift; exec \"$@\"", "sh", &word(banner)]);
        }
        if launch.argv.is_empty() {
            let shell = self.0.environment.iter().find(|(name, _)| name == "SHELL").map(|(_, shell)| shell.as_str());
            command.args([shell.unwrap_or("/bin/sh"), "-l"]);
        } else {
            command.args(launch.argv.iter().map(|argument| word(argument)));
        }
        // Set for all windows, 3.3 crashes at the next one that has no client (mended in 3.4).
        command.args([";", "set-option", "-w", "-t", &format!("={}:", launch.name), "window-size", "manual"]);
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        // One of this name that has failed makes room; how it ended is of no interest any more. By its id, since another may be
        // started under that name in between: it is refused below as running.
        let dead = |(session, end): &(SessionInfo, End)| session.name == launch.name && *end != End::Runs;
        if let Some((session, _)) = self.listed().await?.unwrap_or_default().into_iter().find(dead) {
            self.run(self.command(["kill-session", "-t", &session.id])).await?;
        }
        self.0.last_words.forget(&launch.name);
        let output = self.run(command).await?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        if words.contains("duplicate session") {
            let message = format!("the terminal {} runs already", launch.name);
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        if words.contains("too long") {
            return Err(Failure::invalid("the command is too long for tmux (16 kB); put it into a script").into());
        }
        Err(anyhow!("tmux cannot start the session {}: {}", launch.name, words.trim()).into())
    }

    /// Ends a session and its programs.
    pub(super) async fn stop(&self, name: &str) -> Result<(), Error> {
        rules::name(name)?;
        self.at(name, &["kill-session"], &[]).await.map(drop)
    }

    /// Gives a session another size.
    pub(super) async fn resize(&self, name: &str, cols: u16, rows: u16) -> Result<(), Error> {
        rules::name(name)?;
        self.at(name, &["resize-window"], &["-x", &cols.to_string(), "-y", &rows.to_string()]).await.map(drop)
    }

    /// The last `lines` lines of a session, those on its screen included, oldest first; lines that were wrapped are whole again. With
    /// them how many there are: exactly if all were read, else the rows that tmux keeps, which are no fewer.
    pub(super) async fn history(&self, name: &str, lines: usize) -> Result<(Vec<String>, usize), Error> {
        rules::name(name)?;
        // tmux counts rows above the screen, and a line may have many.
        let mut above = lines;
        loop {
            let rest = ["-S", &format!("-{above}"), ";", "display-message", "-p", "-t", &format!("={name}:"), KEPT];
            let said = self.at(name, &["capture-pane", "-p", "-J"], &rest).await?;
            // Long ones would keep everybody else's keys waiting.
            let read = tokio::task::spawn_blocking(move || {
                let (said, kept) = split_last(&said).context("tmux did not say how much it keeps")?;
                anyhow::Ok((text(said), kept))
            });
            let (mut found, kept) = read.await.context("a blocking job broke")??;
            let whole = above >= kept.0;
            // The first may be the end of a line.
            if whole || found.len() > lines {
                let total = if whole { found.len() } else { kept.0 + kept.1 };
                return Ok((found.split_off(found.len().saturating_sub(lines)), total));
            }
            above = above.saturating_mul(4).saturating_add(100);
        }
    }

    /// The lines on a session's screen, the empty ones at its end left out.
    pub(super) async fn screen(&self, name: &str) -> Result<Vec<String>, Error> {
        rules::name(name)?;
        let said = self.at(name, &["capture-pane", "-p"], &[]).await?;
        Ok(text(&said))
    }

    /// The client that draws a session for us. Its size is that of its PTY and counts for nothing.
    pub(super) fn attach_command(&self, name: &str) -> pty_process::Command {
        // tmux gives every program default signals, and what our client is sent are bytes in a raw terminal; so there is nothing
        // to reset in the child.
        pty_process::Command::new(&self.0.program)
            .args(self.arguments())
            .args(["attach-session", "-E", "-f", "ignore-size", "-t", &format!("={name}")])
            .env_clear()
            .envs(self.0.environment.iter().map(|(name, value)| (name, value)))
            .env("TERM", self.0.term)
            .current_dir("/")
            .kill_on_drop(true)
    }

    /// The data folder, absolute.
    pub(super) fn data(&self) -> &Path {
        &self.0.data
    }

    /// Where its server listens.
    #[cfg(test)]
    pub(super) fn socket(&self) -> &Path {
        &self.0.socket
    }

    fn arguments(&self) -> [&OsStr; 5] {
        let (socket, conf) = (self.0.socket.as_os_str(), self.0.conf.as_os_str());
        [OsStr::new("-u"), OsStr::new("-S"), socket, OsStr::new("-f"), conf]
    }

    fn command<const N: usize>(&self, words: [&str; N]) -> Command {
        let mut command = Command::new(&self.0.program);
        command
            .args(self.arguments())
            .args(words)
            .env_clear()
            .envs(self.0.environment.iter().map(|(name, value)| (name, value)))
            .env("TERM", self.0.term)
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command at one session. It is not found when it does not run.
    async fn at(&self, name: &str, verb: &[&str], rest: &[&str]) -> Result<Vec<u8>, Error> {
        let mut command = self.command([]);
        // The name exactly, and in it the window and pane that are looked at.
        command.args(verb).args(["-t", &format!("={name}:")]).args(rest);
        let output = self.run(command).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        if absent(&words) || words.contains("can't find") || words.contains("no such") {
            return Err(gone(name).into());
        }
        Err(anyhow!("tmux cannot {} at {name}: {}", verb.join(" "), words.trim()).into())
    }

    async fn run(&self, mut command: Command) -> Result<Output, Error> {
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(output) => Ok(output.context("cannot run tmux")?),
            Err(_) => Err(anyhow!("tmux did not answer within {} s", PATIENCE.as_secs()).into()),
        }
    }
}

/// What was captured, and the numbers of [`KEPT`] on the line after it.
fn split_last(said: &[u8]) -> Option<(&[u8], (usize, usize))> {
    let said = said.strip_suffix(b"\n")?;
    let at = said.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (above, screen) = std::str::from_utf8(&said[at..]).ok()?.split_once(' ')?;
    Some((&said[..at], (above.parse().ok()?, screen.parse().ok()?)))
}

/// Captured lines without control characters, and without the empty ones at the end.
fn text(said: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(said);
    let mut kept: Vec<String> = said.lines().map(|line| clean(line, usize::MAX).trim_end().to_owned()).collect();
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept
}

/// The refusal for a session that does not run.
pub(super) fn gone(name: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("the terminal {name} does not run"))
}

/// The tmux in the path.
fn program(environment: &[(String, String)]) -> anyhow::Result<PathBuf> {
    let path = environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path.as_str());
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    config::find_program("tmux", &folders)
        .with_context(|| format!("terminals need tmux, and it is not installed; {INSTALL}"))
}

fn version(program: &Path) -> anyhow::Result<(u32, u32)> {
    let said = std::process::Command::new(program)
        .arg("-V")
        .env_clear()
        .output()
        .map_err(|error| anyhow!("terminals need tmux, and it cannot be run ({error}); {INSTALL}"))?;
    let said = String::from_utf8_lossy(&said.stdout);
    let found = numbers(&said).with_context(|| format!("cannot read the version of tmux from \"{}\"", said.trim()))?;
    if found < OLDEST {
        bail!("terminals need tmux {}.{} or newer, and this is {}; {INSTALL}", OLDEST.0, OLDEST.1, said.trim());
    }
    Ok(found)
}

/// `tmux 3.3a`, `tmux next-3.6` and `tmux openbsd-7.5` (which has no number of its own and is always new).
pub(super) fn numbers(said: &str) -> Option<(u32, u32)> {
    let said = said.trim().strip_prefix("tmux ")?;
    if said.starts_with("openbsd") || said == "master" {
        return Some((u32::MAX, 0));
    }
    let (major, rest) = said.strip_prefix("next-").unwrap_or(said).split_once('.')?;
    let minor = rest.split(|char: char| !char.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether this machine has the terminal description `name` where ncurses looks.
fn known(name: &str) -> bool {
    let Some(first) = name.chars().next() else { return false };
    ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/usr/local/share/terminfo"]
        .into_iter()
        .map(Path::new)
        // macOS names the folder by the letter's number.
        .any(|base| {
            base.join(first.to_string()).join(name).is_file()
                || base.join(format!("{:x}", u32::from(first))).join(name).is_file()
        })
}

/// Whether tmux says that its server does not run.
fn absent(words: &str) -> bool {
    words.contains("no server running") || words.contains("error connecting") || words.contains("server exited")
}

/// One line of a listing, and how its program ended if it has. A session that is not named by our rules is not ours.
fn session(line: &str) -> Option<(SessionInfo, End)> {
    let mut words = line.splitn(12, ' ');
    let id = words.next()?.to_owned();
    let name = words.next()?.to_owned();
    rules::name(&name).ok()?;
    let pid = words.next()?.parse().ok()?;
    let (cols, rows): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (started, active) = (words.next()?.parse::<i64>().ok()?, words.next()?.parse::<i64>().ok()?);
    let bell = words.next()? == "1";
    let end = End::read(words.next()?, words.next()?, words.next()?)?;
    let title = clean(words.next().unwrap_or_default(), TITLE);
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(SECOND));
    let info = SessionInfo { id, name, pid, cols, rows, started_at: at(started), activity: at(active), bell, title };
    Some((info, end))
}

/// An argument as tmux takes it for itself: a semicolon at its end would begin another command.
fn word(argument: &str) -> String {
    match argument.strip_suffix(';') {
        Some(start) => format!("{start}\\;"),
        None => argument.to_owned(),
    }
}

fn variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
