//! Grants: tokens that a client got because a person let it in (OAuth).
//!
//! A grant is a token whose secret changes with every refresh. Who allowed it must still be there, and still be allowed to,
//! at every refresh. Revoking the token, here or under Settings, ends the grant.

use std::fmt;

use crate::{
    caller::{Actor, Caller, Right, Role},
    clock::HOUR,
    error::{Error, Failure, FailureKind},
    id::{TokenId, UserId},
    secrets::{hex, random, sha256},
};

use super::{
    Auth, TokenDraft, TokenView,
    room::{DOOR, auth_event, maker, unauthorized},
    rules::{self, Turn},
    store::{self, GrantRow, GrantSecrets},
};

/// How long an access token works.
const ACCESS_LIFE: i64 = HOUR;

/// What a person is asked to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDraft {
    /// The URL of the client's metadata document.
    pub client_id: String,
    /// What the client calls itself, with the host that vouches for it. Cut at 60 characters; becomes the token's name.
    pub name: String,
    /// The agent it will speak for: a slug of 1 to 32 of `a-z 0-9 -`.
    pub agent: String,
    /// What it may do: viewer or agent.
    pub role: Role,
}

/// A draft that a person has allowed. Only [`Auth::consent`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    user: UserId,
    draft: GrantDraft,
}

/// Secrets for a client, given out this once.
#[derive(Clone, PartialEq, Eq)]
pub struct Granted {
    /// The bearer token for `/mcp`.
    pub access: String,
    /// What the next secrets are got with.
    pub refresh: String,
    /// Milliseconds that `access` works.
    pub expires_in: i64,
    /// What it may do.
    pub role: Role,
    /// The token whose secret `access` is; the same after every refresh.
    pub token: TokenId,
}

// By hand, so that no log ever holds a secret.
impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("token", &self.token).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Auth {
    /// Whether `who` may let clients in at all: a signed-in person who may make tokens. A token cannot hand on its rights.
    pub fn may_consent(who: &Caller) -> Result<UserId, Failure> {
        let Actor::User(user, _) = who.actor else {
            let message = "only a person lets agents in; open this page in a browser where you are signed in";
            return Err(Failure::new(FailureKind::Forbidden, message));
        };
        who.must(Right::Operate)?;
        Ok(user)
    }

    /// `who` allows `draft`. Nothing is written yet: the client has to come and get it.
    pub fn consent(who: &Caller, draft: GrantDraft) -> Result<Consent, Failure> {
        let user = Self::may_consent(who)?;
        if draft.role > Role::Agent {
            return Err(Failure::invalid("a client can be let in to look or to draw, and no more"));
        }
        let name = rules::cut(&draft.name, 60);
        let token = TokenDraft { name, role: draft.role, agent: Some(draft.agent), expires_in_days: None };
        let TokenDraft { name, role, agent, .. } = rules::token(token)?;
        rules::token_role(who.role, role)?;
        let agent = agent.unwrap_or_default();
        Ok(Consent { user, draft: GrantDraft { client_id: draft.client_id, name, agent, role } })
    }

    /// Makes the token that a person has allowed. Refuses with `unauthorized` if they may no longer.
    pub async fn grant(&self, consent: Consent) -> Result<Granted, Error> {
        let Consent { user, draft } = consent;
        let mut tx = self.db.write().await?;
        // The account may have gone, or its rights, since the page was answered.
        let user = store::user_by_id(&mut *tx, user).await?;
        let Some(user) = user.filter(|user| rules::may_grant(user.role, draft.role)) else {
            return Err(unauthorized("the person who allowed this may no longer let agents in; connect again"));
        };
        let now = self.clock.now();
        let family = hex(&random::<16>());
        let refresh = rules::refresh_secret(&family, &hex(&random::<32>()));
        let access = rules::token_secret(&hex(&random::<32>()));
        let token = TokenView {
            id: TokenId::new(now),
            name: draft.name,
            role: draft.role,
            agent: Some(draft.agent),
            prefix: rules::token_prefix(&access),
            created_at: now,
            expires_at: Some(now.plus(ACCESS_LIFE)),
            last_used_at: None,
        };
        let actor = Actor::User(user.id, user.name);
        store::add_token(&mut *tx, &token, sha256(access.as_bytes()), &maker(&actor)).await?;
        let secrets = GrantSecrets {
            refresh_hash: sha256(refresh.as_bytes()),
            previous_hash: None,
            salt: random(),
            refreshed_at: now,
            expires_at: now.plus(rules::GRANT_LIFE),
        };
        let family_hash = sha256(family.as_bytes());
        store::add_grant(&mut *tx, (token.id, user.id), &draft.client_id, family_hash, &secrets).await?;
        let detail = format!("{} as {}", token.name, token.role);
        self.events.commit(tx, &actor, auth_event("granted", token.id, detail)).await?;
        Ok(Granted { access, refresh, expires_in: ACCESS_LIFE, role: token.role, token: token.id })
    }

    /// New secrets for an old refresh token, which stops working. Refuses with `unauthorized`; a refresh token that was
    /// used before ends its grant, because one of the two who have it is a thief. Written to no audit log: it happens every hour.
    pub async fn refresh_grant(&self, client_id: &str, refresh: &str) -> Result<Granted, Error> {
        let wrong = || unauthorized("this refresh token is not valid: unknown, expired or revoked; connect again");
        let Some(family) = rules::refresh_family(refresh) else { return Err(wrong()) };
        let family_hash = sha256(family.as_bytes());
        // Read first, so that guesses do not queue at the one writer.
        if store::grant_by_family(self.db.read(), family_hash).await?.is_none() {
            return Err(wrong());
        }
        let mut tx = self.db.write().await?;
        let Some(grant) = store::grant_by_family(&mut *tx, family_hash).await? else { return Err(wrong()) };
        if grant.client_id != client_id {
            return Err(unauthorized("this refresh token is another client's"));
        }
        let now = self.clock.now();
        let turn = rules::turn(&grant, sha256(refresh.as_bytes()), now);
        let kind = match turn {
            Turn::Next | Turn::Again => {
                let salt = if turn == Turn::Next { random() } else { salt_of(&grant)? };
                let (access, next) = follow(family, refresh, salt);
                let mut expires_at = now.plus(ACCESS_LIFE);
                if turn == Turn::Next {
                    let secrets = GrantSecrets {
                        refresh_hash: sha256(next.as_bytes()),
                        previous_hash: Some(sha256(refresh.as_bytes())),
                        salt,
                        refreshed_at: now,
                        expires_at: now.plus(rules::GRANT_LIFE),
                    };
                    store::set_grant(&mut *tx, grant.token_id, &secrets).await?;
                    let (hash, prefix) = (sha256(access.as_bytes()), rules::token_prefix(&access));
                    store::set_token_secret(&mut *tx, grant.token_id, hash, &prefix, expires_at).await?;
                    tx.commit().await?;
                } else {
                    expires_at = grant.access_expires_at.unwrap_or(expires_at);
                }
                let expires_in = expires_at.since(now);
                return Ok(Granted { access, refresh: next, expires_in, role: grant.role, token: grant.token_id });
            }
            Turn::Reused => "reused",
            Turn::Expired | Turn::Disallowed => "revoked",
        };
        store::delete_token(&mut *tx, grant.token_id).await?;
        self.events.commit(tx, &DOOR, auth_event(kind, grant.token_id, format!("token {}", grant.name))).await?;
        Err(wrong())
    }

    /// Whether a token still works, whatever its secret is by now.
    pub async fn token_lives(&self, id: TokenId) -> Result<bool, Error> {
        Ok(store::token_lives(self.db.read(), id, self.clock.now()).await?)
    }

    /// Ends a grant because its code came twice: one of the two who had it is a thief. Nothing happens if it has ended.
    pub async fn end_grant(&self, token: TokenId) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let Some(owner) = store::token_owner(&mut *tx, token).await? else { return Ok(()) };
        store::delete_token(&mut *tx, token).await?;
        self.events.commit(tx, &DOOR, auth_event("reused", token, format!("token {}", owner.name))).await?;
        Ok(())
    }

    /// Ends the grant that `secret`, an access or a refresh token, belongs to. A secret of no grant is as good as ended;
    /// one of another client's is refused with `unauthorized`. Tokens made under Settings are not ended here.
    pub async fn revoke_grant(&self, client_id: &str, secret: &str) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let grant = match rules::refresh_family(secret) {
            Some(family) => store::grant_by_family(&mut *tx, sha256(family.as_bytes())).await?,
            None => store::grant_by_access(&mut *tx, sha256(secret.as_bytes())).await?,
        };
        let Some(grant) = grant else { return Ok(()) };
        if grant.client_id != client_id {
            return Err(unauthorized("this token is another client's"));
        }
        store::delete_token(&mut *tx, grant.token_id).await?;
        let actor = Actor::Agent(grant.token_id, grant.agent.unwrap_or_default());
        self.events.commit(tx, &actor, auth_event("revoked", grant.token_id, format!("token {}", grant.name))).await?;
        Ok(())
    }
}

/// The secrets that follow `refresh`: access and refresh token. They are computed and not drawn, so that who asks again
/// because the answer was lost can get the same one, and the hub need not keep it: it has the salt, the client has `refresh`.
fn follow(family: &str, refresh: &str, salt: [u8; 32]) -> (String, String) {
    let secret = |what: &[u8]| hex(&sha256(&[what, &salt, refresh.as_bytes()].concat()));
    (rules::token_secret(&secret(b"access")), rules::refresh_secret(family, &secret(b"refresh")))
}

fn salt_of(grant: &GrantRow) -> Result<[u8; 32], Error> {
    let salt = grant.salt.as_slice().try_into();
    Ok(salt.map_err(|_| anyhow::anyhow!("the salt of the grant {} is damaged", grant.token_id))?)
}
