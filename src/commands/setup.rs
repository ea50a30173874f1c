//! `central-mcp setup comfyui`: a conversation. Questions go to standard error, so that answers can be piped in.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use server::{
    caller::Caller,
    error::Failure,
    services::{Endpoint, MicroUsd, ServiceAuth, ServiceDraft, ServiceKind, Services},
};

use super::{floor, print, told};
use crate::cli::SetupComfyui;

pub(crate) async fn comfyui(args: SetupComfyui) -> anyhow::Result<()> {
    let floor = floor(args.data).await?;
    let services = Services::open(floor.db.clone(), floor.events, floor.clock, floor.secrets, Endpoint::client()?);
    let who = Caller::cli();
    say("Connect a ComfyUI server. Enter takes the value in brackets.");
    let draft = ServiceDraft {
        name: ask("Name", Some("comfyui"))?,
        kind: ServiceKind::Comfyui,
        base_url: ask("Address", Some("http://127.0.0.1:8188"))?,
        auth: Some(ask_auth()?),
        price_per_hour: ask_price()?,
    };
    say("Testing …");
    let report = services.test(&who, draft.clone(), None).await.map_err(told)?;
    for step in &report.steps {
        say(&format!("  {} {} {}", if step.good { "ok    " } else { "FAILED" }, step.asked, step.answer));
    }
    if !report.good() {
        return Err(
            Failure::invalid("the test was not passed, so nothing was stored; mend it and run this again").into()
        );
    }
    let service = services.add(&who, draft).await.map_err(told)?;
    // It was tested a moment ago, and is tested again here: only a service that answers is ever activated.
    let service = services.set_active(&who, service.id, true).await.map_err(told)?;
    floor.db.close().await;
    print(&format!("{} is active; a running hub gives it work within 2 s", service.name));
    Ok(())
}

fn ask_auth() -> anyhow::Result<ServiceAuth> {
    Ok(match ask("Authentication: none, bearer, basic or headers", Some("none"))?.as_str() {
        "none" => ServiceAuth::None,
        "bearer" => ServiceAuth::Bearer { token: ask("Token", None)? },
        "basic" => ServiceAuth::Basic { user: ask("User", None)?, password: ask("Password", None)? },
        "headers" => {
            let mut headers = Vec::new();
            loop {
                let line = ask("Header as NAME: VALUE (empty ends)", Some(""))?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').context("a header is NAME: VALUE")?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            ServiceAuth::Headers { headers }
        }
        other => bail!(Failure::invalid(format!(
            "\"{other}\" is no kind of authentication; use none, bearer, basic or headers"
        ))),
    })
}

fn ask_price() -> anyhow::Result<MicroUsd> {
    let text = ask("Price per hour in dollars", Some("0"))?;
    MicroUsd::parse_dollars(&text).map_err(|why| Failure::invalid(why).into())
}

/// Asks until there is an answer; the end of the input is an error, not an answer.
fn ask(question: &str, default: Option<&str>) -> anyhow::Result<String> {
    loop {
        let mut out = std::io::stderr();
        match default {
            Some(default) if !default.is_empty() => write!(out, "{question} [{default}]: ")?,
            _ => write!(out, "{question}: ")?,
        }
        out.flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("the input ended before the question \"{question}\" was answered");
        }
        if !std::io::stdin().is_terminal() {
            writeln!(out)?;
        }
        match (line.trim(), default) {
            ("", Some(default)) => return Ok(default.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}

fn say(line: &str) {
    eprintln!("{line}");
}
