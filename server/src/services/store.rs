//! The room's SQL.

use sqlx::SqlitePool;

use super::{CheckView, Health, MicroUsd, ServiceDraft, ServiceKind, ServiceView, TestReport};
use crate::{clock::Timestamp, db::WriteTx, error::Error, id::ServiceId};

/// Checks shown with a service; at one in 30 s, the last half hour.
const CHECKS: i64 = 60;

struct Row {
    id: ServiceId,
    name: String,
    kind: ServiceKind,
    base_url: String,
    auth_kind: String,
    price_per_hour: MicroUsd,
    active: bool,
    version: Option<String>,
    devices: String,
    created_at: Timestamp,
}

impl Row {
    fn view(self, checks: Vec<CheckView>) -> ServiceView {
        ServiceView {
            id: self.id,
            name: self.name,
            kind: self.kind,
            base_url: self.base_url,
            auth: self.auth_kind,
            price_per_hour: self.price_per_hour,
            active: self.active,
            version: self.version,
            devices: serde_json::from_str(&self.devices).unwrap_or_default(),
            created_at: self.created_at,
            checks,
        }
    }
}

/// What is needed to connect.
pub(super) struct ConnectionRow {
    pub(super) id: ServiceId,
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) auth: Option<Vec<u8>>,
    pub(super) price_per_hour: MicroUsd,
    pub(super) updated_at: Timestamp,
    pub(super) health: Option<Health>,
}

pub(super) async fn list(db: &SqlitePool) -> Result<Vec<ServiceView>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: ServiceId", name, kind as "kind: ServiceKind", base_url, auth_kind,
                  price_per_hour as "price_per_hour: MicroUsd", active as "active: bool", version, devices,
                  created_at as "created_at: Timestamp"
           from services order by name"#
    )
    .fetch_all(db)
    .await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let checks = checks(db, row.id).await?;
        views.push(row.view(checks));
    }
    Ok(views)
}

pub(super) async fn get(db: &SqlitePool, id: ServiceId) -> Result<Option<ServiceView>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: ServiceId", name, kind as "kind: ServiceKind", base_url, auth_kind,
                  price_per_hour as "price_per_hour: MicroUsd", active as "active: bool", version, devices,
                  created_at as "created_at: Timestamp"
           from services where id = ?"#,
        id
    )
    .fetch_optional(db)
    .await?;
    match row {
        Some(row) => Ok(Some(row.view(checks(db, id).await?))),
        None => Ok(None),
    }
}

async fn checks(db: &SqlitePool, id: ServiceId) -> Result<Vec<CheckView>, Error> {
    let mut checks = sqlx::query_as!(
        CheckView,
        r#"select at as "at: Timestamp", health as "health: Health", response_ms, problem
           from service_checks where service_id = ? order by at desc limit ?"#,
        id,
        CHECKS
    )
    .fetch_all(db)
    .await?;
    checks.reverse();
    Ok(checks)
}

pub(super) async fn connection(db: &SqlitePool, id: ServiceId) -> Result<Option<ConnectionRow>, Error> {
    Ok(sqlx::query_as!(
        ConnectionRow,
        r#"select id as "id: ServiceId", name, base_url, auth, price_per_hour as "price_per_hour: MicroUsd",
                  updated_at as "updated_at: Timestamp", null as "health: Health"
           from services where id = ?"#,
        id
    )
    .fetch_optional(db)
    .await?)
}

pub(super) async fn active(db: &SqlitePool) -> Result<Vec<ConnectionRow>, Error> {
    Ok(sqlx::query_as!(
        ConnectionRow,
        r#"select id as "id: ServiceId", name, base_url, auth, price_per_hour as "price_per_hour: MicroUsd",
                  updated_at as "updated_at: Timestamp",
                  (select health from service_checks where service_id = id order by at desc limit 1) as "health: Health"
           from services where active = 1 order by name"#
    )
    .fetch_all(db)
    .await?)
}

pub(super) async fn name_taken(tx: &mut WriteTx, name: &str, except: ServiceId) -> Result<bool, Error> {
    let others =
        sqlx::query_scalar!(r#"select count(*) as "n!: i64" from services where name = ? and id <> ?"#, name, except)
            .fetch_one(&mut **tx)
            .await?;
    Ok(others > 0)
}

pub(super) async fn insert(
    tx: &mut WriteTx,
    id: ServiceId,
    draft: &ServiceDraft,
    base_url: &str,
    auth_kind: &str,
    auth: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into services (id, name, kind, base_url, auth_kind, auth, price_per_hour, active, created_at, updated_at)
         values (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        id,
        draft.name,
        draft.kind,
        base_url,
        auth_kind,
        auth,
        draft.price_per_hour,
        now,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn update(
    tx: &mut WriteTx,
    id: ServiceId,
    draft: &ServiceDraft,
    base_url: &str,
    auth_kind: &str,
    auth: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "update services set name = ?, kind = ?, base_url = ?, auth_kind = ?, auth = ?, price_per_hour = ?, updated_at = ? where id = ?",
        draft.name,
        draft.kind,
        base_url,
        auth_kind,
        auth,
        draft.price_per_hour,
        now,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn set_active(tx: &mut WriteTx, id: ServiceId, active: bool, now: Timestamp) -> Result<(), Error> {
    sqlx::query!("update services set active = ?, updated_at = ? where id = ?", active, now, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn delete(tx: &mut WriteTx, id: ServiceId) -> Result<(), Error> {
    sqlx::query!("delete from services where id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

/// The name of a service and what its last check said; `None` if there is no such service.
pub(super) async fn health_before(tx: &mut WriteTx, id: ServiceId) -> Result<Option<(String, Option<Health>)>, Error> {
    let row = sqlx::query!(
        r#"select name, (select health from service_checks where service_id = id order by at desc limit 1) as "health: Health"
           from services where id = ?"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.name, row.health)))
}

pub(super) async fn insert_check(tx: &mut WriteTx, id: ServiceId, check: &CheckView) -> Result<(), Error> {
    sqlx::query!(
        "insert or replace into service_checks (service_id, at, health, response_ms, problem) values (?, ?, ?, ?, ?)",
        id,
        check.at,
        check.health,
        check.response_ms,
        check.problem
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn set_described(tx: &mut WriteTx, id: ServiceId, report: &TestReport) -> Result<(), Error> {
    let devices = serde_json::to_string(&report.devices).map_err(anyhow::Error::from)?;
    sqlx::query!("update services set version = ?, devices = ? where id = ?", report.version, devices, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn prune_checks(tx: &mut WriteTx, cutoff: Timestamp) -> Result<u64, Error> {
    Ok(sqlx::query!("delete from service_checks where at < ?", cutoff).execute(&mut **tx).await?.rows_affected())
}
