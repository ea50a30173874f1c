//! The real stack with the conformance suite's fixtures, on loopback and without a token: the suite can send no header, so a
//! token is put into each request before the first layer. For tests only; the program itself has no such way in.
//!
//! `cargo run -p server --example conformance -- 8001`

#![expect(clippy::print_stdout, reason = "its address is what it prints")]

mod fixtures;
mod front;
mod rounds;
mod tools;

use axum::{extract::Request, http::header, middleware::Next};
use server::{
    Hub,
    auth::TokenDraft,
    caller::{Caller, Role},
    clock::Clock,
    http::{self, ServeOptions},
    mcp::{Mcp, McpOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port: u16 = std::env::args().nth(1).map_or(Ok(8001), |port| port.parse())?;
    let folder = tempfile::tempdir()?;
    let hub = Hub::open(folder.path(), None, Clock::default()).await?;
    let draft = TokenDraft { name: "conformance".into(), role: Role::Operator, agent: None, expires_in_days: None };
    let token = hub.auth.create_token(&Caller::cli(), draft).await.map_err(|error| anyhow::anyhow!("{error}"))?.secret;
    let bearer: header::HeaderValue = format!("Bearer {token}").parse()?;

    let mcp = Mcp::open(&hub, McpOptions { calls_per_minute: u32::MAX, ..McpOptions::default() });
    let options = ServeOptions { public_url: None, public_file: |_| false, oauth: None };
    let router = http::router(hub.clone(), mcp.router_behind(front::Front::before), &options).layer(
        axum::middleware::from_fn(move |mut request: Request, next: Next| {
            request.headers_mut().entry(header::AUTHORIZATION).or_insert_with(|| bearer.clone());
            next.run(request)
        }),
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/mcp {token}", listener.local_addr()?);
    http::serve(listener, router, &hub).await
}
