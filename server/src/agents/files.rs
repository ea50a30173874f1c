//! An agent's folder below the data folder (`agents/SLUG`, mode 0700): what connects it, and a place to work.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::profiles::{self, Connects};

/// What lies ready for an agent.
pub(super) struct Ready {
    /// The configuration file.
    pub(super) config: PathBuf,
    /// The folder of its own.
    pub(super) work: PathBuf,
}

/// Writes the configuration anew, mode 0600, and makes the folders.
pub(super) fn prepare(agents: &Path, slug: &str, connects: Connects, url: &str, token: &str) -> anyhow::Result<Ready> {
    let home = agents.join(slug);
    let work = home.join("work");
    for folder in [agents, &home, &work] {
        crate::private_folder(folder)?;
    }
    forget(agents, slug);
    let (name, text) = profiles::config(connects, url, token);
    let config = home.join(name);
    write(&config, &text).with_context(|| format!("cannot write {}", config.display()))?;
    Ok(Ready { config, work })
}

/// Removes every configuration of an agent: each held a token. Its work stays.
pub(super) fn forget(agents: &Path, slug: &str) {
    for connects in [Connects::ClaudeFile, Connects::CodexSettings, Connects::GeminiFile, Connects::OpencodeFile] {
        let (name, _) = profiles::config(connects, "", "");
        let file = agents.join(slug).join(name);
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %file.display(), "an old configuration of an agent cannot be removed");
        }
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())
}

/// Where `program` is: as it stands when it is a path, else in the first of `folders` that has it.
pub(super) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let runs = |file: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(file).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(program)).find(|file| runs(file))
}
