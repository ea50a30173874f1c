//! The room's SQL, one function per statement.

use sqlx::{SqliteExecutor, sqlite::SqliteQueryResult};

use crate::{
    caller::Role,
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
};

use super::{SessionView, TokenView, UserView, rules::Failures};

mod grants;
pub(super) use grants::{
    GrantRow, GrantSecrets, add_grant, grant_by_access, grant_by_family, set_grant, set_token_secret, token_lives,
};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// A user as stored.
pub(super) struct UserRow {
    pub(super) id: UserId,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) password_hash: String,
    pub(super) created_at: Timestamp,
}

/// A valid session with its user.
pub(super) struct SessionRow {
    pub(super) id: SessionId,
    pub(super) user_id: UserId,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) last_seen_at: Timestamp,
}

/// A session to be written.
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) user_id: UserId,
    pub(super) secret_hash: [u8; 32],
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) address: String,
    pub(super) user_agent: String,
}

/// A valid token.
pub(super) struct TokenRow {
    pub(super) id: TokenId,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) agent: Option<String>,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) secret_hash: Vec<u8>,
}

/// Most tokens that one statement looks for.
pub(super) const TOKENS_AT_ONCE: usize = 16;

/// Whose a session is.
pub(super) struct SessionOwner {
    pub(super) user_id: UserId,
    pub(super) name: String,
}

/// Whose a token is.
pub(super) struct TokenOwner {
    pub(super) created_by: String,
    pub(super) name: String,
}

pub(super) async fn any_user(db: impl SqliteExecutor<'_>) -> Result<bool> {
    let found = sqlx::query_scalar!(r#"select exists (select 1 from users) as "found!: bool""#).fetch_one(db).await?;
    Ok(found)
}

pub(super) async fn users(db: impl SqliteExecutor<'_>) -> Result<Vec<UserView>> {
    sqlx::query_as!(
        UserView,
        r#"select id as "id!: UserId", name, role as "role: Role", created_at as "created_at: Timestamp"
           from users order by name"#,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn user_by_name(db: impl SqliteExecutor<'_>, name: &str) -> Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id!: UserId", name, role as "role: Role", password_hash, created_at as "created_at: Timestamp"
           from users where name = ?"#,
        name,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn user_by_id(db: impl SqliteExecutor<'_>, id: UserId) -> Result<Option<UserRow>> {
    sqlx::query_as!(
        UserRow,
        r#"select id as "id!: UserId", name, role as "role: Role", password_hash, created_at as "created_at: Timestamp"
           from users where id = ?"#,
        id,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn owners(db: impl SqliteExecutor<'_>) -> Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "n!: i64" from users where role = 'owner'"#).fetch_one(db).await
}

pub(super) async fn add_user(db: impl SqliteExecutor<'_>, user: &UserRow) -> Result<SqliteQueryResult> {
    sqlx::query!(
        "insert into users (id, name, role, password_hash, created_at) values (?, ?, ?, ?, ?)",
        user.id,
        user.name,
        user.role,
        user.password_hash,
        user.created_at,
    )
    .execute(db)
    .await
}

pub(super) async fn set_password(db: impl SqliteExecutor<'_>, id: UserId, hash: &str) -> Result<SqliteQueryResult> {
    sqlx::query!("update users set password_hash = ? where id = ?", hash, id).execute(db).await
}

pub(super) async fn delete_user(db: impl SqliteExecutor<'_>, id: UserId) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from users where id = ?", id).execute(db).await
}

pub(super) async fn add_session(db: impl SqliteExecutor<'_>, session: &NewSession) -> Result<SqliteQueryResult> {
    let secret_hash = session.secret_hash.as_slice();
    sqlx::query!(
        "insert into sessions (id, user_id, secret_hash, created_at, last_seen_at, expires_at, address, user_agent)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
        session.id,
        session.user_id,
        secret_hash,
        session.created_at,
        session.created_at,
        session.expires_at,
        session.address,
        session.user_agent,
    )
    .execute(db)
    .await
}

pub(super) async fn session_by_secret(
    db: impl SqliteExecutor<'_>,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<SessionRow>> {
    let hash = hash.as_slice();
    sqlx::query_as!(
        SessionRow,
        r#"select s.id as "id!: SessionId", u.id as "user_id!: UserId", u.name, u.role as "role: Role",
                  s.last_seen_at as "last_seen_at: Timestamp"
           from sessions s join users u on u.id = s.user_id
           where s.secret_hash = ? and s.expires_at > ?"#,
        hash,
        now,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn touch_session(
    db: impl SqliteExecutor<'_>,
    id: SessionId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<SqliteQueryResult> {
    sqlx::query!("update sessions set last_seen_at = ?, expires_at = ? where id = ?", now, expires_at, id)
        .execute(db)
        .await
}

/// The sessions of a user that have not expired, newest first. `current` is the one asking.
pub(super) async fn sessions(
    db: impl SqliteExecutor<'_>,
    user: UserId,
    current: Option<SessionId>,
    now: Timestamp,
) -> Result<Vec<SessionView>> {
    sqlx::query_as!(
        SessionView,
        r#"select id as "id!: SessionId", created_at as "created_at: Timestamp", last_seen_at as "last_seen_at: Timestamp",
                  expires_at as "expires_at: Timestamp", address, user_agent, id is ? as "current!: bool"
           from sessions where user_id = ? and expires_at > ? order by created_at desc, id desc"#,
        current,
        user,
        now,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn session_owner(db: impl SqliteExecutor<'_>, id: SessionId) -> Result<Option<SessionOwner>> {
    sqlx::query_as!(
        SessionOwner,
        r#"select u.id as "user_id!: UserId", u.name from sessions s join users u on u.id = s.user_id where s.id = ?"#,
        id,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn delete_session(db: impl SqliteExecutor<'_>, id: SessionId) -> Result<u64> {
    Ok(sqlx::query!("delete from sessions where id = ?", id).execute(db).await?.rows_affected())
}

/// Ends a user's sessions except `keep`.
pub(super) async fn delete_sessions_of(
    db: impl SqliteExecutor<'_>,
    user: UserId,
    keep: Option<SessionId>,
) -> Result<u64> {
    let done = sqlx::query!("delete from sessions where user_id = ? and id is not ?", user, keep).execute(db).await?;
    Ok(done.rows_affected())
}

pub(super) async fn delete_expired_sessions(db: impl SqliteExecutor<'_>, now: Timestamp) -> Result<u64> {
    Ok(sqlx::query!("delete from sessions where expires_at <= ?", now).execute(db).await?.rows_affected())
}

pub(super) async fn add_token(
    db: impl SqliteExecutor<'_>,
    token: &TokenView,
    hash: [u8; 32],
    created_by: &str,
) -> Result<SqliteQueryResult> {
    let hash = hash.as_slice();
    sqlx::query!(
        "insert into tokens (id, name, role, agent, prefix, secret_hash, created_by, created_at, expires_at)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        token.id,
        token.name,
        token.role,
        token.agent,
        token.prefix,
        hash,
        created_by,
        token.created_at,
        token.expires_at,
    )
    .execute(db)
    .await
}

/// The valid tokens of `hashes`, at most [`TOKENS_AT_ONCE`] of them: one statement, whose other places are filled with the
/// first.
pub(super) async fn tokens_by_secrets(
    db: impl SqliteExecutor<'_>,
    hashes: &[[u8; 32]],
    now: Timestamp,
) -> Result<Vec<TokenRow>> {
    let all: [&[u8]; TOKENS_AT_ONCE] =
        std::array::from_fn(|n| hashes.get(n).or(hashes.first()).map_or(&[][..], |hash| hash.as_slice()));
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = all;
    sqlx::query_as!(
        TokenRow,
        r#"select id as "id!: TokenId", name, role as "role: Role", agent, last_used_at as "last_used_at: Timestamp",
                  secret_hash
           from tokens where secret_hash in (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               and (expires_at is null or expires_at > ?)"#,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        j,
        k,
        l,
        m,
        n,
        o,
        p,
        now,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn touch_token(db: impl SqliteExecutor<'_>, id: TokenId, now: Timestamp) -> Result<SqliteQueryResult> {
    sqlx::query!("update tokens set last_used_at = ? where id = ?", now, id).execute(db).await
}

/// Tokens, newest first: all of them, or with `created_by` those of one maker. A grant expires as a whole: its secret of
/// the hour is the client's concern.
pub(super) async fn tokens(db: impl SqliteExecutor<'_>, created_by: Option<&str>) -> Result<Vec<TokenView>> {
    sqlx::query_as!(
        TokenView,
        r#"select t.id as "id!: TokenId", t.name, t.role as "role: Role", t.agent, t.prefix,
                  t.created_at as "created_at: Timestamp", t.last_used_at as "last_used_at: Timestamp",
                  coalesce(g.expires_at, t.expires_at) as "expires_at: Timestamp"
           from tokens t left join oauth_grants g on g.token_id = t.id
           where ?1 is null or t.created_by = ?1 order by t.created_at desc, t.id desc"#,
        created_by,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn token_owner(db: impl SqliteExecutor<'_>, id: TokenId) -> Result<Option<TokenOwner>> {
    sqlx::query_as!(TokenOwner, "select created_by, name from tokens where id = ?", id).fetch_optional(db).await
}

pub(super) async fn delete_token(db: impl SqliteExecutor<'_>, id: TokenId) -> Result<u64> {
    Ok(sqlx::query!("delete from tokens where id = ?", id).execute(db).await?.rows_affected())
}

/// Revokes what a maker made, and what those tokens made.
pub(super) async fn delete_tokens_of(db: impl SqliteExecutor<'_>, created_by: &str) -> Result<u64> {
    let done = sqlx::query!(
        "with recursive made (id) as (
             select id from tokens where created_by = ?
             union
             select tokens.id from tokens join made on tokens.created_by = 'token:' || made.id
         )
         delete from tokens where id in (select id from made)",
        created_by,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn delete_expired_tokens(db: impl SqliteExecutor<'_>, cutoff: Timestamp) -> Result<u64> {
    Ok(sqlx::query!("delete from tokens where expires_at <= ?", cutoff).execute(db).await?.rows_affected())
}

pub(super) async fn failures(db: impl SqliteExecutor<'_>, subject: &str) -> Result<Option<Failures>> {
    sqlx::query_as!(
        Failures,
        r#"select count, first_at as "first_at: Timestamp", blocked_until as "blocked_until: Timestamp"
           from login_failures where subject = ?"#,
        subject,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn set_failures(
    db: impl SqliteExecutor<'_>,
    subject: &str,
    failures: Failures,
) -> Result<SqliteQueryResult> {
    sqlx::query!(
        "insert into login_failures (subject, count, first_at, blocked_until) values (?, ?, ?, ?)
         on conflict (subject) do update set
             count = excluded.count, first_at = excluded.first_at, blocked_until = excluded.blocked_until",
        subject,
        failures.count,
        failures.first_at,
        failures.blocked_until,
    )
    .execute(db)
    .await
}

pub(super) async fn clear_failures(db: impl SqliteExecutor<'_>, subject: &str) -> Result<SqliteQueryResult> {
    sqlx::query!("delete from login_failures where subject = ?", subject).execute(db).await
}

pub(super) async fn delete_old_failures(db: impl SqliteExecutor<'_>, cutoff: Timestamp) -> Result<u64> {
    let done = sqlx::query!("delete from login_failures where first_at <= ?1 and blocked_until <= ?1", cutoff)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
