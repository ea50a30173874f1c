//! One file per command.

pub(crate) mod mcp;
pub(crate) mod runner;
pub(crate) mod serve;
pub(crate) mod setup;
mod stopping;
pub(crate) mod terminal;
pub(crate) mod token;
pub(crate) mod user;

use std::path::Path;

use anyhow::Context as _;
use server::{clock::Clock, config, db::Db, error::Failure, events::Events, secrets::Secrets};

use crate::cli::Data;

/// The floor, opened beside a hub that may be running: no loops, no dispatcher.
struct Floor {
    db: Db,
    events: Events,
    secrets: Secrets,
    clock: Clock,
}

/// The floor of a hub that is there: a folder that was mistyped must not become one.
async fn opened(data: Data) -> anyhow::Result<Floor> {
    let folder = data.data.clone().unwrap_or_else(config::default_data);
    if !folder.join(server::DATABASE).is_file() {
        let message = format!("there is no hub in {}; {}", folder.display(), remedy(&folder));
        return Err(Failure::invalid(message).into());
    }
    floor(data).await
}

/// What to do where no hub is, or none runs.
fn remedy(folder: &Path) -> String {
    let data = match *folder == config::default_data() {
        true => String::new(),
        false => format!(" --data {}", folder.display()),
    };
    format!("start one with `central-mcp serve{data}`, or name its folder with --data")
}

async fn floor(data: Data) -> anyhow::Result<Floor> {
    let folder = data.data.unwrap_or_else(config::default_data);
    server::private_folder(&folder)?;
    let key = config::secret_key(&folder, data.secret_key)?;
    let secrets = server::open_secrets(&folder, key.as_deref())?;
    let db = Db::open(&folder.join(server::DATABASE)).await?;
    let clock = Clock::default();
    let events = Events::open(db.clone(), clock.clone()).await.context("cannot read the audit log")?;
    Ok(Floor { db, events, secrets, clock })
}

/// A room's refusal keeps its type, so that the exit code can tell it from a fault.
fn told(error: server::error::Error) -> anyhow::Error {
    match error {
        server::error::Error::Refused(failure) => failure.into(),
        server::error::Error::Inside(cause) => cause,
    }
}

#[expect(clippy::print_stdout, reason = "what a command answers goes to standard output")]
fn print(line: &str) {
    println!("{line}");
}
