//! Gives waiting images to renderers and settles how they end.
//!
//! One dispatcher task decides, one short-lived task per running image draws. A renderer has at most one image of ours at a
//! time, so order, cancelling and counting are ours and exact. The row in `images` is the only truth:
//!
//! * an image is claimed (`queued` → `running`, with our prompt id) before the service hears of it;
//! * after a restart every `running` row is taken up again: the service is asked for that prompt id, and what it forgot is
//!   put back into the queue;
//! * only a `running` row can be settled, in the transaction that also records its pictures: no image ends twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    ImageDraft, ImageStatus,
    comfy::Comfy,
    drawing::{self, Assignment, Ending},
    room::{Inner, title},
    rules,
    store::{self, OpenRow, Outcome},
};
use crate::{
    clock::{SECOND, Timestamp},
    error::Error,
    id::{ImageId, ServiceId},
    services::{ActiveService, Health, MicroUsd},
};

/// How often the dispatcher looks without being woken: services come and go by themselves.
const LOOK: Duration = Duration::from_secs(2);
/// How long a service that could not be reached is left alone.
const REST: i64 = 15 * SECOND;
/// Pause before a result that could not be recorded (disk full, say) is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Who draws: a service, or the built-in renderer.
type Runner = Option<ServiceId>;

struct Renderer {
    comfy: Comfy,
    since: Timestamp,
    stop: CancellationToken,
}

/// See the module.
pub(super) struct Dispatcher {
    inner: Arc<Inner>,
    renderers: HashMap<ServiceId, Renderer>,
    /// Ends of drawing tasks: who is free again, and what was learnt of it.
    ended: tokio::sync::mpsc::UnboundedReceiver<Ended>,
    report: tokio::sync::mpsc::UnboundedSender<Ended>,
    busy: HashSet<Runner>,
    /// Services that could not be reached: until when they are left alone, and why.
    resting: HashMap<ServiceId, (Timestamp, String)>,
    /// Services that said they cannot draw an image (a missing model); another one is tried.
    unfit: HashMap<ImageId, HashSet<ServiceId>>,
}

/// What a drawing task tells the dispatcher when it is over.
struct Ended {
    id: ImageId,
    runner: Runner,
    /// Why the service could not be reached.
    unreachable: Option<String>,
    /// The service cannot draw this image.
    unfit: bool,
    /// The image waits again.
    requeued: bool,
}

impl Dispatcher {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let (report, ended) = tokio::sync::mpsc::unbounded_channel();
        Self {
            inner,
            renderers: HashMap::new(),
            ended,
            report,
            busy: HashSet::new(),
            resting: HashMap::new(),
            unfit: HashMap::new(),
        }
    }

    /// Runs until the hub stops.
    pub(super) async fn run(mut self) {
        let mut taken_up = false;
        loop {
            if !taken_up {
                match self.take_up().await {
                    Ok(()) => taken_up = true,
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "running images cannot be taken up again; trying later"
                    ),
                }
            }
            if taken_up && let Err(error) = self.round().await {
                tracing::error!(error = format!("{error:#}"), "waiting images cannot be given out; trying later");
            }
            let inner = self.inner.clone();
            tokio::select! {
                () = inner.stop.cancelled() => return,
                () = inner.nudge.notified() => {}
                Some(ended) = self.ended.recv() => self.note(ended),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Takes up what was running when the hub last ended.
    async fn take_up(&mut self) -> Result<(), Error> {
        let services = self.inner.services.active().await?;
        for row in store::open(self.inner.db.read(), ImageStatus::Running, None).await? {
            let service = services.iter().find(|service| Some(service.id) == row.runner_id);
            match (row.prompt_id.clone(), service) {
                (Some(prompt_id), Some(service)) if !self.busy.contains(&Some(service.id)) => {
                    let comfy = self.renderer(service);
                    self.start(row, Some((service.clone(), comfy, prompt_id)), true)?;
                }
                // The built-in renderer keeps nothing, and a service that is no longer active is no longer asked.
                _ if row.cancel => {
                    settle(&self.inner, row.id, &Ending::Cancelled, None).await?;
                }
                _ => {
                    let reason = "the hub restarted while it was drawn; it is drawn again";
                    settle(&self.inner, row.id, &Ending::Interrupted(reason.into()), None).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives every free renderer the oldest image it may draw.
    async fn round(&mut self) -> Result<(), Error> {
        while let Ok(ended) = self.ended.try_recv() {
            self.note(ended);
        }
        // A cancel that came while an image was being claimed found nobody to tell.
        for row in store::open(self.inner.db.read(), ImageStatus::Running, None).await? {
            if row.cancel {
                self.inner.live.cancel(row.id);
            }
        }
        let mut last = None;
        loop {
            let queued = store::open(self.inner.db.read(), ImageStatus::Queued, last).await?;
            // After the images: who activates a service and then asks for one does not get a sketch.
            let services = self.inner.services.active().await?;
            self.forget_changed(&services);
            last = queued.last().map(|row| row.id);
            self.give_out(queued, &services).await?;
            // Those that wait for a service which is not there must not hold up the others behind them.
            let all_busy = match services.as_slice() {
                [] => self.busy.contains(&None),
                services => services.iter().all(|service| self.busy.contains(&Some(service.id))),
            };
            if last.is_none() || all_busy {
                return Ok(());
            }
        }
    }

    /// Gives these images to renderers as far as there are free ones.
    async fn give_out(&mut self, queued: Vec<OpenRow>, services: &[ActiveService]) -> Result<(), Error> {
        for row in queued {
            let draft: ImageDraft = match serde_json::from_str(&row.draft) {
                Ok(draft) => draft,
                Err(error) => {
                    tracing::error!(image.id = %row.id, %error, "an image's draft is unreadable");
                    continue;
                }
            };
            let active = services.iter().map(|service| service.id);
            if let Some(reason) = rules::nobody_draws(&draft, row.service_id, active) {
                self.explain(&row, reason).await?;
                continue;
            }
            if services.is_empty() {
                self.give_to_sketch(row).await?;
                continue;
            }
            match self.choose(&row, services).await {
                Choice::Service(service) => self.give_to_service(row, service).await?,
                Choice::Busy => {}
                Choice::Waits(reason) => self.explain(&row, &reason).await?,
                Choice::Never(reason) => self.refuse(row.id, reason).await?,
            }
        }
        Ok(())
    }

    /// The free service with the shortest queue that may draw this image.
    async fn choose(&mut self, row: &OpenRow, services: &[ActiveService]) -> Choice {
        let wanted: Vec<_> =
            services.iter().filter(|service| row.service_id.is_none_or(|id| id == service.id)).collect();
        let unfit = self.unfit.get(&row.id);
        let fit: Vec<_> =
            wanted.into_iter().filter(|service| !unfit.is_some_and(|unfit| unfit.contains(&service.id))).collect();
        if fit.is_empty() {
            return Choice::Never("no active service can draw it".into());
        }
        let now = self.inner.clock.now();
        let up = |service: &&&ActiveService| {
            service.health != Health::Down && self.resting.get(&service.id).is_none_or(|(until, _)| *until <= now)
        };
        let up: Vec<_> = fit.iter().filter(up).copied().collect();
        if up.is_empty() {
            let named = |service: &&ActiveService| match self.resting.get(&service.id) {
                Some((_, why)) => format!("{} ({why})", service.name),
                None => service.name.clone(),
            };
            let names = fit.iter().map(named).collect::<Vec<_>>().join(", ");
            return Choice::Waits(format!("waits until a service answers again: {names}"));
        }
        let mut free: Vec<_> = up.into_iter().filter(|service| !self.busy.contains(&Some(service.id))).collect();
        if free.len() > 1 {
            // Others use these servers too; a bounded look at how many jobs wait there.
            let asked: Vec<_> = free.iter().map(|service| self.renderer(service)).collect();
            let queues = asked.iter().map(|comfy| async {
                tokio::time::timeout(Duration::from_secs(2), comfy.queue_remaining()).await.ok()?.ok()
            });
            let queues = futures_util::future::join_all(queues).await;
            let mut ranked: Vec<_> = free.iter().copied().zip(queues).collect();
            ranked.sort_by_key(|(_, queue)| queue.unwrap_or(u32::MAX));
            free = ranked.into_iter().map(|(service, _)| service).collect();
        }
        free.first().map_or(Choice::Busy, |service| Choice::Service((*service).clone()))
    }

    async fn give_to_sketch(&mut self, row: OpenRow) -> Result<(), Error> {
        if self.busy.contains(&None) || !self.claim(row.id, "sketch", None, None).await? {
            return Ok(());
        }
        self.start(row, None, false)
    }

    async fn give_to_service(&mut self, row: OpenRow, service: ActiveService) -> Result<(), Error> {
        let comfy = self.renderer(&service);
        let prompt_id = ImageId::new(self.inner.clock.now()).to_string();
        // The graph is built (and an upload made) by the drawing task; here only what must be durable before.
        if !self.claim(row.id, &service.name, Some(service.id), Some(&prompt_id)).await? {
            return Ok(());
        }
        self.start(row, Some((service, comfy, prompt_id)), false)
    }

    async fn claim(&self, id: ImageId, renderer: &str, runner: Runner, prompt_id: Option<&str>) -> Result<bool, Error> {
        let mut tx = self.inner.db.write().await?;
        if !store::claim(&mut tx, id, renderer, runner, prompt_id, self.inner.clock.now()).await? {
            return Ok(false);
        }
        let (actor, event) = Inner::event("started", id, renderer);
        self.inner.events.commit(tx, &actor, event).await?;
        Ok(true)
    }

    /// Spawns the task that draws a claimed image.
    fn start(
        &mut self,
        row: OpenRow,
        service: Option<(ActiveService, Comfy, String)>,
        resume: bool,
    ) -> Result<(), Error> {
        let draft: ImageDraft = serde_json::from_str(&row.draft).map_err(anyhow::Error::from)?;
        let runner = service.as_ref().map(|(service, ..)| service.id);
        let price = service.as_ref().map(|(service, ..)| service.price_per_hour);
        let cancel = self.inner.live.begin(row.id);
        if row.cancel {
            cancel.cancel();
        }
        self.busy.insert(runner);
        let (inner, report, id) = (self.inner.clone(), self.report.clone(), row.id);
        self.inner.tasks.spawn(async move {
            let comfy = service.as_ref().map(|(_, comfy, _)| comfy.clone());
            let draw = async {
                match service {
                    Some((service, comfy, prompt_id)) => {
                        let work = Assignment { id, draft, service: service.id, prompt_id, resume };
                        drawing::comfy(&inner, work, &comfy, &cancel).await
                    }
                    None => drawing::sketch(&inner, id, draft, &cancel).await,
                }
            };
            // At the end of the hub the row stays `running`: the next start asks the service how it went.
            let ending = tokio::select! {
                // First: the connection ends with the hub too, and that must not pass for the service's failure.
                biased;
                () = inner.stop.cancelled() => { inner.live.end(id); return }
                ending = draw => ending,
            };
            let requeued = settle_for_sure(&inner, id, &ending, price).await;
            inner.live.end(id);
            if let (Ending::Done { prompt_id: Some(prompt_id), .. }, Some(comfy)) = (&ending, comfy) {
                let prompt_id = prompt_id.clone();
                // Beside the next drawing: nobody waits for it.
                inner.tasks.spawn(async move { comfy.forget(&prompt_id).await });
            }
            let _ = report.send(Ended {
                id,
                runner,
                unreachable: if let Ending::Unreachable(why) = &ending { Some(why.clone()) } else { None },
                unfit: matches!(ending, Ending::Unfit(_)),
                requeued,
            });
        });
        Ok(())
    }

    /// What to remember of an ended drawing.
    fn note(&mut self, ended: Ended) {
        self.busy.remove(&ended.runner);
        if let (Some(service), Some(why)) = (ended.runner, ended.unreachable) {
            self.resting.insert(service, (self.inner.clock.now().plus(REST), why));
        }
        match ended.runner {
            Some(service) if ended.unfit && ended.requeued => {
                self.unfit.entry(ended.id).or_default().insert(service);
            }
            _ if !ended.requeued => {
                self.unfit.remove(&ended.id);
            }
            _ => {}
        }
    }

    /// The connection to a service, made on first use.
    fn renderer(&mut self, service: &ActiveService) -> Comfy {
        let inner = &self.inner;
        let renderer = self.renderers.entry(service.id).or_insert_with(|| {
            let stop = inner.stop.child_token();
            let client_id = format!("central-mcp-{}", service.id);
            let comfy = Comfy::start(service.endpoint.clone(), client_id, &inner.tasks, stop.clone());
            Renderer { comfy, since: service.updated_at, stop }
        });
        renderer.comfy.clone()
    }

    /// Drops connections to services that were removed, deactivated or changed; a running job keeps its own clone.
    fn forget_changed(&mut self, services: &[ActiveService]) {
        let busy = &self.busy;
        self.renderers.retain(|id, renderer| {
            let current = services.iter().any(|service| service.id == *id && service.updated_at == renderer.since);
            if current || busy.contains(&Some(*id)) {
                return true;
            }
            renderer.stop.cancel();
            false
        });
    }

    /// Says why an image waits, once.
    async fn explain(&self, row: &OpenRow, reason: &str) -> Result<(), Error> {
        if row.reason.as_deref() == Some(reason) {
            return Ok(());
        }
        let id = row.id;
        let mut tx = self.inner.db.write().await?;
        if store::set_reason(&mut tx, id, reason).await? {
            let (actor, event) = Inner::event("waits", id, reason);
            self.inner.events.commit(tx, &actor, event).await?;
        }
        Ok(())
    }

    /// Fails a queued image that no service can draw, with the last service's own reason.
    async fn refuse(&mut self, id: ImageId, reason: String) -> Result<(), Error> {
        self.unfit.remove(&id);
        let mut tx = self.inner.db.write().await?;
        if store::fail_queued(&mut tx, id, &reason, self.inner.clock.now()).await? {
            let (actor, event) = Inner::event("failed", id, reason);
            self.inner.events.commit(tx, &actor, event).await?;
        }
        Ok(())
    }
}

enum Choice {
    Service(ActiveService),
    Busy,
    Waits(String),
    Never(String),
}

/// Settles, and if that fails (a full disk) tries until it works or the hub ends: a finished drawing must not be lost to a
/// fault that somebody can mend. Says whether the image waits again.
async fn settle_for_sure(inner: &Arc<Inner>, id: ImageId, ending: &Ending, price: Option<MicroUsd>) -> bool {
    loop {
        match settle(inner, id, ending, price).await {
            Ok(requeued) => return requeued,
            Err(error) => {
                tracing::error!(image.id = %id, error = format!("{error:#}"), "a result cannot be recorded; trying again")
            }
        }
        tokio::select! {
            () = inner.stop.cancelled() => return false,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Records how a running image ended, or puts it back into the queue (`true`).
async fn settle(inner: &Arc<Inner>, id: ImageId, ending: &Ending, price: Option<MicroUsd>) -> Result<bool, Error> {
    let now = inner.clock.now();
    let mut tx = inner.db.write().await?;
    let (attempts, prompt) = store::attempts(&mut tx, id).await?;
    let most = if matches!(ending, Ending::Interrupted(_)) { rules::INTERRUPTIONS } else { rules::ATTEMPTS };
    let tired = attempts >= i64::from(most);
    let (status, kind, reason) = match ending {
        Ending::Done { warning, .. } => (ImageStatus::Done, "done", warning.clone()),
        Ending::Failed(reason) => (ImageStatus::Failed, "failed", Some(reason.clone())),
        Ending::Cancelled => (ImageStatus::Cancelled, "cancelled", None),
        Ending::Again(reason) | Ending::Unreachable(reason) | Ending::Interrupted(reason) if tired => (
            ImageStatus::Failed,
            "failed",
            Some(format!(
                "{}. Given up after {attempts} attempts; retry when the service is well.",
                reason.trim_end_matches('.')
            )),
        ),
        // Unfit is no attempt worth counting out: each service is asked once, then the dispatcher gives up by itself.
        Ending::Again(reason) | Ending::Unreachable(reason) | Ending::Interrupted(reason) | Ending::Unfit(reason) => {
            (ImageStatus::Queued, "requeued", Some(reason.clone()))
        }
    };
    let (drawn_ms, pictures) = match ending {
        Ending::Done { drawn_ms, pictures, .. } => (Some(*drawn_ms), pictures.as_slice()),
        _ => (None, [].as_slice()),
    };
    let cost = drawn_ms.zip(price).map(|(ms, price)| MicroUsd(rules::cost(price.0, ms)));
    let finished_at = status.ended().then_some(now);
    let outcome = Outcome { status, drawn_ms, cost, reason: reason.as_deref(), finished_at };
    if !store::settle(&mut tx, id, &outcome).await? {
        return Ok(false); // no longer running: nothing to record, and nothing is recorded twice
    }
    for (n, picture) in (0..).zip(pictures) {
        store::insert_picture(&mut tx, id, n, picture).await?;
    }
    let detail = match status {
        ImageStatus::Done | ImageStatus::Cancelled => title(&prompt),
        _ => reason.unwrap_or_default(),
    };
    let (actor, event) = Inner::event(kind, id, detail);
    inner.events.commit(tx, &actor, event).await?;
    metrics::counter!("central_mcp_images_ended", "status" => status.word()).increment(1);
    Ok(status == ImageStatus::Queued)
}
