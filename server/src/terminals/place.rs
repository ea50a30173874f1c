//! Where sessions are kept: by tmux on this machine, or by a runner on another.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{
    Began, Belongings, History, LastWords, Launch,
    far::Machine,
    policy::clean,
    tmux::{SessionInfo, Tmux},
};
use crate::{
    clock::Timestamp,
    config,
    error::{Error, Failure},
};

/// Lines of history that are looked through; tmux keeps 50,000.
const LINES: usize = 50_000;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) enum Place {
    /// On this machine.
    Here(Tmux),
    /// On another machine.
    There(Machine),
}

impl Place {
    /// The sessions that run.
    pub(super) async fn list(&self) -> Result<Vec<SessionInfo>, Error> {
        match self {
            Self::Here(tmux) => tmux.list().await,
            Self::There(machine) => Ok(machine.look()?.unwrap_or_default()),
        }
    }

    /// The same; `None` where tmux does not run at all, which says nothing about how its sessions ended.
    pub(super) async fn look(&self) -> Result<Option<Vec<SessionInfo>>, Error> {
        match self {
            Self::Here(tmux) => tmux.look().await,
            Self::There(machine) => machine.look(),
        }
    }

    /// One session, if it runs.
    pub(super) async fn find(&self, name: &str) -> Result<Option<SessionInfo>, Error> {
        Ok(self.list().await?.into_iter().find(|session| session.name == name))
    }

    /// Starts a session.
    pub(super) async fn start(&self, launch: &Launch) -> Result<Began, Error> {
        match self {
            Self::Here(tmux) => start(tmux, launch).await,
            Self::There(machine) => machine.start(launch).await,
        }
    }

    /// Ends a session and its programs.
    pub(super) async fn stop(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Here(tmux) => tmux.stop(name).await,
            Self::There(machine) => machine.stop(name).await,
        }
    }

    /// Gives a session another size.
    pub(super) async fn resize(&self, name: &str, cols: u16, rows: u16) -> Result<(), Error> {
        match self {
            Self::Here(tmux) => tmux.resize(name, cols, rows).await,
            Self::There(machine) => machine.resize(name, cols, rows).await,
        }
    }

    /// The newest `lines` lines of a session, oldest first, and how many there are; see [`History`].
    pub(super) async fn history(&self, name: &str, lines: usize) -> Result<History, Error> {
        match self {
            Self::Here(tmux) => {
                let (lines, total) = tmux.history(name, lines).await?;
                Ok(History { lines, total })
            }
            Self::There(machine) => machine.history(name, lines).await,
        }
    }

    /// The newest lines that hold `text` (lower case), and how far above the last one each is.
    pub(super) async fn find_lines(&self, name: &str, text: &str, most: usize) -> Result<Vec<(usize, String)>, Error> {
        match self {
            Self::Here(tmux) => {
                let (lines, _) = tmux.history(name, LINES).await?;
                let text = text.to_owned();
                let look = tokio::task::spawn_blocking(move || {
                    let lines = lines.into_iter().rev().enumerate();
                    lines.filter(|(_, line)| line.to_lowercase().contains(&text)).take(most).collect()
                });
                Ok(look.await.context("a blocking job broke")?)
            }
            Self::There(machine) => machine.find_lines(name, text, most).await,
        }
    }

    /// The lines on a session's screen.
    pub(super) async fn screen(&self, name: &str) -> Result<Vec<String>, Error> {
        match self {
            Self::Here(tmux) => tmux.screen(name).await,
            Self::There(machine) => machine.screen(name).await,
        }
    }

    /// What a session said last whose program failed.
    pub(super) async fn last_words(&self, name: &str) -> Result<Option<LastWords>, Error> {
        match self {
            Self::Here(tmux) => Ok(tmux.last_words(name)),
            Self::There(machine) => machine.last_words(name).await,
        }
    }

    /// Removes what a session was given.
    pub(super) async fn forget(&self, belongings: &Belongings) -> Result<(), Error> {
        match self {
            Self::Here(tmux) => Ok(belongings.remove(tmux.data())?),
            Self::There(machine) => machine.forget(belongings).await,
        }
    }

    /// Since when it is not connected; `None`: it is, or is this machine.
    pub(super) fn away(&self) -> Option<Timestamp> {
        match self {
            Self::Here(_) => None,
            Self::There(machine) => machine.away(),
        }
    }
}

/// Starts a session here, or a shell with words about what is missing.
async fn start(tmux: &Tmux, launch: &Launch) -> Result<Began, Error> {
    let (mut launch, mut began) = (launch.clone(), Began::AsAsked);
    if let Some(belongings) = &launch.belongings {
        belongings.lay(tmux.data())?;
    }
    if launch.folder.as_os_str().is_empty() {
        launch.folder = config::home().unwrap_or_else(|| PathBuf::from("/"));
    }
    if let (Some(program), Some(missing)) = (launch.argv.first_mut(), &launch.missing) {
        let path = launch.environment.iter().find(|(name, _)| name == "PATH");
        let own = path.map(|(_, folders)| std::env::split_paths(folders).collect());
        match config::find_program(program, &own.unwrap_or_else(config::programs)) {
            Some(found) => *program = found.display().to_string(),
            None => {
                launch.banner = Some(missing.clone());
                launch.argv.clear();
                began = Began::Shell;
            }
        }
    } else if let Some(program) = launch.argv.first() {
        // As a path it is meant from where it starts.
        let place = match program.contains('/') {
            true => launch.folder.join(program).display().to_string(),
            false => program.clone(),
        };
        if launch.folder.is_dir() && config::find_program(&place, &config::programs()).is_none() {
            let message = format!("the program {} is not there; install it, or choose another", clean(program, 200));
            return Err(Failure::invalid(message).into());
        }
    }
    tmux.start(&launch).await?;
    Ok(began)
}
