//! An agent's folder below the data folder of its machine (`agents/SLUG`, mode 0700): what connects it, and a place to work.

use std::path::{Path, PathBuf};

use super::profiles::{self, Connects};
use crate::terminals::Belongings;

/// The folder to work in, below the agent's own.
const WORK: &str = "work";

/// What lies ready for an agent once its session is started.
pub(super) struct Ready {
    /// What its machine writes.
    pub(super) belongings: Belongings,
    /// The configuration file.
    pub(super) config: PathBuf,
    /// The folder of its own.
    pub(super) work: PathBuf,
}

/// For a machine whose data folder is `data`.
pub(super) fn ready(data: &Path, slug: &str, connects: Connects, url: &str, token: &str) -> Ready {
    let (name, text) = profiles::config(connects, url, token);
    let home = data.join(folder(slug));
    let (config, work) = (home.join(name), home.join(WORK));
    let files = vec![(name.to_owned(), text)];
    Ready { belongings: Belongings { files, work: Some(WORK.to_owned()), ..stale(slug) }, config, work }
}

/// Every configuration that an agent may have been given: each held a token. Its work is none of it.
pub(super) fn stale(slug: &str) -> Belongings {
    let all = [Connects::ClaudeFile, Connects::CodexSettings, Connects::GeminiFile, Connects::OpencodeFile];
    let old = all.map(|connects| profiles::config(connects, "", "").0.to_owned()).to_vec();
    Belongings { folder: folder(slug), old, ..Belongings::default() }
}

fn folder(slug: &str) -> PathBuf {
    Path::new("agents").join(slug)
}
