//! The room's SQL.

use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;

use super::{AgentDraft, Wanted};
use crate::{
    clock::Timestamp,
    db::WriteTx,
    error::Error,
    id::{AgentId, TokenId},
};

/// A variable as stored: plain, or sealed in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredVariable {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<String>,
}

/// An agent as stored. The draft's environment is empty: it is here.
#[derive(Clone, Debug)]
pub(super) struct AgentRow {
    pub(super) id: AgentId,
    pub(super) draft: AgentDraft,
    pub(super) environment: Vec<StoredVariable>,
    pub(super) token_id: Option<TokenId>,
    pub(super) wanted: Wanted,
    /// Why its session does not run, or is not what was asked for.
    pub(super) problem: Option<String>,
    /// Why its session is a plain shell.
    pub(super) stand_in: Option<StandIn>,
    pub(super) created_at: Timestamp,
}

/// Why a shell stands where a program was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(rename_all = "kebab-case")]
pub(super) enum StandIn {
    /// The program is not there.
    NotInstalled,
    /// A setting that it needs is not there.
    NotSetUp,
}

struct Row {
    id: AgentId,
    slug: String,
    name: String,
    role: String,
    profile: String,
    model: String,
    command: String,
    environment: String,
    folder: String,
    machine: Option<String>,
    token_id: Option<TokenId>,
    restart_on_exit: bool,
    wanted: Wanted,
    problem: Option<String>,
    stand_in: Option<StandIn>,
    created_at: Timestamp,
}

impl TryFrom<Row> for AgentRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            draft: AgentDraft {
                slug: row.slug,
                name: row.name,
                role: row.role,
                profile: row.profile,
                model: row.model,
                command: serde_json::from_str(&row.command).map_err(anyhow::Error::from)?,
                environment: Vec::new(),
                folder: row.folder,
                machine: row.machine,
                restart_on_exit: row.restart_on_exit,
            },
            environment: serde_json::from_str(&row.environment).map_err(anyhow::Error::from)?,
            token_id: row.token_id,
            wanted: row.wanted,
            problem: row.problem,
            stand_in: row.stand_in,
            created_at: row.created_at,
        })
    }
}

pub(super) async fn list(db: &SqlitePool) -> Result<Vec<AgentRow>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: AgentId", slug, name, role, profile, model, command, environment, folder, machine,
                  token_id as "token_id: TokenId", restart_on_exit as "restart_on_exit: bool",
                  wanted as "wanted: Wanted", problem, stand_in as "stand_in: StandIn",
                  created_at as "created_at: Timestamp"
           from agents order by slug"#
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(AgentRow::try_from).collect()
}

pub(super) async fn get(db: &SqlitePool, id: AgentId) -> Result<Option<AgentRow>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: AgentId", slug, name, role, profile, model, command, environment, folder, machine,
                  token_id as "token_id: TokenId", restart_on_exit as "restart_on_exit: bool",
                  wanted as "wanted: Wanted", problem, stand_in as "stand_in: StandIn",
                  created_at as "created_at: Timestamp"
           from agents where id = ?"#,
        id
    )
    .fetch_optional(db)
    .await?;
    row.map(AgentRow::try_from).transpose()
}

pub(super) async fn slug_taken(tx: &mut WriteTx, slug: &str) -> Result<bool, Error> {
    let found = sqlx::query_scalar!(r#"select count(*) as "n!: i64" from agents where slug = ?"#, slug)
        .fetch_one(&mut **tx)
        .await?;
    Ok(found > 0)
}

pub(super) async fn insert(tx: &mut WriteTx, row: &AgentRow) -> Result<(), Error> {
    let (command, environment) = texts(row)?;
    let draft = &row.draft;
    sqlx::query!(
        "insert into agents (id, slug, name, role, profile, model, command, environment, folder, machine, restart_on_exit,
                             wanted, created_at, updated_at)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.id,
        draft.slug,
        draft.name,
        draft.role,
        draft.profile,
        draft.model,
        command,
        environment,
        draft.folder,
        draft.machine,
        draft.restart_on_exit,
        row.wanted,
        row.created_at,
        row.created_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn update(tx: &mut WriteTx, row: &AgentRow, now: Timestamp) -> Result<u64, Error> {
    let (command, environment) = texts(row)?;
    let draft = &row.draft;
    let done = sqlx::query!(
        "update agents set name = ?, role = ?, profile = ?, model = ?, command = ?, environment = ?, folder = ?, machine = ?,
                           restart_on_exit = ?, updated_at = ? where id = ?",
        draft.name,
        draft.role,
        draft.profile,
        draft.model,
        command,
        environment,
        draft.folder,
        draft.machine,
        draft.restart_on_exit,
        now,
        row.id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

fn texts(row: &AgentRow) -> Result<(String, String), Error> {
    let command = serde_json::to_string(&row.draft.command).map_err(anyhow::Error::from)?;
    let environment = serde_json::to_string(&row.environment).map_err(anyhow::Error::from)?;
    Ok((command, environment))
}

pub(super) async fn set_wanted(tx: &mut WriteTx, id: AgentId, wanted: Wanted, now: Timestamp) -> Result<(), Error> {
    sqlx::query!("update agents set wanted = ?, updated_at = ? where id = ?", wanted, now, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn set_problem(
    tx: &mut WriteTx,
    id: AgentId,
    problem: Option<&str>,
    stand_in: Option<StandIn>,
) -> Result<(), Error> {
    sqlx::query!("update agents set problem = ?, stand_in = ? where id = ?", problem, stand_in, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The slugs of all agents.
pub(super) async fn slugs(db: &SqlitePool) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!("select slug from agents order by slug").fetch_all(db).await?)
}

pub(super) async fn set_token(tx: &mut WriteTx, id: AgentId, token: Option<TokenId>) -> Result<(), Error> {
    sqlx::query!("update agents set token_id = ? where id = ?", token, id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn delete(tx: &mut WriteTx, id: AgentId) -> Result<u64, Error> {
    Ok(sqlx::query!("delete from agents where id = ?", id).execute(&mut **tx).await?.rows_affected())
}

/// Whether the defaults were ever made. An agent that somebody made before counts too.
pub(super) async fn defaults_made(tx: &mut WriteTx) -> Result<bool, Error> {
    let found = sqlx::query_scalar!(
        r#"select (select count(*) from agent_defaults) + (select count(*) from agents) as "n!: i64""#
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found > 0)
}

pub(super) async fn set_defaults_made(tx: &mut WriteTx, now: Timestamp) -> Result<(), Error> {
    sqlx::query!("insert into agent_defaults (made_at) values (?)", now).execute(&mut **tx).await?;
    Ok(())
}
