//! `central-mcp serve`: opens the hub, serves it, ends in order.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use server::{
    Hub,
    clock::Clock,
    config::{Config, ServeArgs},
    http::{self, ServeOptions},
    loops,
    mcp::{Mcp, McpOptions},
    oauth::{Oauth, OauthOptions},
    terminals,
};
use tokio::net::TcpListener;
use tracing_appender::rolling::{self, Rotation};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{
    print,
    stopping::{many_files, signal},
};

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::resolve(args)?;
    many_files();
    let oauth = oauth(&config)?;
    // The address is taken first: if another hub has it, nothing is touched.
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; is another hub running? Choose another address with --listen", config.listen)
    })?;
    let address = listener.local_addr()?;
    // Only now: until the address is ours, the folder may be another hub's.
    server::private_folder(&config.data)?;
    start_log(&config)?;
    let hub = Hub::open(&config.data, config.secret_key.as_deref(), Clock::default()).await?;
    if let Some(address) = config.metrics {
        http::metrics_listener(address, &hub)?;
    }
    if let Err(error) = http::local_socket(&hub, &config.data) {
        tracing::warn!(%error, "no local socket; `central-mcp terminal` cannot reach this hub");
    }
    hub.agents.begin(local_mcp(address), config.keeping.first_crew).await?;
    let _loops = loops::start(&hub, config.keeping);
    let oauth = oauth.map(|options| Oauth::open(&hub, options)).transpose()?;
    let options = ServeOptions {
        public_url: config.public_url.clone(),
        public_file: app::site::public_file,
        oauth: oauth.as_ref().map(Oauth::challenge),
    };
    let door = McpOptions { public_url: config.public_url.clone(), calls_per_minute: config.calls_per_minute };
    let mut pages = app::site::router(hub.clone()).merge(Mcp::open(&hub, door).router());
    if let Some(oauth) = &oauth {
        pages = pages.merge(oauth.router());
    }
    let router = http::router(hub.clone(), pages, &options);

    let home = match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None if address.ip().is_loopback() || address.ip().is_unspecified() => {
            format!("http://localhost:{}", address.port())
        }
        None => format!("http://{address}"),
    };
    tracing::info!(address = %address, data = %config.data.display(), "listening");
    match hub.auth.setup_code().await? {
        Some(code) => print(&format!("\n  Set up your hub (this link works once):\n  {home}/setup?code={code}\n")),
        None => print(&format!("\n  Your hub: {home}\n")),
    }
    hub.tasks.spawn(stop_on_signal(hub.clone()));
    let in_order = async {
        let served = http::serve(listener, router, &hub).await;
        hub.close().await;
        served
    };
    tokio::select! {
        served = in_order => {
            tracing::info!("ended");
            served
        }
        () = second_signal(&hub) => anyhow::bail!("ended at once, as asked for a second time"),
    }
}

/// What OAuth needs, if it is on. A setting that cannot work is told before anything is opened.
fn oauth(config: &Config) -> anyhow::Result<Option<OauthOptions>> {
    if !config.oauth {
        return Ok(None);
    }
    let url = config.public_url.as_ref().context(
        "oauth = true needs public_url, the https address that people type, such as https://hub.example.org; \
         set it too, or leave oauth off",
    )?;
    OauthOptions::new(url, app::site::consent).map(Some)
}

/// Where programs on this machine reach the hub's MCP: never through a proxy, or a certificate that is not there yet.
fn local_mcp(address: std::net::SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/mcp", std::net::SocketAddr::new(host, address.port()))
}

/// SIGTERM and SIGINT end the hub in order.
async fn stop_on_signal(hub: Hub) {
    tokio::select! {
        () = signal() => {}
        () = hub.stop.cancelled() => {}
    }
    tracing::info!("ending: no new requests, open ones finish");
    hub.stop.cancel();
}

/// Who asks again does not want to wait for the order.
async fn second_signal(hub: &Hub) {
    hub.stop.cancelled().await;
    signal().await;
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("log = \"{}\" is not a filter; use info or info,server=debug", config.log))?;
    let json = config.log_json.unwrap_or_else(|| !std::io::stderr().is_terminal());
    let said: Box<dyn Layer<_> + Send + Sync> = match json {
        true => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        false => fmt::layer().with_target(false).with_writer(std::io::stderr).boxed(),
    };
    // The terminal `system` follows the newest of these; a week of them stays.
    let folder = terminals::log_folder(&config.data);
    server::private_folder(&folder)?;
    let kept = rolling::Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("central-mcp")
        .filename_suffix("log")
        .max_log_files(7)
        .latest_symlink(terminals::LOG)
        .build(folder)
        .context("cannot write the log into the data folder")?;
    let kept = fmt::layer().with_ansi(false).with_target(false).with_writer(kept);
    tracing_subscriber::registry().with(filter).with(said).with(kept).init();
    Ok(())
}
