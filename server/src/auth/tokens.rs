//! The room's methods that concern tokens: making and revoking them, and who comes with one.

use std::sync::Arc;

use crate::{
    caller::{Actor, Caller, Right},
    clock::Timestamp,
    error::{Error, Failure},
    id::TokenId,
    secrets::{hex, random, sha256},
};

use super::{
    Auth, NewToken, TokenDraft, TokenView,
    heard::Heard,
    room::{auth_event, maker},
    rules, store,
};

impl Auth {
    /// Tokens: an owner sees all, others those they made.
    pub async fn tokens(&self, who: &Caller) -> Result<Vec<TokenView>, Error> {
        who.must(Right::Look)?;
        let mine = (!who.role.may(Right::Own)).then(|| maker(&who.actor));
        Ok(store::tokens(self.db.read(), mine.as_deref()).await?)
    }

    /// The tokens that the caller made, newest first.
    pub async fn made_tokens(&self, who: &Caller) -> Result<Vec<TokenView>, Error> {
        who.must(Right::Look)?;
        Ok(store::tokens(self.db.read(), Some(&maker(&who.actor))).await?)
    }

    /// Makes a token. Needs `Operate`; not above the maker's role.
    pub async fn create_token(&self, who: &Caller, draft: TokenDraft) -> Result<NewToken, Error> {
        who.must(Right::Operate)?;
        let draft = rules::token(draft)?;
        rules::token_role(who.role, draft.role)?;
        let (now, secret) = (self.clock.now(), rules::token_secret(&hex(&random::<32>())));
        let token = TokenView {
            id: TokenId::new(now),
            name: draft.name,
            role: draft.role,
            agent: draft.agent,
            prefix: rules::token_prefix(&secret),
            created_at: now,
            expires_at: rules::token_expiry(draft.expires_in_days, now),
            last_used_at: None,
        };
        let mut tx = self.db.write().await?;
        store::add_token(&mut *tx, &token, sha256(secret.as_bytes()), &maker(&who.actor)).await?;
        let event = auth_event("added", token.id, format!("token {} as {}", token.name, token.role));
        self.events.commit(tx, &who.actor, event).await?;
        Ok(NewToken { secret, token })
    }

    /// Revokes a token of one's own (an owner: anybody's).
    pub async fn revoke_token(&self, who: &Caller, id: TokenId) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        let owner = store::token_owner(&mut *tx, id).await?;
        let Some(owner) = owner.filter(|it| who.role.may(Right::Own) || it.created_by == maker(&who.actor)) else {
            return Err(Failure::not_found("this token").into());
        };
        store::delete_token(&mut *tx, id).await?;
        // What it made goes with it: else whoever stole it would keep what they made.
        store::delete_tokens_of(&mut *tx, &format!("token:{id}")).await?;
        self.events.commit(tx, &who.actor, auth_event("revoked", id, format!("token {}", owner.name))).await?;
        Ok(())
    }

    /// Who a bearer token that came with a call belongs to, if it is valid.
    pub async fn by_token(&self, secret: &str) -> Result<Option<Caller>, Error> {
        let Some(row) = self.token(secret).await? else { return Ok(None) };
        let (caller, now) = (of_token(&row), self.clock.now());
        self.ears.call(&caller, now);
        if rules::stale(row.last_used_at, now) {
            self.touch(row.id, now).await?;
        }
        Ok(Some(caller))
    }

    /// The same when the hub asks by itself, for a stream that is open: that is no call of its owner.
    pub async fn still_by_token(&self, secret: &str) -> Result<Option<Caller>, Error> {
        Ok(self.token(secret).await?.map(|row| of_token(&row)))
    }

    /// A call came on a socket that `who` has opened with a token; `noted` is when the last one was written down.
    pub async fn called_again(&self, who: &Caller, noted: &mut Timestamp) -> Result<(), Error> {
        let now = self.clock.now();
        self.ears.call(who, now);
        if let Actor::Token(id, _) | Actor::Agent(id, _) = &who.actor
            && rules::stale(Some(*noted), now)
        {
            *noted = now;
            self.touch(*id, now).await?;
        }
        Ok(())
    }

    /// A sign of life came on a socket that `who` has opened, and nothing more.
    pub fn heartbeat(&self, who: &Caller) {
        self.ears.heartbeat(who, self.clock.now());
    }

    /// What the agent was heard by in this life of the hub.
    pub fn heard(&self, slug: &str) -> Heard {
        self.ears.of(slug)
    }

    async fn token(&self, secret: &str) -> Result<Option<Arc<store::TokenRow>>, Error> {
        if !rules::is_token(secret) {
            return Ok(None);
        }
        Ok(self.doorman.token(sha256(secret.as_bytes())).await?)
    }

    async fn touch(&self, token: TokenId, now: Timestamp) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        store::touch_token(&mut *tx, token, now).await?;
        Ok(tx.commit().await?)
    }
}

/// Who a token's row speaks for.
fn of_token(row: &store::TokenRow) -> Caller {
    let actor = match &row.agent {
        Some(slug) => Actor::Agent(row.id, slug.clone()),
        None => Actor::Token(row.id, row.name.clone()),
    };
    Caller { actor, role: row.role, session: None }
}
