//! ComfyUI's HTTP calls, each bounded in time and size (reference/comfyui.md §2).

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::{Pace, Stop, words};
use crate::services::{Endpoint, EndpointError};

/// Longest JSON answer; a queue holds the graphs of everybody's jobs.
const JSON: usize = 64 << 20;
/// Largest file.
const FILE: usize = 256 << 20;
/// Most files of one job.
pub(super) const FILES: usize = 64;

/// Where a job stands on the server.
#[derive(Debug)]
pub(super) enum Known {
    /// It ended; its history entry.
    Ended(Value),
    /// It waits or runs.
    Out {
        /// It runs.
        running: bool,
    },
    /// The server does not know it.
    No,
}

/// A server, as calls.
#[derive(Clone)]
pub(super) struct Calls {
    endpoint: Endpoint,
    pace: Pace,
}

impl Calls {
    /// Calls to `endpoint`.
    pub(super) fn new(endpoint: Endpoint, pace: Pace) -> Self {
        Self { endpoint, pace }
    }

    /// Jobs waiting or running, of anybody.
    pub(super) async fn queue_remaining(&self) -> Result<u32, EndpointError> {
        let answer = self.get("/prompt").await?;
        let remaining = answer["exec_info"]["queue_remaining"].as_u64().ok_or_else(|| strange("/prompt"))?;
        Ok(u32::try_from(remaining).unwrap_or(u32::MAX))
    }

    /// Submits a job: the id the server gave it, and what it left out.
    pub(super) async fn submit(&self, body: &Value) -> Result<Result<(String, Option<String>), Stop>, EndpointError> {
        let answer = self.bounded(self.endpoint.post_json("/prompt", body, JSON)).await;
        let answer = match answer {
            // ComfyUI itself says 500 in plain text when a graph is not even an object of nodes.
            Err(EndpointError::Unexpected { status: 500, .. }) => {
                return Ok(Err(Stop::Refused(
                    "ComfyUI broke on this graph (status 500); is it in API format?".to_owned(),
                )));
            }
            answer => answer?,
        };
        if answer.status != 200 || !answer.body["error"].is_null() {
            if answer.body["error"].is_null() {
                return Err(EndpointError::Unexpected {
                    status: answer.status,
                    reason: strange("/prompt").to_string(),
                });
            }
            return Ok(Err(words::refusal(&answer.body)));
        }
        let id = answer.body["prompt_id"].as_str().ok_or_else(|| strange("/prompt"))?;
        Ok(Ok((id.to_owned(), words::warning(&answer.body["node_errors"]))))
    }

    /// Where a job stands. History first: that is the answer that matters when a job has just ended.
    pub(super) async fn standing(&self, id: &str) -> Result<Known, EndpointError> {
        if let Some(entry) = self.history(id).await? {
            return Ok(Known::Ended(entry));
        }
        let queue = self.get("/queue").await?;
        let holds = |list: &str| queue[list].as_array().is_some_and(|jobs| jobs.iter().any(|job| job[1] == id));
        if !queue["queue_running"].is_array() {
            return Err(strange("/queue"));
        }
        if holds("queue_running") {
            return Ok(Known::Out { running: true });
        }
        if holds("queue_pending") {
            return Ok(Known::Out { running: false });
        }
        // It may have ended between the two questions.
        Ok(self.history(id).await?.map_or(Known::No, Known::Ended))
    }

    async fn history(&self, id: &str) -> Result<Option<Value>, EndpointError> {
        match self.get(&format!("/history/{id}")).await? {
            Value::Object(mut entries) => Ok(entries.remove(id).filter(Value::is_object)),
            _ => Err(strange("/history")),
        }
    }

    /// Removes the entry of an ended job, so that a server that lives long does not grow.
    pub(super) async fn forget(&self, id: &str) {
        if let Err(error) = self.post("/history", &json!({ "delete": [id] })).await {
            tracing::debug!(%error, "a job's history entry stays on the server");
        }
    }

    /// Stops a job wherever it stands on the server, and never another one.
    pub(super) async fn cancel(&self, id: &str) -> Result<(), EndpointError> {
        match self.post(&format!("/api/jobs/{id}/cancel"), &json!({})).await {
            // Servers before 0.26 have no such call.
            Err(EndpointError::Unexpected { status: 404 | 405, .. }) => {}
            other => return other,
        }
        self.post("/queue", &json!({ "delete": [id] })).await?;
        // An older server ignores the id and stops whatever runs: then the job is left to end by itself.
        if self.version().await? >= [0, 3, 57] {
            self.post("/interrupt", &json!({ "prompt_id": id })).await?;
        }
        Ok(())
    }

    async fn version(&self) -> Result<[u64; 3], EndpointError> {
        let stats = self.get("/system_stats").await?;
        let mut parts = stats["system"]["comfyui_version"].as_str().unwrap_or_default().split('.');
        let mut next = || {
            let digits: String = parts.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        };
        Ok([next(), next(), next()])
    }

    /// Uploads a source picture; the name that LoadImage takes.
    pub(super) async fn upload(&self, name: &str, bytes: Bytes) -> Result<String, EndpointError> {
        let length = bytes.len() as u64;
        let file = reqwest::multipart::Part::stream_with_length(bytes, length).file_name(name.to_owned());
        let form =
            reqwest::multipart::Form::new().text("type", "input").text("subfolder", "central-mcp").part("image", file);
        let answer = self.endpoint.post_form("/upload/image", form).await?;
        let name =
            answer.body["name"].as_str().filter(|_| answer.status == 200).ok_or_else(|| strange("/upload/image"))?;
        // Another file under a taken name gets another name: only the answer says which.
        match answer.body["subfolder"].as_str() {
            None | Some("") => Ok(name.to_owned()),
            Some(folder) => Ok(format!("{folder}/{name}")),
        }
    }

    /// The files of an ended job, in its order.
    pub(super) async fn files(&self, outputs: &Value) -> Result<Vec<Bytes>, EndpointError> {
        let items = pictures(outputs);
        let fetches = items.iter().map(|item| {
            let query = [("filename", item.filename), ("subfolder", item.subfolder), ("type", item.kind)];
            async move {
                let file = self.endpoint.get_bytes("/view", &query, FILE);
                tokio::time::timeout(self.pace.file, file).await.unwrap_or_else(|_| Err(self.slow(self.pace.file)))
            }
        });
        let fetched = futures_util::stream::iter(fetches.collect::<Vec<_>>()).buffered(2);
        let all = fetched.try_fold((Vec::new(), 0), |(mut files, size), file: Bytes| async move {
            let size: usize = size + file.len();
            if size > FILE {
                return Err(EndpointError::TooLarge(format!(
                    "the job's pictures are over {} MiB together; draw fewer at once",
                    FILE >> 20
                )));
            }
            files.push(file);
            Ok((files, size))
        });
        Ok(all.await?.0)
    }

    async fn get(&self, path: &str) -> Result<Value, EndpointError> {
        self.bounded(self.endpoint.get_json(path, &[], JSON)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(), EndpointError> {
        self.bounded(self.endpoint.post_json(path, body, JSON)).await.map(|_| ())
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, EndpointError>>) -> Result<T, EndpointError> {
        tokio::time::timeout(self.pace.answer, call).await.unwrap_or_else(|_| Err(self.slow(self.pace.answer)))
    }

    fn slow(&self, limit: Duration) -> EndpointError {
        EndpointError::Unreachable(format!(
            "the service took longer than {} s to answer; is it overloaded?",
            limit.as_secs()
        ))
    }
}

fn strange(path: &str) -> EndpointError {
    EndpointError::Unexpected {
        status: 200,
        reason: format!("{path} did not answer like ComfyUI; is something else at this address?"),
    }
}

/// A file that a job made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Its name, as the server chose it.
    pub(super) filename: &'a str,
    /// The folder it is in.
    pub(super) subfolder: &'a str,
    /// `output` or `temp`.
    pub(super) kind: &'a str,
}

/// The pictures among a job's outputs: the saved ones, or the temporary ones if nothing was saved.
pub(super) fn pictures(outputs: &Value) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = outputs
        .as_object()
        .into_iter()
        .flat_map(|nodes| nodes.values())
        .filter_map(Value::as_object)
        .flat_map(|kinds| kinds.values())
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|item| {
            Some(Item {
                filename: item["filename"].as_str()?,
                subfolder: item["subfolder"].as_str().unwrap_or_default(),
                kind: item["type"].as_str().unwrap_or("output"),
            })
        })
        .filter(|item| {
            let end = item.filename.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
            matches!(end.as_deref(), Some("png" | "jpg" | "jpeg" | "webp"))
        })
        .collect();
    let wanted = if items.iter().any(|item| item.kind == "output") { "output" } else { "temp" };
    items.retain(|item| item.kind == wanted);
    items.truncate(FILES);
    items
}
