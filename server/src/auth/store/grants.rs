//! SQL of grants.

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use super::Result;
use crate::{
    caller::Role,
    clock::Timestamp,
    id::{TokenId, UserId},
};

/// A grant with its token and who consented.
pub(in super::super) struct GrantRow {
    pub(in super::super) token_id: TokenId,
    pub(in super::super) name: String,
    pub(in super::super) agent: Option<String>,
    pub(in super::super) role: Role,
    /// When the newest access token stops working.
    pub(in super::super) access_expires_at: Option<Timestamp>,
    pub(in super::super) client_id: String,
    pub(in super::super) refresh_hash: Vec<u8>,
    pub(in super::super) previous_hash: Option<Vec<u8>>,
    pub(in super::super) salt: Vec<u8>,
    pub(in super::super) refreshed_at: Timestamp,
    pub(in super::super) expires_at: Timestamp,
    /// What the person who consented may do now.
    pub(in super::super) user_role: Role,
}

/// What a grant is known by from now on.
pub(in super::super) struct GrantSecrets {
    pub(in super::super) refresh_hash: [u8; 32],
    pub(in super::super) previous_hash: Option<[u8; 32]>,
    pub(in super::super) salt: [u8; 32],
    pub(in super::super) refreshed_at: Timestamp,
    pub(in super::super) expires_at: Timestamp,
}

pub(in super::super) async fn add_grant(
    db: impl SqliteExecutor<'_>,
    (token, user): (TokenId, UserId),
    client_id: &str,
    family_hash: [u8; 32],
    secrets: &GrantSecrets,
) -> Result<SqliteQueryResult> {
    let (family, refresh, salt) = (family_hash.as_slice(), secrets.refresh_hash.as_slice(), secrets.salt.as_slice());
    sqlx::query!(
        "insert into oauth_grants
             (token_id, user_id, client_id, family_hash, refresh_hash, salt, refreshed_at, expires_at)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
        token,
        user,
        client_id,
        family,
        refresh,
        salt,
        secrets.refreshed_at,
        secrets.expires_at,
    )
    .execute(db)
    .await
}

/// The grant that refresh tokens with this family belong to.
pub(in super::super) async fn grant_by_family(
    db: impl SqliteExecutor<'_>,
    family_hash: [u8; 32],
) -> Result<Option<GrantRow>> {
    let family = family_hash.as_slice();
    sqlx::query_as!(
        GrantRow,
        r#"select t.id as "token_id!: TokenId", t.name, t.agent, t.role as "role: Role",
                  t.expires_at as "access_expires_at: Timestamp", g.client_id, g.refresh_hash, g.previous_hash, g.salt,
                  g.refreshed_at as "refreshed_at: Timestamp", g.expires_at as "expires_at: Timestamp",
                  u.role as "user_role: Role"
           from oauth_grants g join tokens t on t.id = g.token_id join users u on u.id = g.user_id
           where g.family_hash = ?"#,
        family,
    )
    .fetch_optional(db)
    .await
}

/// The grant whose newest access token this is.
pub(in super::super) async fn grant_by_access(
    db: impl SqliteExecutor<'_>,
    secret_hash: [u8; 32],
) -> Result<Option<GrantRow>> {
    let hash = secret_hash.as_slice();
    sqlx::query_as!(
        GrantRow,
        r#"select t.id as "token_id!: TokenId", t.name, t.agent, t.role as "role: Role",
                  t.expires_at as "access_expires_at: Timestamp", g.client_id, g.refresh_hash, g.previous_hash, g.salt,
                  g.refreshed_at as "refreshed_at: Timestamp", g.expires_at as "expires_at: Timestamp",
                  u.role as "user_role: Role"
           from oauth_grants g join tokens t on t.id = g.token_id join users u on u.id = g.user_id
           where t.secret_hash = ?"#,
        hash,
    )
    .fetch_optional(db)
    .await
}

pub(in super::super) async fn set_grant(
    db: impl SqliteExecutor<'_>,
    token: TokenId,
    secrets: &GrantSecrets,
) -> Result<SqliteQueryResult> {
    let (refresh, salt) = (secrets.refresh_hash.as_slice(), secrets.salt.as_slice());
    let previous = secrets.previous_hash.as_ref().map(<[u8; 32]>::as_slice);
    sqlx::query!(
        "update oauth_grants set refresh_hash = ?, previous_hash = ?, salt = ?, refreshed_at = ?, expires_at = ?
         where token_id = ?",
        refresh,
        previous,
        salt,
        secrets.refreshed_at,
        secrets.expires_at,
        token,
    )
    .execute(db)
    .await
}

/// Gives a token another secret.
pub(in super::super) async fn set_token_secret(
    db: impl SqliteExecutor<'_>,
    id: TokenId,
    secret_hash: [u8; 32],
    prefix: &str,
    expires_at: Timestamp,
) -> Result<SqliteQueryResult> {
    let hash = secret_hash.as_slice();
    sqlx::query!(
        "update tokens set secret_hash = ?, prefix = ?, expires_at = ? where id = ?",
        hash,
        prefix,
        expires_at,
        id,
    )
    .execute(db)
    .await
}

/// Whether there is a token with this id that has not expired.
pub(in super::super) async fn token_lives(db: impl SqliteExecutor<'_>, id: TokenId, now: Timestamp) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (
               select 1 from tokens where id = ? and (expires_at is null or expires_at > ?)
           ) as "found!: bool""#,
        id,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(found)
}
