//! Totals.

use sqlx::SqlitePool;

use crate::{
    clock::{DAY, HOUR, Timestamp},
    error::Error,
    images::{AgentImages, ImageStats, TaskImages},
    services::MicroUsd,
};

/// Everything that is counted, at this time.
pub(in crate::images) async fn stats(db: &SqlitePool, now: Timestamp) -> Result<ImageStats, Error> {
    let (hour, day, week) = (now.plus(-HOUR), now.plus(-DAY), now.plus(-7 * DAY));
    let totals = sqlx::query!(
        r#"with latest as (select drawn_ms from images where status = 'done' order by finished_at desc limit 200)
           select queued as "queued!: i64", running as "running!: i64", done as "done!: i64", failed as "failed!: i64",
                  cancelled as "cancelled!: i64", drawn_ms as "drawn_ms!: i64", cost as "cost!: MicroUsd",
                  (select count(*) from images where status = 'done' and finished_at >= ?1) as "hour!: i64",
                  (select count(*) from images where status = 'done' and finished_at >= ?2) as "day!: i64",
                  (select count(*) from images where status = 'done' and finished_at >= ?3) as "week!: i64",
                  (select drawn_ms from latest where drawn_ms is not null order by drawn_ms
                   limit 1 offset (select (count(drawn_ms) - 1) / 2 from latest)) as "median_ms: i64"
           from image_generation_stats"#,
        hour,
        day,
        week
    )
    .fetch_one(db)
    .await?;
    let by_agent = sqlx::query_as!(
        AgentImages,
        r#"select agent as "agent!: String", images as "images!: i64", last_at as "last_at!: Timestamp"
           from recent_images_by_agent where last_at >= ? order by images desc, agent limit 20"#,
        week
    )
    .fetch_all(db)
    .await?;
    let by_task = sqlx::query_as!(
        TaskImages,
        r#"select task as "task!: String", count(*) as "images!: i64", max(created_at) as "last_at!: Timestamp"
           from images where task is not null and created_at >= ? group by task order by max(created_at) desc, task limit 5"#,
        week
    )
    .fetch_all(db)
    .await?;
    Ok(ImageStats {
        running: totals.running,
        queued: totals.queued,
        done: totals.done,
        failed: totals.failed,
        cancelled: totals.cancelled,
        done_hour: totals.hour,
        done_day: totals.day,
        done_week: totals.week,
        median_ms: totals.median_ms,
        drawn_ms: totals.drawn_ms,
        cost: totals.cost,
        by_agent,
        by_task,
    })
}
