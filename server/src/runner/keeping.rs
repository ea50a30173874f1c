//! What a runner keeps in its data folder: its key with the hub that it is for, a lock, and how its link is.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A machine's key, and whom it is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// The hub's address.
    pub(super) hub: String,
    /// The secret itself.
    pub(super) key: String,
    /// SHA-256 of the one-time secret that it was got for: given once more, that is no reason to join again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) joined_with: Option<String>,
}

/// A data folder that this runner has for itself.
pub(super) struct Keeping {
    folder: PathBuf,
    /// Held until the process ends: two runners on one folder would hold the same sessions.
    _lock: File,
}

impl Keeping {
    /// Makes the folder if it is not there, and takes it.
    pub(super) fn take(folder: &Path) -> anyhow::Result<Self> {
        crate::private_folder(folder)?;
        let path = folder.join("runner.lock");
        let shown = path.display();
        let mut lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
                "another runner has the data folder {}; end it, or choose another folder with --data",
                folder.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {shown}"));
            }
        }
        // For scripts that end this runner.
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id()).with_context(|| format!("cannot write {shown}"))?;
        let keeping = Self { folder: folder.to_owned(), _lock: lock };
        keeping.say("starting");
        Ok(keeping)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key, if this machine has joined.
    pub(super) fn key(&self) -> anyhow::Result<Option<Key>> {
        let path = self.folder.join("key");
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| {
                format!("{} is damaged; remove it, and run the install line again (page Machines)", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps the key, readable by its owner only.
    pub(super) fn keep(&self, key: &Key) -> anyhow::Result<()> {
        let path = self.folder.join("key");
        self.write("key", &serde_json::to_string(key)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Leaves a line for scripts and people: how the link is. That it cannot be written is no reason to end.
    pub(super) fn say(&self, state: &str) {
        if let Err(error) = self.write("link", &format!("{state}\n")) {
            tracing::warn!(%error, "the file `link` cannot be written");
        }
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        let partial = self.folder.join(format!("{name}.partial"));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_kept_for_its_owner_alone_and_a_folder_for_one_runner() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("runner");
        let keeping = Keeping::take(&data)?;
        assert!(keeping.key()?.is_none());
        let key = Key { hub: "https://hub.example.org".into(), key: "cmr_1".into(), joined_with: None };
        keeping.keep(&key)?;
        assert!(keeping.key()?.is_some_and(|kept| kept == key));
        assert_eq!(std::fs::metadata(data.join("key"))?.permissions().mode() & 0o777, 0o600);
        assert!(Keeping::take(&data).is_err_and(|error| error.to_string().contains("another runner")));
        drop(keeping);
        assert!(Keeping::take(&data)?.key()?.is_some());
        Ok(())
    }
}
