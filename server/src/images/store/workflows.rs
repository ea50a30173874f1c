//! Saved workflows.

use sqlx::SqlitePool;

use crate::{clock::Timestamp, db::WriteTx, error::Error, id::WorkflowId, images::WorkflowView};

struct WorkflowRow {
    id: WorkflowId,
    name: String,
    graph: String,
    inputs: String,
    created_at: Timestamp,
}

impl From<WorkflowRow> for WorkflowView {
    fn from(row: WorkflowRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            graph: row.graph,
            inputs: serde_json::from_str(&row.inputs).unwrap_or_default(),
            created_at: row.created_at,
        }
    }
}

pub(in crate::images) async fn workflows(db: &SqlitePool) -> Result<Vec<WorkflowView>, Error> {
    let rows = sqlx::query_as!(
        WorkflowRow,
        r#"select id as "id: WorkflowId", name, graph, inputs, created_at as "created_at: Timestamp" from workflows order by name"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

pub(in crate::images) async fn workflow(db: &SqlitePool, id: WorkflowId) -> Result<Option<WorkflowView>, Error> {
    let row = sqlx::query_as!(
        WorkflowRow,
        r#"select id as "id: WorkflowId", name, graph, inputs, created_at as "created_at: Timestamp" from workflows where id = ?"#,
        id
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Into::into))
}

/// Saves a workflow, unless its name is taken (`false`).
pub(in crate::images) async fn insert_workflow(tx: &mut WriteTx, workflow: &WorkflowView) -> Result<bool, Error> {
    let inputs = serde_json::to_string(&workflow.inputs).map_err(anyhow::Error::from)?;
    let inserted = sqlx::query!(
        "insert into workflows (id, name, graph, inputs, created_at) values (?, ?, ?, ?, ?) on conflict (name) do nothing",
        workflow.id,
        workflow.name,
        workflow.graph,
        inputs,
        workflow.created_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Deletes a workflow; gives its name.
pub(in crate::images) async fn delete_workflow(tx: &mut WriteTx, id: WorkflowId) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar!("delete from workflows where id = ? returning name", id).fetch_optional(&mut **tx).await?)
}
