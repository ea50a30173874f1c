//! `central-mcp user create`

use anyhow::Context as _;
use server::{
    auth::{Auth, UserDraft},
    caller::Caller,
};

use super::{floor, print, told};
use crate::cli::UserCreate;

pub(crate) async fn create(args: UserCreate) -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("cannot read the password from standard input")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    let floor = floor(args.data).await?;
    let auth = Auth::open(floor.db.clone(), floor.events, floor.clock).await.map_err(told)?;
    let draft = UserDraft { name: args.name, password, role: args.role };
    let user = auth.create_user(&Caller::cli(), draft).await.map_err(told)?;
    floor.db.close().await;
    if args.json {
        print(&serde_json::to_string(&user)?);
    } else {
        print(&format!("{} may sign in as {}", user.name, user.role));
    }
    Ok(())
}
