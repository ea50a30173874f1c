//! The room's SQL.

pub(super) mod links;
pub(super) mod recordings;

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use crate::clock::Timestamp;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A terminal as stored.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) agent: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) command: String,
    pub(super) folder: String,
    pub(super) cols: u16,
    pub(super) rows: u16,
    pub(super) recorded: bool,
    pub(super) wanted: bool,
}

pub(super) async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"select name as "name!", agent, machine, command, folder, cols as "cols: u16", rows as "rows: u16",
                  recorded as "recorded: bool", wanted as "wanted: bool"
           from terminals order by name"#
    )
    .fetch_all(db)
    .await
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, name: &str) -> Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"select name as "name!", agent, machine, command, folder, cols as "cols: u16", rows as "rows: u16",
                  recorded as "recorded: bool", wanted as "wanted: bool"
           from terminals where name = ?"#,
        name
    )
    .fetch_optional(db)
    .await
}

/// What a terminal is started with.
pub(super) struct Put<'a> {
    pub(super) name: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) machine: Option<&'a str>,
    /// A JSON array.
    pub(super) command: &'a str,
    pub(super) folder: &'a str,
}

/// Writes what a terminal is started with. Its size and whether it is recorded stay as they were.
pub(super) async fn put(db: impl SqliteExecutor<'_>, put: &Put<'_>, now: Timestamp) -> Result<SqliteQueryResult> {
    sqlx::query!(
        "insert into terminals (name, agent, machine, command, folder, created_at) values (?, ?, ?, ?, ?, ?)
         on conflict (name) do update
         set agent = excluded.agent, machine = excluded.machine, command = excluded.command, folder = excluded.folder,
             wanted = 1",
        put.name,
        put.agent,
        put.machine,
        put.command,
        put.folder,
        now
    )
    .execute(db)
    .await
}

pub(super) async fn set_wanted(db: impl SqliteExecutor<'_>, name: &str, wanted: bool) -> Result<SqliteQueryResult> {
    sqlx::query!("update terminals set wanted = ? where name = ?", wanted, name).execute(db).await
}

pub(super) async fn set_recorded(db: impl SqliteExecutor<'_>, name: &str, recorded: bool) -> Result<SqliteQueryResult> {
    sqlx::query!("update terminals set recorded = ? where name = ?", recorded, name).execute(db).await
}

pub(super) async fn set_size(
    db: impl SqliteExecutor<'_>,
    name: &str,
    cols: u16,
    rows: u16,
) -> Result<SqliteQueryResult> {
    sqlx::query!("update terminals set cols = ?, rows = ? where name = ?", cols, rows, name).execute(db).await
}

pub(super) async fn delete(db: impl SqliteExecutor<'_>, name: &str) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from terminals where name = ?", name).execute(db).await
}

/// Deletes the terminals of a machine.
pub(super) async fn delete_on(db: impl SqliteExecutor<'_>, machine: &str) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from terminals where machine = ?", machine).execute(db).await
}
