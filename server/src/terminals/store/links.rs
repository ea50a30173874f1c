//! SQL of share links.

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use super::Result;
use crate::{clock::Timestamp, id::LinkId};

/// A link as stored, without its secret.
#[derive(Clone, Debug)]
pub(in super::super) struct LinkRow {
    pub(in super::super) id: LinkId,
    pub(in super::super) terminal: String,
    pub(in super::super) created_by: String,
    pub(in super::super) created_at: Timestamp,
    pub(in super::super) expires_at: Timestamp,
}

pub(in super::super) async fn add(
    db: impl SqliteExecutor<'_>,
    link: &LinkRow,
    secret_hash: [u8; 32],
) -> Result<SqliteQueryResult> {
    let secret_hash = secret_hash.as_slice();
    sqlx::query!(
        "insert into terminal_links (id, terminal, secret_hash, created_by, created_at, expires_at)
         values (?, ?, ?, ?, ?, ?)",
        link.id,
        link.terminal,
        secret_hash,
        link.created_by,
        link.created_at,
        link.expires_at,
    )
    .execute(db)
    .await
}

pub(in super::super) async fn by_secret(
    db: impl SqliteExecutor<'_>,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<LinkRow>> {
    let secret_hash = secret_hash.as_slice();
    sqlx::query_as!(
        LinkRow,
        r#"select id as "id!: LinkId", terminal, created_by, created_at as "created_at: Timestamp",
                  expires_at as "expires_at: Timestamp"
           from terminal_links where secret_hash = ? and expires_at > ?"#,
        secret_hash,
        now,
    )
    .fetch_optional(db)
    .await
}

pub(in super::super) async fn by_id(
    db: impl SqliteExecutor<'_>,
    id: LinkId,
    now: Timestamp,
) -> Result<Option<LinkRow>> {
    sqlx::query_as!(
        LinkRow,
        r#"select id as "id!: LinkId", terminal, created_by, created_at as "created_at: Timestamp",
                  expires_at as "expires_at: Timestamp"
           from terminal_links where id = ? and expires_at > ?"#,
        id,
        now,
    )
    .fetch_optional(db)
    .await
}

/// The valid ones of one terminal, newest first.
pub(in super::super) async fn of_terminal(
    db: impl SqliteExecutor<'_>,
    terminal: &str,
    now: Timestamp,
) -> Result<Vec<LinkRow>> {
    sqlx::query_as!(
        LinkRow,
        r#"select id as "id!: LinkId", terminal, created_by, created_at as "created_at: Timestamp",
                  expires_at as "expires_at: Timestamp"
           from terminal_links where terminal = ? and expires_at > ? order by created_at desc, id desc"#,
        terminal,
        now,
    )
    .fetch_all(db)
    .await
}

pub(in super::super) async fn delete(db: impl SqliteExecutor<'_>, id: LinkId) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from terminal_links where id = ?", id).execute(db).await
}

pub(in super::super) async fn delete_expired(db: impl SqliteExecutor<'_>, now: Timestamp) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from terminal_links where expires_at <= ?", now).execute(db).await
}
