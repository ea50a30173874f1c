//! The room's methods.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::Client;
use url::Url;

use super::{
    Catalog, CheckView, Endpoint, Health, MicroUsd, ServiceAuth, ServiceDraft, ServiceView, TestReport, comfyui, rules,
    store,
};
use crate::{
    caller::{Caller, Right},
    clock::{Clock, SECOND, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::ServiceId,
    secrets::Secrets,
};

/// How long a catalog is believed without asking again.
const CATALOG_AGE: i64 = 60 * SECOND;

/// What is wrong with a service whose credential was sealed with another key.
const LOCKED: &str = "its stored credential does not open with this hub's key; enter it again";

/// An active service, ready to be asked.
#[derive(Clone, Debug)]
pub struct ActiveService {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
    /// What an hour of it costs.
    pub price_per_hour: MicroUsd,
    /// When its settings last changed; a renderer made before that is stale.
    pub updated_at: Timestamp,
    /// What its last check said.
    pub health: Health,
    /// How to reach it.
    pub endpoint: Endpoint,
    /// Its stored credential does not open, so it is not asked: the hub's key is another one than when it was entered.
    pub locked: bool,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    db: Db,
    events: Events,
    clock: Clock,
    secrets: Secrets,
    client: Client,
    catalogs: Arc<Mutex<HashMap<ServiceId, (Timestamp, Catalog)>>>,
}

impl Services {
    /// Opens the room. `client` is [`Endpoint::client`].
    pub fn open(db: Db, events: Events, clock: Clock, secrets: Secrets, client: Client) -> Self {
        Self { db, events, clock, secrets, client, catalogs: Arc::default() }
    }

    /// All services by name, each with its last 60 checks.
    pub async fn list(&self, who: &Caller) -> Result<Vec<ServiceView>, Error> {
        who.must(Right::Look)?;
        store::list(self.db.read()).await
    }

    /// One service.
    pub async fn get(&self, who: &Caller, id: ServiceId) -> Result<ServiceView, Error> {
        who.must(Right::Look)?;
        self.view(id).await
    }

    /// Adds a service, not active: it takes work only once [`Services::set_active`] has tested it.
    pub async fn add(&self, who: &Caller, draft: ServiceDraft) -> Result<ServiceView, Error> {
        who.must(Right::Operate)?;
        let url = rules::check(&draft)?;
        let auth = draft.auth.clone().unwrap_or(ServiceAuth::None);
        let (id, now) = (ServiceId::new(self.clock.now()), self.clock.now());
        let sealed = self.seal(id, &auth)?;
        let mut tx = self.db.write().await?;
        if store::name_taken(&mut tx, &draft.name, id).await? {
            return Err(name_taken(&draft.name).into());
        }
        store::insert(&mut tx, id, &draft, url.as_str(), auth.word(), sealed.as_deref(), now).await?;
        self.events.commit(tx, &who.actor, NewEvent::new(Topic::Services, "added", id, draft.name)).await?;
        self.view(id).await
    }

    /// Replaces a service's settings. `auth: None` keeps the stored credential, but never for another host: a stored
    /// secret must not be sent where an editor points it.
    pub async fn update(&self, who: &Caller, id: ServiceId, draft: ServiceDraft) -> Result<ServiceView, Error> {
        who.must(Right::Operate)?;
        let url = rules::check(&draft)?;
        self.view(id).await?; // what is not there is not changed, and leaves no event
        let auth = self.auth_for(&draft, &url, Some(id)).await?;
        let sealed = self.seal(id, &auth)?;
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        if store::name_taken(&mut tx, &draft.name, id).await? {
            return Err(name_taken(&draft.name).into());
        }
        store::update(&mut tx, id, &draft, url.as_str(), auth.word(), sealed.as_deref(), now).await?;
        self.events.commit(tx, &who.actor, NewEvent::new(Topic::Services, "changed", id, draft.name)).await?;
        self.catalogs().remove(&id);
        self.view(id).await
    }

    /// Removes a service with its health history. Its pictures stay.
    pub async fn remove(&self, who: &Caller, id: ServiceId) -> Result<(), Error> {
        who.must(Right::Operate)?;
        let name = self.view(id).await?.name;
        let mut tx = self.db.write().await?;
        store::delete(&mut tx, id).await?;
        self.events.commit(tx, &who.actor, NewEvent::new(Topic::Services, "removed", id, name)).await?;
        self.catalogs().remove(&id);
        Ok(())
    }

    /// Gives a service work, or takes it away. To activate it is tested first; what fails the test is refused.
    pub async fn set_active(&self, who: &Caller, id: ServiceId, active: bool) -> Result<ServiceView, Error> {
        who.must(Right::Operate)?;
        let view = self.view(id).await?;
        if active {
            let (endpoint, _) = self.endpoint(id).await?;
            let report = comfyui::test(&endpoint).await;
            self.record(id, &report).await?;
            if let Some(step) = report.steps.iter().find(|step| !step.good) {
                return Err(Failure::new(
                    FailureKind::Outside,
                    format!("{} stays inactive: {} failed. {}", view.name, step.asked, step.answer),
                )
                .into());
            }
        }
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        store::set_active(&mut tx, id, active, now).await?;
        let kind = if active { "activated" } else { "deactivated" };
        self.events.commit(tx, &who.actor, NewEvent::new(Topic::Services, kind, id, view.name)).await?;
        self.view(id).await
    }

    /// Asks the service of `draft` for real, without storing anything. `existing`: the service being edited, whose stored
    /// credential is used where the draft has none.
    pub async fn test(
        &self,
        who: &Caller,
        draft: ServiceDraft,
        existing: Option<ServiceId>,
    ) -> Result<TestReport, Error> {
        who.must(Right::Operate)?;
        let url = rules::check(&draft)?;
        let auth = self.auth_for(&draft, &url, existing).await?;
        Ok(comfyui::test(&Endpoint::new(self.client.clone(), &url, auth)).await)
    }

    /// Tests a stored service and keeps the result as a health check.
    pub async fn check(&self, who: &Caller, id: ServiceId) -> Result<TestReport, Error> {
        who.must(Right::Operate)?;
        let (endpoint, _) = self.endpoint(id).await?;
        let report = comfyui::test(&endpoint).await;
        self.record(id, &report).await?;
        Ok(report)
    }

    /// What a service offers; at most 60 s old.
    pub async fn catalog(&self, who: &Caller, id: ServiceId) -> Result<Catalog, Error> {
        who.must(Right::Look)?;
        let now = self.clock.now();
        let known =
            self.catalogs().get(&id).filter(|(at, _)| now.since(*at) < CATALOG_AGE).map(|(_, catalog)| catalog.clone());
        if let Some(catalog) = known {
            return Ok(catalog);
        }
        let (endpoint, _) = self.endpoint(id).await?;
        let catalog =
            comfyui::catalog(&endpoint).await.map_err(|error| Failure::new(FailureKind::Outside, error.to_string()))?;
        self.catalogs().insert(id, (now, catalog.clone()));
        Ok(catalog)
    }

    /// The active services, for the room `images`.
    pub async fn active(&self) -> Result<Vec<ActiveService>, Error> {
        let mut active = Vec::new();
        for row in store::active(self.db.read()).await? {
            // One that does not open must not hold up the others.
            let auth = self.unseal(row.id, row.auth.as_deref());
            let locked = auth.is_err();
            let url = Url::parse(&row.base_url).map_err(anyhow::Error::from)?;
            active.push(ActiveService {
                id: row.id,
                name: row.name,
                price_per_hour: row.price_per_hour,
                updated_at: row.updated_at,
                health: if locked { Health::Down } else { row.health.unwrap_or(Health::Unknown) },
                endpoint: Endpoint::new(self.client.clone(), &url, auth.unwrap_or(ServiceAuth::None)),
                locked,
            });
        }
        Ok(active)
    }

    /// Checks every active service once; the loop `infrastructure` calls it. Says how many answered, of how many.
    pub async fn check_active(&self) -> Result<(usize, usize), Error> {
        let services = self.active().await?;
        let of = services.len();
        let checks = services.into_iter().map(|service| async move {
            let at = self.clock.now();
            let check = match service.locked {
                false => comfyui::check(&service.endpoint, at).await,
                true => CheckView { at, health: Health::Down, response_ms: None, problem: Some(LOCKED.to_owned()) },
            };
            let good = check.health != Health::Down;
            self.keep_check(service.id, &check, None).await.map(|()| good)
        });
        let mut good = 0;
        for result in futures_util::future::join_all(checks).await {
            good += usize::from(result?);
        }
        Ok((good, of))
    }

    /// Deletes checks made before `cutoff`; says how many.
    pub async fn prune(&self, cutoff: Timestamp) -> Result<u64, Error> {
        let mut tx = self.db.write().await?;
        let deleted = store::prune_checks(&mut tx, cutoff).await?;
        tx.commit().await?;
        Ok(deleted)
    }

    async fn view(&self, id: ServiceId) -> Result<ServiceView, Error> {
        store::get(self.db.read(), id).await?.ok_or_else(|| Failure::not_found("this service").into())
    }

    async fn endpoint(&self, id: ServiceId) -> Result<(Endpoint, Url), Error> {
        let row = store::connection(self.db.read(), id).await?.ok_or_else(|| Failure::not_found("this service"))?;
        let url = Url::parse(&row.base_url).map_err(anyhow::Error::from)?;
        let auth = self.unseal(id, row.auth.as_deref())?;
        Ok((Endpoint::new(self.client.clone(), &url, auth), url))
    }

    /// The credential a draft means: its own, or the stored one if the host stays the same.
    async fn auth_for(
        &self,
        draft: &ServiceDraft,
        url: &Url,
        existing: Option<ServiceId>,
    ) -> Result<ServiceAuth, Error> {
        match (&draft.auth, existing) {
            (Some(auth), _) => Ok(auth.clone()),
            (None, None) => Ok(ServiceAuth::None),
            (None, Some(id)) => {
                let row =
                    store::connection(self.db.read(), id).await?.ok_or_else(|| Failure::not_found("this service"))?;
                let auth = self.unseal(id, row.auth.as_deref())?;
                let same = Url::parse(&row.base_url).is_ok_and(|old| old.origin() == url.origin());
                if same || auth == ServiceAuth::None {
                    return Ok(auth);
                }
                Err(Failure::invalid(
                    "the address leads to another host; enter the credential again, the stored one is not sent there",
                )
                .into())
            }
        }
    }

    async fn record(&self, id: ServiceId, report: &TestReport) -> Result<(), Error> {
        let check = rules::check_of(report, self.clock.now());
        self.keep_check(id, &check, Some(report)).await
    }

    /// Stores a check; writes an event only when the health changed, so that a steady service does not fill the log.
    async fn keep_check(&self, id: ServiceId, check: &CheckView, report: Option<&TestReport>) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let Some((name, before)) = store::health_before(&mut tx, id).await? else {
            return Ok(()); // removed while it was asked
        };
        store::insert_check(&mut tx, id, check).await?;
        if let Some(report) = report.filter(|report| report.version.is_some()) {
            store::set_described(&mut tx, id, report).await?;
        }
        // Every check is an event only when it changes what people should know.
        if before == Some(check.health) {
            tx.commit().await?;
            return Ok(());
        }
        let detail = match &check.problem {
            Some(problem) => format!("{name}: {problem}"),
            None => name,
        };
        self.events
            .commit(
                tx,
                &Caller::of_loop("infrastructure").actor,
                NewEvent::new(Topic::Services, check.health.word(), id, detail),
            )
            .await?;
        Ok(())
    }

    fn seal(&self, id: ServiceId, auth: &ServiceAuth) -> Result<Option<Vec<u8>>, Error> {
        if *auth == ServiceAuth::None {
            return Ok(None);
        }
        let plain = serde_json::to_vec(auth).map_err(anyhow::Error::from)?;
        Ok(Some(self.secrets.seal(&purpose(id), &plain)?))
    }

    fn unseal(&self, id: ServiceId, sealed: Option<&[u8]>) -> Result<ServiceAuth, Error> {
        let Some(sealed) = sealed else { return Ok(ServiceAuth::None) };
        let plain = self.secrets.open(&purpose(id), sealed)?;
        Ok(serde_json::from_slice(&plain).map_err(anyhow::Error::from)?)
    }

    fn catalogs(&self) -> std::sync::MutexGuard<'_, HashMap<ServiceId, (Timestamp, Catalog)>> {
        self.catalogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn purpose(id: ServiceId) -> String {
    format!("service/{id}")
}

fn name_taken(name: &str) -> Failure {
    Failure::new(FailureKind::Conflict, format!("there is already a service named \"{name}\"; choose another name"))
}
