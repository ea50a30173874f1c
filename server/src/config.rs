//! Settings. Flags before environment before file; the only place that reads the environment.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

/// Settings of `central-mcp serve`. Every one but `data` can come as a flag, as `CENTRAL_MCP_NAME`, or as a line `name = "value"` in
/// `DATA/config.toml`, in that order of precedence.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Folder for the database, the pictures and the key. Made if missing, readable by its owner only.
    #[arg(long, env = "CENTRAL_MCP_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on. [default: 127.0.0.1:3000]
    #[arg(long, env = "CENTRAL_MCP_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address of the Prometheus metrics (`/metrics`), loopback only; `off` for none. [default: off]
    #[arg(long, env = "CENTRAL_MCP_METRICS", value_name = "ADDR|off")]
    pub metrics: Option<String>,
    /// Public address, such as `https://hub.example.org`, when a proxy in front ends TLS. Its host is then allowed and
    /// cookies are marked secure. [default: http on the listen address]
    #[arg(long, env = "CENTRAL_MCP_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Key that seals stored credentials: 64 hexadecimal characters. [default: the file DATA/secret.key]
    #[arg(long, env = "CENTRAL_MCP_SECRET_KEY", hide_env_values = true, value_name = "HEX")]
    pub secret_key: Option<String>,
    /// Log format: `text` or `json`. [default: text on a terminal, else json]
    #[arg(long, env = "CENTRAL_MCP_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, as a tracing filter. [default: info,rmcp=off]
    #[arg(long, env = "CENTRAL_MCP_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Days that events (the audit log) are kept. [default: 90]
    #[arg(long, env = "CENTRAL_MCP_KEEP_EVENTS_DAYS", value_name = "DAYS")]
    pub keep_events_days: Option<u32>,
    /// Messages a minute that one token may send to `/mcp`, a sixth of them at once. [default: 1200]
    #[arg(long, env = "CENTRAL_MCP_CALLS_PER_MINUTE", value_name = "N")]
    pub calls_per_minute: Option<u32>,
    /// Let connectors that know nothing but OAuth (claude.ai, ChatGPT) in through a consent page. Needs public_url with
    /// https. Some clients that have a token then ignore it. [default: false]
    #[arg(long, env = "CENTRAL_MCP_OAUTH", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub oauth: Option<bool>,
    /// Make the agents a, b, c and d and the terminal system at the first start. [default: true]
    #[arg(long, env = "CENTRAL_MCP_FIRST_CREW", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub first_crew: Option<bool>,
    /// Days that recordings of terminals are kept. [default: 30]
    #[arg(long, env = "CENTRAL_MCP_KEEP_RECORDINGS_DAYS", value_name = "DAYS")]
    pub keep_recordings_days: Option<u32>,
    /// Space that recordings of terminals may take, in MB; the oldest go first. [default: 2000]
    #[arg(long, env = "CENTRAL_MCP_KEEP_RECORDINGS_MB", value_name = "MB")]
    pub keep_recordings_mb: Option<u32>,
}

/// The same as read from `config.toml`; names as the flags, with `_` for `-`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    metrics: Option<String>,
    public_url: Option<String>,
    secret_key: Option<String>,
    log_format: Option<String>,
    log: Option<String>,
    keep_events_days: Option<u32>,
    calls_per_minute: Option<u32>,
    oauth: Option<bool>,
    first_crew: Option<bool>,
    keep_recordings_days: Option<u32>,
    keep_recordings_mb: Option<u32>,
}

impl File {
    fn read(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("config.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not understood", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// The key for commands beside `serve`: the one given, else the one in `config.toml`, so that both seal with the same.
pub fn secret_key(data: &Path, given: Option<String>) -> anyhow::Result<Option<String>> {
    Ok(given.or(File::read(data)?.secret_key))
}

/// What the loops keep, and what they begin with.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// Days that events (the audit log) are kept.
    pub events_days: u32,
    /// Days that recordings are kept.
    pub recordings_days: u32,
    /// Bytes that all recordings together may take.
    pub recordings_bytes: u64,
    /// Whether the first start makes agents and the terminal `system`.
    pub first_crew: bool,
}

/// Settings with every gap filled.
#[derive(Clone)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to serve metrics.
    pub metrics: Option<SocketAddr>,
    /// The address people type.
    pub public_url: Option<url::Url>,
    /// The key given in a setting, if one was.
    pub secret_key: Option<String>,
    /// Whether logs are JSON lines; `None` decides by the terminal.
    pub log_json: Option<bool>,
    /// The tracing filter.
    pub log: String,
    /// Messages a minute that one token may send to `/mcp`.
    pub calls_per_minute: u32,
    /// Whether connectors are let in by OAuth.
    pub oauth: bool,
    /// What the loops keep and begin with.
    pub keeping: Keeping,
}

impl Config {
    /// Joins flags, environment (clap has read both) and the data folder's `config.toml`.
    pub fn resolve(args: ServeArgs) -> anyhow::Result<Self> {
        let data = args.data.unwrap_or_else(default_data);
        let file = File::read(&data)?;
        let metrics = match args.metrics.or(file.metrics).as_deref() {
            None | Some("off") => None,
            Some(text) => {
                let address: SocketAddr = text
                    .parse()
                    .with_context(|| format!("metrics = \"{text}\" is not an address; use 127.0.0.1:9464 or off"))?;
                anyhow::ensure!(
                    address.ip().is_loopback(),
                    "metrics = \"{text}\" would show them to the network; use a loopback address such as 127.0.0.1:9464"
                );
                Some(address)
            }
        };
        let public_url = args
            .public_url
            .or(file.public_url)
            .map(|text| {
                let url = url::Url::parse(&text)
                    .with_context(|| format!("public_url = \"{text}\" is not a URL; use https://hub.example.org"))?;
                anyhow::ensure!(
                    matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/",
                    "public_url = \"{text}\" must be http or https, a host, and no path"
                );
                Ok(url)
            })
            .transpose()?;
        let log_json = match args.log_format.or(file.log_format).as_deref() {
            None => None,
            Some("json") => Some(true),
            Some("text") => Some(false),
            Some(other) => anyhow::bail!("log_format = \"{other}\" is unknown; use text or json"),
        };
        Ok(Self {
            data,
            listen: args.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
            metrics,
            public_url,
            secret_key: args.secret_key.or(file.secret_key),
            log_json,
            // The MCP library reports every call at `info`, whole requests at `debug`, clients' mistakes at `warn` and
            // clients that left at `error`. What concerns the hub is counted and said by our own code.
            log: args.log.or(file.log).unwrap_or_else(|| "info,rmcp=off".into()),
            calls_per_minute: args.calls_per_minute.or(file.calls_per_minute).unwrap_or(1_200),
            oauth: args.oauth.or(file.oauth).unwrap_or(false),
            keeping: Keeping {
                events_days: args.keep_events_days.or(file.keep_events_days).unwrap_or(90),
                recordings_days: args.keep_recordings_days.or(file.keep_recordings_days).unwrap_or(30),
                recordings_bytes: u64::from(args.keep_recordings_mb.or(file.keep_recordings_mb).unwrap_or(2_000))
                    * 1_000_000,
                first_crew: args.first_crew.or(file.first_crew).unwrap_or(true),
            },
        })
    }
}

/// The home folder of the user that the program runs as.
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// `$XDG_DATA_HOME/central-mcp`, else `~/.local/share/central-mcp`, else `./central-mcp-data`.
pub fn default_data() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("central-mcp-data"), |base| base.join("central-mcp"))
}

/// The data folder of a runner where none is given: beside the hub's.
pub fn default_runner_data() -> PathBuf {
    default_data().with_file_name("central-mcp-runner")
}

/// The folders where programs are looked for: `PATH`, then the one below the home folder where installers put theirs, which
/// a service's `PATH` lacks.
pub fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let local = home().map(|home| home.join(".local/bin"));
    std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()).chain(local).collect()
}

/// Where `program` is: as it stands when it is a path, else in the first of `folders` that has it.
pub fn find_program(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let runs = |file: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(file).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    folders.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(program)).find(|file| runs(file))
}

/// What a terminal's programs may know of the hub's own environment: where programs and the home are, who they run as, the
/// language. Nothing else of it, for it may hold secrets.
pub fn shell_environment() -> Vec<(String, String)> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let utf8 = |value: &String| value.to_ascii_lowercase().replace('-', "").ends_with("utf8");
    vec![
        ("PATH", set("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())),
        ("HOME", set("HOME").unwrap_or_else(|| "/".into())),
        ("USER", set("USER").or_else(|| set("LOGNAME")).unwrap_or_default()),
        ("SHELL", set("SHELL").filter(|shell| shell.starts_with('/')).unwrap_or_else(|| "/bin/sh".into())),
        ("LANG", set("LANG").filter(utf8).unwrap_or_else(|| "C.UTF-8".into())),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
