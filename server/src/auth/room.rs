//! The room's methods.

use std::{fmt, sync::Arc};

use sqlx::sqlite::SqliteConnection;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    caller::{Actor, Caller, Right, Role},
    clock::{Clock, Timestamp},
    db::{Db, WriteTx},
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::{SessionId, UserId},
    secrets::{hex, random, sha256},
};

use super::{
    SessionView, UserDraft, UserView,
    doorman::Doorman,
    heard::Ears,
    passwords::Passwords,
    rules::{self, Subject},
    store::{self, NewSession, UserRow},
};

/// Where a sign-in comes from.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// The network address, without port.
    pub address: String,
    /// The browser's own words about itself. Untrusted.
    pub user_agent: String,
}

/// A session just begun.
#[derive(Clone)]
pub struct SignedIn {
    /// The cookie's value: 256 random bits in hex. Stored only as a hash.
    pub secret: String,
    /// Who it is.
    pub caller: Caller,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").field("caller", &self.caller).finish_non_exhaustive()
    }
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    pub(super) db: Db,
    pub(super) events: Events,
    pub(super) clock: Clock,
    pub(super) doorman: Doorman,
    pub(super) ears: Ears,
    passwords: Passwords,
    setup_code: Option<Arc<str>>,
}

/// Who writes that a block began, or that a grant had to end: nobody is signed in then, so it is the hub itself.
pub(super) const DOOR: Actor = Actor::Hub("auth");

impl Auth {
    /// Opens the room. While there is no user, a set-up code is made (32 hex characters, only in memory).
    pub async fn open(db: Db, events: Events, clock: Clock) -> Result<Self, Error> {
        let setup_code = if store::any_user(db.read()).await? { None } else { Some(hex(&random::<16>()).into()) };
        let doorman = Doorman::away(db.clone(), clock.clone());
        Ok(Self { db, events, clock, doorman, ears: Ears::default(), passwords: Passwords::new(), setup_code })
    }

    /// The room with a doorman, a task of `tasks` that reads tokens together and ends with `stop`.
    pub async fn with_doorman(mut self, tasks: &TaskTracker, stop: CancellationToken) -> Result<Self, Error> {
        self.doorman.begin(tasks, stop).await?;
        Ok(self)
    }

    /// The set-up code, while there is no user.
    pub async fn setup_code(&self) -> Result<Option<String>, Error> {
        if store::any_user(self.db.read()).await? {
            return Ok(None);
        }
        Ok(self.setup_code.as_deref().map(str::to_owned))
    }

    /// Makes the owner account with the one-time code and signs it in.
    pub async fn setup(&self, code: &str, name: &str, password: &str, visitor: Visitor) -> Result<SignedIn, Error> {
        // The code comes first: a stranger without it learns nothing about the rest.
        self.check_code(code, &visitor).await?;
        let name = rules::typed_name(name);
        rules::user_name(&name)?;
        rules::password(password)?;
        let password_hash = self.passwords.turn().await?.hash(password).await?;

        let mut tx = self.db.write().await?;
        // Again, in the transaction that makes the owner: two browsers may have sent the right code.
        if store::any_user(&mut *tx).await? {
            return Err(already_set_up());
        }
        let now = self.clock.now();
        let user = UserRow { id: UserId::new(now), name, role: Role::Owner, password_hash, created_at: now };
        store::add_user(&mut *tx, &user).await?;
        let signed_in = begin_session(&mut tx, &user, &visitor, now).await?;
        let actor = &signed_in.caller.actor;
        self.events.append(&mut tx, actor, auth_event("added", user.id, &user.name)).await?;
        self.events.commit(tx, actor, auth_event("signed-in", user.id, &user.name)).await?;
        Ok(signed_in)
    }

    async fn check_code(&self, code: &str, visitor: &Visitor) -> Result<(), Error> {
        let subjects = [Subject::address(&visitor.address)];
        let mut tx = self.db.write().await?;
        if store::any_user(&mut *tx).await? {
            return Err(already_set_up());
        }
        let now = self.clock.now();
        refuse_blocked(&mut tx, &subjects, now).await?;
        // Comparing hashes takes the same time wherever the texts differ.
        let right =
            self.setup_code.as_deref().is_some_and(|it| sha256(it.as_bytes()) == sha256(code.trim().as_bytes()));
        if right {
            return Ok(());
        }
        self.count_failure(tx, &subjects, now).await?;
        Err(unauthorized("the set-up code is not right; copy the whole link that the hub printed when it started"))
    }

    /// Signs in with name and password.
    pub async fn login(&self, name: &str, password: &str, visitor: Visitor) -> Result<SignedIn, Error> {
        let name = rules::typed_name(name);
        // What cannot be a name gets no row of its own, or strangers could fill the table with long texts.
        let named = rules::user_name(&name).is_ok();
        let account = named.then(|| Subject::account(&name));
        let subjects: Vec<_> = account.clone().into_iter().chain([Subject::address(&visitor.address)]).collect();

        let checked = self.check_password(&subjects, Who::Named(&name), password).await?;
        let mut tx = self.db.write().await?;
        let now = self.clock.now();
        // This decides, not the look before the hash: of many tries at once only the free ones get an answer, since a
        // block refuses the right password as well as a wrong one.
        refuse_blocked(&mut tx, &subjects, now).await?;
        // The account may have gone or got another password while we hashed.
        let user = store::user_by_name(&mut *tx, &name).await?;
        let Some(user) = user.filter(|user| checked.as_ref() == Some(&user.password_hash)) else {
            self.count_failure(tx, &subjects, now).await?;
            return Err(unauthorized("the name or the password is not right; check both and try again"));
        };
        // The address keeps its count: else one own account would buy endless tries at the others.
        if let Some(account) = account {
            store::clear_failures(&mut *tx, &account.key).await?;
        }
        let signed_in = begin_session(&mut tx, &user, &visitor, now).await?;
        self.events.commit(tx, &signed_in.caller.actor, auth_event("signed-in", user.id, &user.name)).await?;
        Ok(signed_in)
    }

    /// The user's stored hash if `password` belongs to it. Without such a user it is `None` after the same time.
    async fn check_password(
        &self,
        subjects: &[Subject],
        who: Who<'_>,
        password: &str,
    ) -> Result<Option<String>, Error> {
        let turn = self.passwords.turn().await?;
        // After the wait, so that those who queued behind the failure that began a block cost no hash.
        refuse_blocked(&mut *self.db.read().acquire().await?, subjects, self.clock.now()).await?;
        let user = match who {
            Who::Named(name) => store::user_by_name(self.db.read(), name).await?,
            Who::Known(id) => store::user_by_id(self.db.read(), id).await?,
        };
        let stored = user.map(|user| user.password_hash).filter(|_| !rules::password_too_long(password));
        // Cut only for time: too long is wrong already.
        let password = if rules::password_too_long(password) { "" } else { password };
        let right = turn.verify(stored.clone(), password).await?;
        Ok(stored.filter(|_| right))
    }

    /// Ends the caller's own session.
    pub async fn logout(&self, who: &Caller) -> Result<(), Error> {
        let Some(session) = who.session else {
            return Err(Failure::invalid("this call has no session to end; a token ends by being revoked").into());
        };
        let mut tx = self.db.write().await?;
        // Already ended elsewhere: then it is as asked, and nothing happened.
        if store::delete_session(&mut *tx, session).await? > 0 {
            self.events.commit(tx, &who.actor, auth_event("signed-out", session, "")).await?;
        }
        Ok(())
    }

    /// Who a session cookie's value belongs to, if it is valid.
    pub async fn by_session(&self, secret: &str) -> Result<Option<Caller>, Error> {
        let now = self.clock.now();
        let Some(row) = store::session_by_secret(self.db.read(), sha256(secret.as_bytes()), now).await? else {
            return Ok(None);
        };
        if rules::stale(Some(row.last_seen_at), now) {
            let mut tx = self.db.write().await?;
            store::touch_session(&mut *tx, row.id, now, rules::session_expiry(now)).await?;
            tx.commit().await?;
        }
        Ok(Some(Caller { actor: Actor::User(row.user_id, row.name), role: row.role, session: Some(row.id) }))
    }

    /// The caller's sessions, newest first.
    pub async fn sessions(&self, who: &Caller) -> Result<Vec<SessionView>, Error> {
        match who.actor {
            Actor::User(id, _) => Ok(store::sessions(self.db.read(), id, who.session, self.clock.now()).await?),
            _ => Ok(Vec::new()), // only people sign in
        }
    }

    /// Ends one of the caller's sessions (an owner: anybody's).
    pub async fn revoke_session(&self, who: &Caller, id: SessionId) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let owner = store::session_owner(&mut *tx, id).await?;
        let mine = |user: UserId| matches!(who.actor, Actor::User(me, _) if me == user);
        // Somebody else's is as absent as none at all: ids say nothing to those who may not see them.
        let Some(owner) = owner.filter(|owner| who.role.may(Right::Own) || mine(owner.user_id)) else {
            return Err(Failure::not_found("this session").into());
        };
        store::delete_session(&mut *tx, id).await?;
        let event = auth_event("revoked", id, format!("session of {}", owner.name));
        self.events.commit(tx, &who.actor, event).await?;
        Ok(())
    }

    /// All users. Needs `Own`.
    pub async fn users(&self, who: &Caller) -> Result<Vec<UserView>, Error> {
        who.must(Right::Own)?;
        Ok(store::users(self.db.read()).await?)
    }

    /// Makes a user. Needs `Own`.
    pub async fn create_user(&self, who: &Caller, draft: UserDraft) -> Result<UserView, Error> {
        who.must(Right::Own)?;
        rules::user_name(&draft.name)?;
        rules::user_role(draft.role)?;
        rules::password(&draft.password)?;
        let password_hash = self.passwords.turn().await?.hash(&draft.password).await?;

        let mut tx = self.db.write().await?;
        if store::user_by_name(&mut *tx, &draft.name).await?.is_some() {
            return Err(conflict(format!("there is already a user {}; take another name", draft.name)));
        }
        // From the command line, before the set-up: it would close the set-up and leave nobody to manage users.
        if draft.role != Role::Owner && store::owners(&mut *tx).await? == 0 {
            return Err(conflict("the first user must be an owner; make an owner first"));
        }
        let now = self.clock.now();
        let user = UserRow { id: UserId::new(now), name: draft.name, role: draft.role, password_hash, created_at: now };
        store::add_user(&mut *tx, &user).await?;
        let event = auth_event("added", user.id, format!("{} as {}", user.name, user.role));
        self.events.commit(tx, &who.actor, event).await?;
        Ok(UserView { id: user.id, name: user.name, role: user.role, created_at: user.created_at })
    }

    /// Deletes a user with their sessions and the tokens they made, which they could go on using. Needs `Own`; the last
    /// owner stays.
    pub async fn delete_user(&self, who: &Caller, id: UserId) -> Result<(), Error> {
        who.must(Right::Own)?;
        let mut tx = self.db.write().await?;
        let Some(user) = store::user_by_id(&mut *tx, id).await? else {
            return Err(Failure::not_found("this user").into());
        };
        if user.role == Role::Owner && store::owners(&mut *tx).await? <= 1 {
            return Err(conflict(format!("{} is the last owner; make another owner first", user.name)));
        }
        let sessions = store::delete_sessions_of(&mut *tx, id, None).await?;
        let tokens = store::delete_tokens_of(&mut *tx, &maker(&Actor::User(id, String::new()))).await?;
        store::delete_user(&mut *tx, id).await?;
        let detail = format!("{}; sessions ended: {sessions}, tokens revoked: {tokens}", user.name);
        self.events.commit(tx, &who.actor, auth_event("removed", id, detail)).await?;
        Ok(())
    }

    /// Changes the caller's own password and ends their other sessions.
    pub async fn change_password(&self, who: &Caller, old: &str, new: &str) -> Result<(), Error> {
        let Actor::User(id, name) = &who.actor else {
            let message = "only a signed-in person has a password to change";
            return Err(Failure::new(FailureKind::Forbidden, message).into());
        };
        rules::password(new)?;
        // Counted like a sign-in: else a stolen session could try passwords without end.
        let account = Subject::account(name);
        let subjects = std::slice::from_ref(&account);
        let checked = self.check_password(subjects, Who::Known(*id), old).await?;
        let hash = match checked {
            Some(_) => Some(self.passwords.turn().await?.hash(new).await?),
            None => None,
        };

        let mut tx = self.db.write().await?;
        let now = self.clock.now();
        refuse_blocked(&mut tx, subjects, now).await?;
        let user = store::user_by_id(&mut *tx, *id).await?;
        let unchanged = user.is_some_and(|user| checked.as_ref() == Some(&user.password_hash));
        let Some(hash) = hash.filter(|_| unchanged) else {
            self.count_failure(tx, subjects, now).await?;
            return Err(Failure::invalid("the old password is not right; nothing was changed").into());
        };
        store::clear_failures(&mut *tx, &account.key).await?;
        store::set_password(&mut *tx, *id, &hash).await?;
        let ended = store::delete_sessions_of(&mut *tx, *id, who.session).await?;
        let event = auth_event("changed", id, format!("password of {name}; other sessions ended: {ended}"));
        self.events.commit(tx, &who.actor, event).await?;
        Ok(())
    }

    /// Deletes what has expired; says how many rows. No event: what is deleted had stopped working before.
    pub async fn prune(&self) -> Result<u64, Error> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        let sessions = store::delete_expired_sessions(&mut *tx, now).await?;
        let tokens = store::delete_expired_tokens(&mut *tx, now.plus(-rules::TOKEN_KEPT)).await?;
        let failures = store::delete_old_failures(&mut *tx, now.plus(-rules::FORGOTTEN_AFTER)).await?;
        tx.commit().await?;
        Ok(sessions + tokens + failures)
    }

    /// Counts a failure of each of `subjects` and commits. An event is written only where a block begins: else
    /// strangers could flood the audit log.
    async fn count_failure(&self, mut tx: WriteTx, subjects: &[Subject], now: Timestamp) -> Result<(), Error> {
        let mut locked = Vec::new();
        for subject in subjects {
            let before = store::failures(&mut *tx, &subject.key).await?.unwrap_or_default();
            let after = before.and_one(subject.free, now);
            store::set_failures(&mut *tx, &subject.key, after).await?;
            if let Some(left) = after.wait(now) {
                locked.push(auth_event("locked", &subject.key, format!("for {}", rules::span(left))));
            }
        }
        let Some(last) = locked.pop() else {
            return Ok(tx.commit().await?);
        };
        for event in locked {
            self.events.append(&mut tx, &DOOR, event).await?;
        }
        self.events.commit(tx, &DOOR, last).await?;
        Ok(())
    }
}

/// Whose password is checked.
enum Who<'a> {
    Named(&'a str),
    Known(UserId),
}

/// Refuses while one of `subjects` is blocked, and says for how long.
async fn refuse_blocked(db: &mut SqliteConnection, subjects: &[Subject], now: Timestamp) -> Result<(), Error> {
    let mut longest = None;
    for subject in subjects {
        let failures = store::failures(&mut *db, &subject.key).await?.unwrap_or_default();
        longest = longest.max(failures.wait(now));
    }
    longest.map_or(Ok(()), |left| Err(rules::blocked(left).into()))
}

async fn begin_session(tx: &mut WriteTx, user: &UserRow, visitor: &Visitor, now: Timestamp) -> Result<SignedIn, Error> {
    let secret = hex(&random::<32>());
    let session = NewSession {
        id: SessionId::new(now),
        user_id: user.id,
        secret_hash: sha256(secret.as_bytes()),
        created_at: now,
        expires_at: rules::session_expiry(now),
        address: rules::cut(&visitor.address, 64),
        user_agent: rules::cut(&visitor.user_agent, 200),
    };
    store::add_session(&mut **tx, &session).await?;
    let actor = Actor::User(user.id, user.name.clone());
    Ok(SignedIn { secret, caller: Caller { actor, role: user.role, session: Some(session.id) } })
}

/// Who made a token, by id: a name may be given to somebody else later.
pub(super) fn maker(actor: &Actor) -> String {
    match actor {
        Actor::User(id, _) => format!("user:{id}"),
        Actor::Token(id, _) | Actor::Agent(id, _) => format!("token:{id}"),
        Actor::Guest(_) | Actor::Loop(_) | Actor::Hub(_) | Actor::Cli => actor.to_string(),
    }
}

pub(super) fn auth_event(kind: &'static str, subject: impl ToString, detail: impl Into<String>) -> NewEvent {
    NewEvent::new(Topic::Auth, kind, subject, detail)
}

fn already_set_up() -> Error {
    conflict("this hub is set up already; sign in instead")
}

fn conflict(message: impl Into<String>) -> Error {
    Failure::new(FailureKind::Conflict, message).into()
}

pub(super) fn unauthorized(message: &str) -> Error {
    Failure::new(FailureKind::Unauthorized, message).into()
}
