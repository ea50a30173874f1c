//! `central-mcp token create`

use server::{
    auth::{Auth, TokenDraft},
    caller::Caller,
};

use super::{floor, print, told};
use crate::cli::TokenCreate;

pub(crate) async fn create(args: TokenCreate) -> anyhow::Result<()> {
    let floor = floor(args.data).await?;
    let auth = Auth::open(floor.db.clone(), floor.events, floor.clock).await.map_err(told)?;
    let draft = TokenDraft { name: args.name, role: args.role, agent: args.agent, expires_in_days: args.expires };
    let made = auth.create_token(&Caller::cli(), draft).await.map_err(told)?;
    floor.db.close().await;
    print(&if args.json { serde_json::to_string(&made)? } else { made.secret });
    Ok(())
}
