//! The room's SQL.

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use crate::clock::Timestamp;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A machine as stored, without its secrets.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) join_expires_at: Option<Timestamp>,
    pub(super) joined_at: Option<Timestamp>,
    pub(super) seen_at: Option<Timestamp>,
}

pub(super) async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"select name as "name!", join_expires_at as "join_expires_at: Timestamp", joined_at as "joined_at: Timestamp",
                  seen_at as "seen_at: Timestamp"
           from machines order by name"#
    )
    .fetch_all(db)
    .await
}

pub(super) async fn get(db: impl SqliteExecutor<'_>, name: &str) -> Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"select name as "name!", join_expires_at as "join_expires_at: Timestamp", joined_at as "joined_at: Timestamp",
                  seen_at as "seen_at: Timestamp"
           from machines where name = ?"#,
        name
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn count(db: impl SqliteExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "n!: i64" from machines"#).fetch_one(db).await
}

/// Makes a machine that may join, or lets one that is there join once more.
pub(super) async fn invite(
    db: impl SqliteExecutor<'_>,
    name: &str,
    join_hash: [u8; 32],
    expires_at: Timestamp,
    created_by: &str,
    now: Timestamp,
) -> Result<SqliteQueryResult> {
    let join_hash = join_hash.as_slice();
    sqlx::query!(
        "insert into machines (name, join_hash, join_expires_at, created_by, created_at) values (?, ?, ?, ?, ?)
         on conflict (name) do update set join_hash = excluded.join_hash, join_expires_at = excluded.join_expires_at",
        name,
        join_hash,
        expires_at,
        created_by,
        now,
    )
    .execute(db)
    .await
}

/// Uses a one-time secret up: the machine that it lets in has the new key from now on, and no other.
pub(super) async fn join(
    db: impl SqliteExecutor<'_>,
    join_hash: [u8; 32],
    key_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<String>> {
    let (join_hash, key_hash) = (join_hash.as_slice(), key_hash.as_slice());
    sqlx::query_scalar!(
        r#"update machines set key_hash = ?1, join_hash = null, join_expires_at = null, joined_at = ?2
           where join_hash = ?3 and join_expires_at > ?2 returning name as "name!""#,
        key_hash,
        now,
        join_hash,
    )
    .fetch_optional(db)
    .await
}

/// The machine that a one-time secret lets in, while it may be used.
pub(super) async fn of_join(
    db: impl SqliteExecutor<'_>,
    join_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<String>> {
    let join_hash = join_hash.as_slice();
    sqlx::query_scalar!(
        r#"select name as "name!" from machines where join_hash = ? and join_expires_at > ?"#,
        join_hash,
        now
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn of_key(db: impl SqliteExecutor<'_>, key_hash: [u8; 32]) -> Result<Option<String>> {
    let key_hash = key_hash.as_slice();
    sqlx::query_scalar!(r#"select name as "name!" from machines where key_hash = ?"#, key_hash).fetch_optional(db).await
}

/// Writes that a machine is here, unless its key is another's by now.
pub(super) async fn seen(
    db: impl SqliteExecutor<'_>,
    name: &str,
    key_hash: [u8; 32],
    now: Timestamp,
) -> Result<SqliteQueryResult> {
    let key_hash = key_hash.as_slice();
    sqlx::query!("update machines set seen_at = ? where name = ? and key_hash = ?", now, name, key_hash)
        .execute(db)
        .await
}

pub(super) async fn delete(db: impl SqliteExecutor<'_>, name: &str) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from machines where name = ?", name).execute(db).await
}
