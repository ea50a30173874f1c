//! The program that a machine is given: the running one, whatever lies at its path by now.

use std::{
    fs::File,
    io::{self, Read as _},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::ProgramView;
use crate::secrets::hex;

/// The running program's file.
#[derive(Clone, Debug)]
pub struct Program {
    view: ProgramView,
}

impl Program {
    /// Reads the file once, for its checksum.
    pub(super) async fn read() -> anyhow::Result<Self> {
        tokio::task::spawn_blocking(|| checksum().map(|view| Self { view }))
            .await
            .context("the program's checksum was not computed")?
    }

    /// What people and scripts are told of it.
    pub fn view(&self) -> &ProgramView {
        &self.view
    }

    /// The file, from its beginning.
    pub fn open(&self) -> io::Result<File> {
        open()
    }
}

/// On Linux through the process itself, so that a program replaced on disk is still the one that the checksum is of.
fn open() -> io::Result<File> {
    match cfg!(target_os = "linux") {
        true => File::open("/proc/self/exe"),
        false => File::open(std::env::current_exe()?),
    }
}

fn checksum() -> anyhow::Result<ProgramView> {
    let mut file = open().context("the hub's own program cannot be read")?;
    let (mut hash, mut size, mut part) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut part).context("the hub's own program cannot be read")? {
            0 => break,
            n => {
                hash.update(&part[..n]);
                size += n as u64;
            }
        }
    }
    let name = rustix::system::uname();
    let system = format!("{} {}", name.sysname().to_string_lossy(), name.machine().to_string_lossy());
    Ok(ProgramView { sha256: hex(&hash.finalize()), size, system })
}
