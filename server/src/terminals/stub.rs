//! A stand-in until the real room is merged.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    caller::Actor,
    clock::Timestamp,
    error::{Error, Failure, FailureKind},
};

/// A session to start.
pub struct StartSession {
    /// Its name.
    pub name: String,
    /// Program and arguments; empty: the login shell.
    pub argv: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The folder.
    pub folder: PathBuf,
    /// What is shown first.
    pub banner: Option<String>,
    /// The agent whose it is.
    pub agent: Option<String>,
}

/// A session that runs.
pub struct LiveSession {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The last output.
    pub activity: Timestamp,
    /// Whether it rang.
    pub bell: bool,
}

/// The room.
#[derive(Clone)]
pub struct Terminals(PathBuf);

impl Terminals {
    /// Opens it.
    pub fn open_stub(data: &Path) -> Self {
        Self(data.join("tmux.sock"))
    }

    fn tmux(&self, args: &[&str]) -> std::process::Output {
        Command::new("tmux").arg("-S").arg(&self.0).args(args).output().expect("tmux")
    }

    /// Starts.
    pub async fn start_session(&self, _: &Actor, start: StartSession) -> Result<(), Error> {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.0).args([
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-s",
            &start.name,
            "-x",
            "100",
            "-y",
            "30",
            "-c",
        ]);
        command.arg(&start.folder);
        for (name, value) in &start.environment {
            command.arg("-e").arg(format!("{name}={value}"));
        }
        command.arg("--");
        match (&start.argv[..], &start.banner) {
            ([], None) => command.arg("sh"),
            ([], Some(banner)) => command.args(["sh", "-c", "printf '%s\\n' \"$1\"; exec sh", "sh", banner]),
            (argv, _) => command.args(argv),
        };
        let done = command.output().map_err(anyhow::Error::from)?;
        if !done.status.success() {
            return Err(Failure::new(FailureKind::Conflict, String::from_utf8_lossy(&done.stderr).into_owned()).into());
        }
        Ok(())
    }

    /// Ends.
    pub async fn stop_session(&self, _: &Actor, name: &str) -> Result<(), Error> {
        self.tmux(&["kill-session", "-t", &format!("={name}")]);
        Ok(())
    }

    /// What runs.
    pub async fn live(&self) -> Result<Vec<LiveSession>, Error> {
        let out =
            self.tmux(&["list-sessions", "-F", "#{session_name} #{pane_pid} #{window_activity} #{window_bell_flag}"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Ok(text
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some(LiveSession {
                    name: words.next()?.to_owned(),
                    pid: words.next()?.parse().ok()?,
                    activity: Timestamp::from_millis(words.next()?.parse::<i64>().ok()? * 1000),
                    bell: words.next()? == "1",
                })
            })
            .collect())
    }

    /// The visible lines.
    pub async fn screen_text(&self, name: &str) -> Result<Vec<String>, Error> {
        let out = self.tmux(&["capture-pane", "-p", "-t", &format!("={name}:")]);
        Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
    }
}
