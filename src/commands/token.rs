//! `central-mcp token create`

use server::{
    agents::Agents,
    auth::{Auth, TokenDraft},
    caller::Caller,
    db::Db,
    error::{Error, Failure},
};

use super::{opened, print, told};
use crate::cli::TokenCreate;

pub(crate) async fn create(args: TokenCreate) -> anyhow::Result<()> {
    let floor = opened(args.data).await?;
    if let Some(slug) = args.agent.as_deref().filter(|_| !args.outside) {
        there_is(&floor.db, slug).await.map_err(told)?;
    }
    let auth = Auth::open(floor.db.clone(), floor.events, floor.clock).await.map_err(told)?;
    let draft = TokenDraft { name: args.name, role: args.role, agent: args.agent, expires_in_days: args.expires };
    let made = auth.create_token(&Caller::cli(), draft).await.map_err(told)?;
    floor.db.close().await;
    print(&if args.json { serde_json::to_string(&made)? } else { made.secret });
    Ok(())
}

/// A token that speaks for nobody is a typing error, and nothing else would ever say so.
async fn there_is(db: &Db, slug: &str) -> Result<(), Error> {
    let known = Agents::slugs(db).await?;
    if known.iter().any(|it| it == slug) {
        return Ok(());
    }
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!(
        "there is no agent \"{slug}\" on this hub (there are: {known}); choose one of them, or add --outside for an agent \
         that works elsewhere"
    );
    Err(Failure::invalid(message).into())
}
