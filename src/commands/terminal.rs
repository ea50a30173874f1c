//! `central-mcp terminal list|start|stop`: asks the running hub over its own socket.

use anyhow::Context as _;
use server::{
    config,
    error::Failure,
    http::LOCAL_SOCKET,
    machines::HUB,
    terminals::{TerminalDraft, TerminalView},
};

use super::{print, remedy};
use crate::cli::{TerminalList, TerminalStart, TerminalStop};

/// No hub runs there.
#[derive(Debug)]
pub(crate) struct NoHub(String);

impl std::error::Error for NoHub {}

impl std::fmt::Display for NoHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) async fn list(args: TerminalList) -> anyhow::Result<()> {
    let body = ask(args.data, reqwest::Method::GET, "/terminals", None).await?;
    let terminals: Vec<TerminalView> = serde_json::from_str(&body).context("the hub's answer is not understood")?;
    if args.json {
        print(&serde_json::to_string(&terminals)?);
        return Ok(());
    }
    let rows: Vec<[String; 6]> = terminals.iter().map(row).collect();
    print(&table(&rows));
    Ok(())
}

pub(crate) async fn start(args: TerminalStart) -> anyhow::Result<()> {
    let given = !args.command.is_empty() || args.folder.is_some() || args.machine.is_some();
    let draft = given.then(|| TerminalDraft {
        name: args.name.clone(),
        command: args.command,
        folder: args.folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default(),
        machine: args.machine,
    });
    let body = draft.map(|draft| serde_json::to_string(&draft)).transpose()?;
    let path = format!("/terminals/{}/start", segment(&args.name)?);
    say(args.json, &ask(args.data, reqwest::Method::POST, &path, body).await?)
}

pub(crate) async fn stop(args: TerminalStop) -> anyhow::Result<()> {
    let path = format!("/terminals/{}/stop", segment(&args.name)?);
    say(args.json, &ask(args.data, reqwest::Method::POST, &path, None).await?)
}

/// A name that would change the address is none.
fn segment(name: &str) -> anyhow::Result<&str> {
    let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    anyhow::ensure!(
        good,
        Failure::invalid(format!("\"{name}\" is no terminal's name; it has letters, digits, - and _"))
    );
    Ok(name)
}

/// One question to the hub; what it refuses is a refusal here too.
async fn ask(
    data: Option<std::path::PathBuf>,
    method: reqwest::Method,
    path: &str,
    body: Option<String>,
) -> anyhow::Result<String> {
    let folder = data.unwrap_or_else(config::default_data);
    let client = reqwest::Client::builder().unix_socket(folder.join(LOCAL_SOCKET)).build()?;
    let mut request = client.request(method, format!("http://hub{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body);
    }
    let answer = match request.send().await {
        // That nobody listens is all there is to say.
        Err(error) if error.is_connect() => {
            return Err(NoHub(format!("no hub runs on {}; {}", folder.display(), remedy(&folder))).into());
        }
        answer => answer.context("the hub does not answer")?,
    };
    let good = answer.status().is_success();
    let text = answer.text().await.context("the hub's answer broke off")?;
    if good {
        return Ok(text);
    }
    match serde_json::from_str::<Failure>(&text) {
        Ok(failure) => Err(failure.into()),
        Err(_) => anyhow::bail!("the hub answered: {text}"),
    }
}

fn say(json: bool, body: &str) -> anyhow::Result<()> {
    let terminal: TerminalView = serde_json::from_str(body).context("the hub's answer is not understood")?;
    print(&if json { serde_json::to_string(&terminal)? } else { table(&[row(&terminal)]) });
    Ok(())
}

fn row(terminal: &TerminalView) -> [String; 6] {
    [
        terminal.name.clone(),
        terminal.state.word().to_owned(),
        terminal.machine.clone().unwrap_or_else(|| HUB.to_owned()),
        terminal.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        terminal.viewers.to_string(),
        terminal.keyboard.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// Columns as wide as their widest word.
fn table(rows: &[[String; 6]]) -> String {
    let head = ["NAME", "STATE", "MACHINE", "PID", "VIEWERS", "KEYBOARD"].map(str::to_owned);
    let lines: Vec<&[String; 6]> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let text = |line: &[String; 6]| {
        let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines.into_iter().map(text).collect::<Vec<_>>().join("\n")
}
