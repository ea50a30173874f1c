//! The room's SQL.

mod stats;
mod workflows;

use std::collections::{HashMap, HashSet};

use sqlx::SqlitePool;

pub(super) use self::{
    stats::stats,
    workflows::{delete_workflow, insert_workflow, workflow, workflows},
};
use super::{ImageDraft, ImageFilter, ImageStatus, ImageView, Picture, Seed};
use crate::{
    clock::Timestamp,
    db::{WriteTx, like},
    error::Error,
    id::{ImageId, ServiceId},
    services::MicroUsd,
};

/// A row of `images` as the views need it.
pub(super) struct Row {
    pub(super) id: ImageId,
    pub(super) status: ImageStatus,
    draft: String,
    renderer: Option<String>,
    asked_by: String,
    agent: Option<String>,
    parent: Option<ImageId>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    drawn_ms: Option<i64>,
    cost: Option<MicroUsd>,
    attempts: i64,
    reason: Option<String>,
}

impl Row {
    fn view(self, pictures: Vec<Picture>) -> Result<ImageView, Error> {
        Ok(ImageView {
            id: self.id,
            status: self.status,
            draft: serde_json::from_str(&self.draft)
                .map_err(|e| anyhow::anyhow!("image {}: its draft is unreadable: {e}", self.id))?,
            renderer: self.renderer,
            asked_by: self.asked_by,
            agent: self.agent,
            parent: self.parent,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            drawn_ms: self.drawn_ms,
            cost: self.cost,
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            reason: self.reason,
            place: None,
            progress: None,
            pictures,
        })
    }
}

/// An image to accept.
pub(super) struct NewImage<'a> {
    pub(super) id: ImageId,
    pub(super) draft: &'a ImageDraft,
    pub(super) seed: Seed,
    pub(super) asked_by: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) parent: Option<ImageId>,
    pub(super) now: Timestamp,
}

/// A waiting or running image as the dispatcher sees it.
pub(super) struct OpenRow {
    pub(super) id: ImageId,
    pub(super) draft: String,
    pub(super) service_id: Option<ServiceId>,
    pub(super) runner_id: Option<ServiceId>,
    pub(super) prompt_id: Option<String>,
    pub(super) cancel: bool,
    /// Why it waits, if that was said.
    pub(super) reason: Option<String>,
}

/// How an image ended, or why it waits again.
pub(super) struct Outcome<'a> {
    pub(super) status: ImageStatus,
    pub(super) drawn_ms: Option<i64>,
    pub(super) cost: Option<MicroUsd>,
    pub(super) reason: Option<&'a str>,
    pub(super) finished_at: Option<Timestamp>,
}

pub(super) async fn insert(tx: &mut WriteTx, new: &NewImage<'_>) -> Result<(), Error> {
    let draft = serde_json::to_string(new.draft).map_err(anyhow::Error::from)?;
    let seed = new.seed.to_string();
    sqlx::query!(
        "insert into images (id, status, prompt, draft, seed, asked_by, agent, task, parent, service_id, created_at)
         values (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new.id,
        new.draft.prompt,
        draft,
        seed,
        new.asked_by,
        new.agent,
        new.draft.task,
        new.parent,
        new.draft.service,
        new.now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn get(db: &SqlitePool, id: ImageId) -> Result<Option<ImageView>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: ImageId", status as "status: ImageStatus", draft, renderer, asked_by, agent, parent as "parent: ImageId",
                  created_at as "created_at: Timestamp", started_at as "started_at: Timestamp",
                  finished_at as "finished_at: Timestamp", drawn_ms, cost as "cost: MicroUsd", attempts, reason
           from images where id = ?"#,
        id
    )
    .fetch_optional(db)
    .await?;
    match row {
        Some(row) => {
            let own = pictures(db, [id].into_iter()).await?.remove(&id).unwrap_or_default();
            Ok(Some(row.view(own)?))
        }
        None => Ok(None),
    }
}

/// Newest first.
pub(super) async fn list(db: &SqlitePool, filter: &ImageFilter) -> Result<Vec<ImageView>, Error> {
    let text = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(like);
    let limit = i64::from(if filter.limit == 0 { 60 } else { filter.limit.min(200) });
    let open = filter.ended.map(|ended| !ended);
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: ImageId", status as "status: ImageStatus", draft, renderer, asked_by, agent, parent as "parent: ImageId",
                  created_at as "created_at: Timestamp", started_at as "started_at: Timestamp",
                  finished_at as "finished_at: Timestamp", drawn_ms, cost as "cost: MicroUsd", attempts, reason
           from images
           where (?1 is null or prompt like ?1 escape '\' or seed like ?1 escape '\' or agent like ?1 escape '\' or task like ?1 escape '\')
             and (?2 is null or coalesce(agent, '') = ?2)
             and (?3 is null or renderer = ?3)
             and (?4 is null or (status in ('queued', 'running')) = ?4)
             and (?5 is null or created_at >= ?5)
             and (?6 is null or created_at < ?6)
             and (?7 is null or id < ?7)
           order by id desc
           limit ?8"#,
        text,
        filter.agent,
        filter.renderer,
        open,
        filter.since,
        filter.until,
        filter.before,
        limit
    )
    .fetch_all(db)
    .await?;
    let mut pictures = pictures(db, rows.iter().map(|row| row.id)).await?;
    rows.into_iter()
        .map(|row| {
            let own = pictures.remove(&row.id).unwrap_or_default();
            row.view(own)
        })
        .collect()
}

/// Waiting and running images, running ones first, then by age; at most `limit`. Kept apart from [`list`] because the
/// queue is asked for at every change and has an index of its own.
pub(super) async fn open_views(db: &SqlitePool, limit: i64) -> Result<Vec<ImageView>, Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id!: ImageId", status as "status!: ImageStatus", draft as "draft!", renderer, asked_by as "asked_by!", agent, parent as "parent: ImageId",
                  created_at as "created_at!: Timestamp", started_at as "started_at: Timestamp",
                  finished_at as "finished_at: Timestamp", drawn_ms, cost as "cost: MicroUsd", attempts as "attempts!", reason
           from images where status in ('queued', 'running') order by status desc, id limit ?"#,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| row.view(Vec::new())).collect()
}

/// The pictures of some images, each image's in their order.
async fn pictures(db: &SqlitePool, of: impl Iterator<Item = ImageId>) -> Result<HashMap<ImageId, Vec<Picture>>, Error> {
    let of = serde_json::to_string(&of.collect::<Vec<_>>()).map_err(anyhow::Error::from)?;
    let rows = sqlx::query!(
        r#"select image_id as "image_id: ImageId", sha256, thumbnail, media_type, width as "width: u32", height as "height: u32", bytes
           from pictures where image_id in (select value from json_each(?)) order by image_id, n"#,
        of
    )
    .fetch_all(db)
    .await?;
    let mut found: HashMap<ImageId, Vec<Picture>> = HashMap::new();
    for row in rows {
        found.entry(row.image_id).or_default().push(Picture {
            sha256: row.sha256,
            thumbnail: row.thumbnail,
            media_type: row.media_type,
            width: row.width,
            height: row.height,
            bytes: row.bytes,
        });
    }
    Ok(found)
}

/// Images that wait before this one. Those that wait for something else than their turn hold nobody up.
pub(super) async fn place(db: &SqlitePool, id: ImageId) -> Result<u32, Error> {
    let before = sqlx::query_scalar!(
        r#"select count(*) as "n!: u32" from images where status = 'queued' and reason is null and id < ?"#,
        id
    )
    .fetch_one(db)
    .await?;
    Ok(before)
}

pub(super) async fn queued_count(tx: &mut WriteTx) -> Result<i64, Error> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "n!: i64" from images where status = 'queued'"#)
        .fetch_one(&mut **tx)
        .await?)
}

/// At most 200 rows of one status, oldest first, from behind `after` on.
pub(super) async fn open(db: &SqlitePool, status: ImageStatus, after: Option<ImageId>) -> Result<Vec<OpenRow>, Error> {
    Ok(sqlx::query_as!(
        OpenRow,
        r#"select id as "id!: ImageId", draft as "draft!", service_id as "service_id: ServiceId", runner_id as "runner_id: ServiceId",
                  prompt_id, cancel as "cancel!: bool", reason
           from images where status = ?1 and status in ('queued', 'running') and (?2 is null or id > ?2) order by id limit 200"#,
        status,
        after
    )
    .fetch_all(db)
    .await?)
}

/// Gives a queued image to a renderer. `false`: it is no longer queued.
pub(super) async fn claim(
    tx: &mut WriteTx,
    id: ImageId,
    renderer: &str,
    runner: Option<ServiceId>,
    prompt_id: Option<&str>,
    now: Timestamp,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update images set status = 'running', renderer = ?, runner_id = ?, prompt_id = ?, graph = null, attempts = attempts + 1,
                started_at = ?, reason = null
         where id = ? and status = 'queued'",
        renderer,
        runner,
        prompt_id,
        now,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Keeps the graph as it is sent, with the picture.
pub(super) async fn set_graph(tx: &mut WriteTx, id: ImageId, graph: &str) -> Result<(), Error> {
    sqlx::query!("update images set graph = ? where id = ? and status = 'running'", graph, id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The graph an image was drawn with, as sent.
pub(super) async fn graph(db: &SqlitePool, id: ImageId) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar!("select graph from images where id = ?", id).fetch_optional(db).await?.flatten())
}

/// How often an image was given to a renderer, and its prompt; 0 and nothing if there is no such image.
pub(super) async fn attempts(tx: &mut WriteTx, id: ImageId) -> Result<(i64, String), Error> {
    let row = sqlx::query!("select attempts, prompt from images where id = ?", id).fetch_optional(&mut **tx).await?;
    Ok(row.map_or_else(Default::default, |row| (row.attempts, row.prompt)))
}

/// Ends a running image, or puts it back. Only a running row is touched, and that row only once: this is what keeps one
/// image from being drawn into two results. `false`: it was not running.
pub(super) async fn settle(tx: &mut WriteTx, id: ImageId, outcome: &Outcome<'_>) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update images set status = ?, drawn_ms = ?, cost = ?, reason = ?, finished_at = ?, runner_id = null, prompt_id = null, cancel = 0
         where id = ? and status = 'running'",
        outcome.status,
        outcome.drawn_ms,
        outcome.cost,
        outcome.reason,
        outcome.finished_at,
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Fails a queued image; the reason it already has (a service's own) goes before `reason`. `false`: it is not queued.
pub(super) async fn fail_queued(tx: &mut WriteTx, id: ImageId, reason: &str, now: Timestamp) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update images set status = 'failed', reason = coalesce(reason || ' (', '') || ?2 || case when reason is null then '' else ')' end,
                finished_at = ?3
         where id = ?1 and status = 'queued'",
        id,
        reason,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

pub(super) async fn insert_picture(tx: &mut WriteTx, id: ImageId, n: i64, picture: &Picture) -> Result<(), Error> {
    sqlx::query!(
        "insert into pictures (image_id, n, sha256, thumbnail, media_type, width, height, bytes) values (?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        n,
        picture.sha256,
        picture.thumbnail,
        picture.media_type,
        picture.width,
        picture.height,
        picture.bytes
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Cancels at once if queued (`Cancelled`), marks if running (`Running`); gives the status the row then has.
pub(super) async fn cancel(tx: &mut WriteTx, id: ImageId, now: Timestamp) -> Result<Option<ImageStatus>, Error> {
    Ok(sqlx::query_scalar!(
        r#"update images set
               finished_at = case when status = 'queued' then ?2 else finished_at end,
               cancel = (status = 'running'),
               status = case when status = 'queued' then 'cancelled' else status end
           where id = ?1 returning status as "status: ImageStatus""#,
        id,
        now
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// Puts an image that failed or was cancelled back into the queue, as new. `false`: it is in another state.
pub(super) async fn retry(tx: &mut WriteTx, id: ImageId) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update images set status = 'queued', attempts = 0, started_at = null, finished_at = null, drawn_ms = null, cost = null,
                reason = null, renderer = null, graph = null, cancel = 0
         where id = ? and status in ('failed', 'cancelled')",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

pub(super) async fn set_reason(tx: &mut WriteTx, id: ImageId, reason: &str) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update images set reason = ?2 where id = ?1 and status = 'queued' and reason is not ?2",
        id,
        reason
    )
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Deletes an ended image. `false`: it has not ended.
pub(super) async fn delete(tx: &mut WriteTx, id: ImageId) -> Result<bool, Error> {
    let deleted = sqlx::query!("delete from images where id = ? and status in ('done', 'failed', 'cancelled')", id)
        .execute(&mut **tx)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Whether any image still needs the file of this hash, as picture, thumbnail or source.
pub(super) async fn file_used(db: &SqlitePool, sha256: &str) -> Result<bool, Error> {
    let quoted = format!("%\"{sha256}\"%");
    let uses = sqlx::query_scalar!(
        r#"select (exists (select 1 from pictures where sha256 = ?1) or exists (select 1 from pictures where thumbnail = ?1)
                   or exists (select 1 from images where draft like ?2)) as "used!: bool""#,
        sha256,
        quoted
    )
    .fetch_one(db)
    .await?;
    Ok(uses)
}

/// When the oldest of the running images began.
pub(super) async fn running_since(db: &SqlitePool) -> Result<Option<Timestamp>, Error> {
    Ok(sqlx::query_scalar!(r#"select min(started_at) as "since: Timestamp" from images where status = 'running'"#)
        .fetch_one(db)
        .await?)
}

/// The hash of every file that an image names.
pub(super) async fn used_files(db: &SqlitePool) -> Result<HashSet<String>, Error> {
    let used = sqlx::query_scalar!(
        r#"select sha256 as "sha256!: String" from pictures
           union select thumbnail from pictures
           union select json_extract(draft, '$.source.sha256') from images where json_extract(draft, '$.source.sha256') is not null"#
    )
    .fetch_all(db)
    .await?;
    Ok(used.into_iter().collect())
}
