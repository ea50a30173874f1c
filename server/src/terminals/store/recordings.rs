//! SQL of recordings.

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use super::Result;
use crate::{clock::Timestamp, id::RecordingId, terminals::RecordingView};

/// A recording that begins.
pub(in super::super) struct NewRecording<'a> {
    pub(in super::super) id: RecordingId,
    pub(in super::super) terminal: &'a str,
    pub(in super::super) started_at: Timestamp,
    pub(in super::super) cols: u16,
    pub(in super::super) rows: u16,
}

pub(in super::super) async fn add(
    db: impl SqliteExecutor<'_>,
    new: &NewRecording<'_>,
    bytes: i64,
) -> Result<SqliteQueryResult> {
    sqlx::query!(
        "insert into recordings (id, terminal, started_at, bytes, cols, rows) values (?, ?, ?, ?, ?, ?)",
        new.id,
        new.terminal,
        new.started_at,
        bytes,
        new.cols,
        new.rows,
    )
    .execute(db)
    .await
}

pub(in super::super) async fn end(
    db: impl SqliteExecutor<'_>,
    id: RecordingId,
    ended_at: Timestamp,
    bytes: i64,
) -> Result<SqliteQueryResult> {
    sqlx::query!("update recordings set ended_at = max(started_at, ?), bytes = ? where id = ?", ended_at, bytes, id)
        .execute(db)
        .await
}

pub(in super::super) async fn delete(db: impl SqliteExecutor<'_>, id: RecordingId) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from recordings where id = ?", id).execute(db).await
}

pub(in super::super) async fn get(db: impl SqliteExecutor<'_>, id: RecordingId) -> Result<Option<RecordingView>> {
    sqlx::query_as!(
        RecordingView,
        r#"select id as "id!: RecordingId", terminal, started_at as "started_at: Timestamp",
                  ended_at as "ended_at: Timestamp", bytes
           from recordings where id = ?"#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// Of one terminal, newest first.
pub(in super::super) async fn of_terminal(db: impl SqliteExecutor<'_>, terminal: &str) -> Result<Vec<RecordingView>> {
    sqlx::query_as!(
        RecordingView,
        r#"select id as "id!: RecordingId", terminal, started_at as "started_at: Timestamp",
                  ended_at as "ended_at: Timestamp", bytes
           from recordings where terminal = ? order by started_at desc, id desc"#,
        terminal,
    )
    .fetch_all(db)
    .await
}

/// All of them, oldest first.
pub(in super::super) async fn all(db: impl SqliteExecutor<'_>) -> Result<Vec<RecordingView>> {
    sqlx::query_as!(
        RecordingView,
        r#"select id as "id!: RecordingId", terminal, started_at as "started_at: Timestamp",
                  ended_at as "ended_at: Timestamp", bytes
           from recordings order by started_at, id"#,
    )
    .fetch_all(db)
    .await
}
