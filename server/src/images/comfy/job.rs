//! One job from its submission to its files.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Drawn, Job, Report, Stop, away,
    calls::{FILES, Known},
    client::Shared,
    protocol::{Message, PictureOf},
    socket::Heard,
    words,
};
use crate::{clock::Stopwatch, services::EndpointError};

type Reporter<'a> = &'a (dyn Fn(Report) + Send + Sync);
type Asking<'a> = Pin<Box<dyn Future<Output = Result<Known, EndpointError>> + Send + 'a>>;

/// A node class whose results come over the socket and are nowhere else.
const SOCKET_SAVER: &str = "SaveImageWebsocket";
/// Most bytes of results over the socket.
const SOCKET_BYTES: usize = 256 << 20;
/// The first pause after an answer that came before the history was written (reference/comfyui.md §4.2).
const EARLY: Duration = Duration::from_millis(10);

/// See `Comfy::draw`.
pub(super) async fn draw(
    shared: &Shared,
    job: Job,
    report: Reporter<'_>,
    cancel: &CancellationToken,
) -> Result<Drawn, Stop> {
    // Listening comes first: the first messages can arrive before the answer to the submission.
    let (mut heard, _listening) = shared.line.listen();
    let mut run = Run::new(shared, &job, report);
    if !job.resume {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Cancelled),
            _ = timeout(shared.pace.socket, shared.line.settled()) => {}
        }
        run.submit().await?;
    }
    let ended = tokio::select! {
        ended = run.follow(&mut heard) => ended?,
        () = cancel.cancelled() => {
            drop(heard);
            return Err(stop(shared, &run.id).await);
        }
    };
    let collected = tokio::select! {
        collected = run.collect(&ended, &mut heard) => collected,
        () = cancel.cancelled() => Err(Stop::Cancelled),
    };
    // What was drawn is forgotten by `Comfy::forget`, once it is kept: until then the server is the only one that has it.
    if !matches!(collected, Ok(_) | Err(Stop::Unreachable(_))) {
        let (calls, id) = (shared.calls.clone(), run.id);
        shared.tracker.spawn(async move { calls.forget(&id).await });
    }
    collected
}

/// Stops a job on the server and watches until it is gone, for a bounded time.
async fn stop(shared: &Shared, id: &str) -> Stop {
    let gone = async {
        let mut pause = EARLY;
        loop {
            // Repeated, because a waiting job can begin between two of its calls.
            if let Err(error) = shared.calls.cancel(id).await {
                tracing::debug!(%error, "cancelling on the server failed; it is tried again");
            }
            match shared.calls.standing(id).await {
                Ok(Known::Ended(_)) => return shared.calls.forget(id).await,
                Ok(Known::No) => return,
                Ok(Known::Out { .. }) | Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(shared.pace.retry);
        }
    };
    if timeout(shared.pace.cancel, gone).await.is_err() {
        tracing::warn!(prompt_id = id, "a cancelled job may still run on its server");
    }
    Stop::Cancelled
}

/// A job that is out.
struct Run<'a> {
    shared: &'a Shared,
    job: &'a Job,
    report: Reporter<'a>,
    /// The job's id on the server; servers before 0.3.45 choose it themselves.
    id: String,
    accepted: bool,
    warning: Option<String>,
    /// The class of the node that runs.
    class: Option<String>,
    phase: Option<&'static str>,
    /// Whether the socket ever said something of this job.
    heard_of: bool,
    /// Whether the socket said that it ended.
    told_end: bool,
    /// Whether the socket was gone at some time since the submission.
    gap: bool,
    pictures: Vec<Bytes>,
    away_since: Option<Stopwatch>,
}

impl<'a> Run<'a> {
    fn new(shared: &'a Shared, job: &'a Job, report: Reporter<'a>) -> Self {
        Self {
            shared,
            job,
            report,
            id: job.prompt_id.clone(),
            accepted: false,
            warning: None,
            class: None,
            phase: None,
            heard_of: false,
            told_end: false,
            gap: job.resume,
            pictures: Vec::new(),
            away_since: None,
        }
    }

    async fn submit(&mut self) -> Result<(), Stop> {
        let mut extra = json!({});
        if self.job.pictures {
            // Servers before 0.5 ignore it and go by their command line.
            extra["preview_method"] = json!("auto");
        }
        let body = json!({
            "prompt": self.job.graph,
            "prompt_id": self.id,
            "client_id": self.shared.client_id,
            "extra_data": extra,
        });
        match self.shared.calls.submit(&body).await {
            Ok(Ok((id, warning))) => {
                self.id = id;
                self.warning = warning;
                self.accept();
                Ok(())
            }
            Ok(Err(stop)) => Err(stop),
            // It may have arrived although its answer did not.
            Err(error) => match self.shared.calls.standing(&self.id).await {
                Ok(Known::No) => Err(away(error)),
                Ok(_) => {
                    self.accept();
                    Ok(())
                }
                Err(_) if self.shared.line.open() => Ok(()),
                Err(_) => Err(away(error)),
            },
        }
    }

    fn accept(&mut self) {
        if !self.accepted {
            self.accepted = true;
            (self.report)(Report::Accepted { warning: self.warning.clone() });
        }
    }

    /// Waits for the history entry, asking on every doubt.
    async fn follow(&mut self, heard: &mut mpsc::Receiver<Heard>) -> Result<Value, Stop> {
        let shared = self.shared;
        let pace = &shared.pace;
        let id = self.id.clone();
        // All times here count from now.
        let clock = Stopwatch::start();
        let mut asked = Duration::ZERO;
        // A resumed job and one whose acceptance is unknown are asked for at once.
        let mut next = if self.accepted { pace.ask } else { Duration::ZERO };
        let mut asking: Option<Asking<'_>> = None;
        let mut again = false;
        let mut early = EARLY;
        let mut unknown = 0;
        let mut renewed = false;
        loop {
            tokio::select! {
                Some(heard) = heard.recv() => {
                    let now = clock.elapsed();
                    match self.hear(heard) {
                        Doubt::None => {}
                        Doubt::Slight => next = next.min((asked + pace.status).max(now)),
                        Doubt::Grave => {
                            again = asking.is_some();
                            next = now;
                        }
                    }
                }
                () = sleep(next.saturating_sub(clock.elapsed())), if asking.is_none() => {
                    asked = clock.elapsed();
                    asking = Some(Box::pin(shared.calls.standing(&id)));
                }
                known = answer(&mut asking), if asking.is_some() => {
                    asking = None;
                    let now = clock.elapsed();
                    match known {
                        Ok(Known::Ended(entry)) => {
                            self.accept();
                            // What was heard before the answer is taken in before it.
                            while let Ok(heard) = heard.try_recv() {
                                self.hear(heard);
                            }
                            return Ok(entry);
                        }
                        Ok(Known::Out { running }) => {
                            self.accept();
                            self.away_since = None;
                            unknown = 0;
                            if self.told_end {
                                next = now + early;
                                early = (early * 2).min(pace.ask);
                            } else {
                                next = now + pace.ask;
                            }
                            // It runs and the open socket says nothing of it: the server forgot the socket.
                            if running && !self.heard_of && !renewed && now >= pace.ask && shared.line.open() {
                                renewed = true;
                                shared.line.renew();
                            }
                        }
                        Ok(Known::No) => {
                            self.away_since = None;
                            unknown += 1;
                            if unknown > 1 || !self.accepted {
                                return Err(Stop::Lost("the server does not know the job any more; it restarted, or somebody removed it there".to_owned()));
                            }
                            next = now + pace.retry;
                        }
                        Err(error) => {
                            if self.is_away() {
                                return Err(Stop::Unreachable(error.to_string()));
                            }
                            next = now + pace.retry;
                        }
                    }
                    if again {
                        again = false;
                        next = now;
                    }
                }
            }
        }
    }

    /// Notes a failed call; `true` once the server was away for too long.
    fn is_away(&mut self) -> bool {
        self.away_since.get_or_insert_with(Stopwatch::start).elapsed() >= self.shared.pace.grace
    }

    /// Takes one message, and says how much it casts doubt on what is known.
    fn hear(&mut self, heard: Heard) -> Doubt {
        let message = match heard {
            Heard::Open => return Doubt::Grave,
            Heard::Closed => {
                self.gap = true;
                return Doubt::Grave;
            }
            Heard::Message(message) => message,
        };
        match message {
            Message::Status => return Doubt::Slight,
            Message::Ended { prompt_id: None } => return Doubt::Grave,
            Message::Ended { prompt_id: Some(id) } if id == self.id => {
                self.heard();
                self.told_end = true;
                return Doubt::Grave;
            }
            // Right after a reconnect the node comes without an id; the server tells it only to this client.
            Message::Executing { prompt_id, node, display_node } if self.is_ours(prompt_id.as_deref()) => {
                self.heard();
                self.enter(&node, &display_node);
            }
            Message::Progress { prompt_id, node, value, max } if self.is_ours(prompt_id.as_deref()) => {
                self.heard();
                // Upscalers and downloads count too; only a sampler's steps are the picture's.
                if phase(self.class_of(&node).or(self.class.as_deref()).unwrap_or_default()) == Some("sampling") {
                    (self.report)(Report::Steps { step: value, steps: max });
                }
            }
            Message::Picture { media_type, bytes, of } => self.picture(media_type, bytes, of),
            Message::Ended { .. } | Message::Executing { .. } | Message::Progress { .. } | Message::Other => {}
        }
        Doubt::None
    }

    fn is_ours(&self, prompt_id: Option<&str>) -> bool {
        prompt_id.is_none_or(|id| id == self.id)
    }

    fn heard(&mut self) {
        self.heard_of = true;
        self.away_since = None;
    }

    fn class_of(&self, node: &str) -> Option<&str> {
        self.job.graph[node]["class_type"].as_str()
    }

    fn enter(&mut self, node: &str, display_node: &str) {
        let class = self.class_of(node).or_else(|| self.class_of(display_node)).unwrap_or_default().to_owned();
        if let Some(phase) = phase(&class)
            && self.phase != Some(phase)
        {
            self.phase = Some(phase);
            (self.report)(Report::Phase(phase.to_owned()));
        }
        self.class = Some(class);
    }

    fn picture(&mut self, media_type: &'static str, bytes: Bytes, of: Option<PictureOf>) {
        let class = match &of {
            Some(of) if of.prompt_id != self.id => return,
            Some(of) => self.class_of(&of.node).or(self.class.as_deref()),
            // The layout without metadata names no job: it is ours while a node of ours runs.
            None => self.class.as_deref(),
        };
        let Some(class) = class else { return };
        if class == SOCKET_SAVER {
            let size: usize = self.pictures.iter().map(Bytes::len).sum();
            if self.pictures.len() < FILES && size + bytes.len() <= SOCKET_BYTES {
                self.pictures.push(bytes);
            }
        } else if self.job.pictures && !bytes.is_empty() {
            (self.report)(Report::Preview { media_type, bytes });
        }
    }

    /// Reads the history entry, and fetches what it names.
    async fn collect(&mut self, entry: &Value, heard: &mut mpsc::Receiver<Heard>) -> Result<Drawn, Stop> {
        let messages = entry["status"]["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let find = |name: &str| messages.iter().find(|message| message[0] == name).map(|message| &message[1]);
        if let Some(error) = find("execution_error") {
            return Err(words::failure(error));
        }
        if find("execution_interrupted").is_some() {
            return Err(Stop::Failed("somebody stopped the job on the server".to_owned()));
        }
        if entry["status"]["status_str"] == "error" {
            return Err(Stop::Failed("ComfyUI says that the job failed, and not why".to_owned()));
        }
        let by_socket = self.uses_socket_saver();
        if by_socket && !self.told_end && self.shared.line.open() {
            // An answer can overtake pictures that are still on the socket.
            let wait = self.shared.pace.retry;
            let rest = async {
                while !self.told_end
                    && let Some(heard) = heard.recv().await
                {
                    self.hear(heard);
                }
            };
            // On time-out, what came is what there is.
            let _ = timeout(wait, rest).await;
        }
        // Nothing more is listened to, and the socket must not wait for a listener.
        heard.close();
        self.phase = Some("fetching");
        (self.report)(Report::Phase("fetching".to_owned()));
        let mut files = self.fetch(&entry["outputs"]).await?;
        files.append(&mut self.pictures);
        files.truncate(FILES);
        if files.is_empty() {
            return Err(match (by_socket, self.gap || !self.heard_of) {
                (true, true) => Stop::Lost(
                    "the pictures were sent while the socket was gone; SaveImage keeps them on the server".to_owned(),
                ),
                _ => {
                    Stop::Failed("the job ended without a picture; does its graph save one, with SaveImage?".to_owned())
                }
            });
        }
        let time = |name: &str| find(name).and_then(|data| data["timestamp"].as_i64());
        let drawn_ms =
            time("execution_start").zip(time("execution_success")).map(|(start, end)| end.saturating_sub(start).max(0));
        Ok(Drawn { files, drawn_ms, warning: self.warning.clone(), prompt_id: self.id.clone() })
    }

    async fn fetch(&mut self, outputs: &Value) -> Result<Vec<Bytes>, Stop> {
        self.away_since = None;
        loop {
            match self.shared.calls.files(outputs).await {
                Ok(files) => return Ok(files),
                Err(EndpointError::Unexpected { status: 404, .. }) => {
                    return Err(Stop::Failed(
                        "the server names a picture that it no longer has; somebody removed the file there".to_owned(),
                    ));
                }
                Err(EndpointError::TooLarge(reason)) => return Err(Stop::Failed(reason)),
                Err(error) if self.is_away() => return Err(Stop::Unreachable(error.to_string())),
                Err(_) => sleep(self.shared.pace.retry).await,
            }
        }
    }

    fn uses_socket_saver(&self) -> bool {
        self.job.graph.as_object().is_some_and(|nodes| nodes.values().any(|node| node["class_type"] == SOCKET_SAVER))
    }
}

/// How much a message casts doubt on what is known of a job.
enum Doubt {
    None,
    /// Ask soon.
    Slight,
    /// Ask now.
    Grave,
}

async fn answer(asking: &mut Option<Asking<'_>>) -> Result<Known, EndpointError> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// What a node of this class does for the picture.
fn phase(class: &str) -> Option<&'static str> {
    if class.contains("Sampler") && !class.contains("Select") {
        Some("sampling")
    } else if class.contains("Decode") || class.starts_with("Save") || class.starts_with("Preview") {
        Some("decoding")
    } else if class.contains("Load") || class.contains("Encode") {
        Some("loading")
    } else {
        None
    }
}
