//! `central-mcp`: the command line and the composition root.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use server::error::{Failure, FailureKind};

/// A call makes and frees hundreds of small pieces on two or three threads. The system's allocator, whose threads wait for each
/// other, made a quarter of a call's processor time of that. Without huge pages: those of an idle hub would take 14 MB more.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes: 0 done, 1 failed, 2 wrong use (clap's own), 3 refused (wrong input, or a test that was not passed).
#[tokio::main]
async fn main() -> ExitCode {
    // One crypto provider for the whole program, chosen before the first TLS use.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("the TLS provider is already set"), false);
    }
    let command = cli::Cli::parse().command;
    let json = command.json();
    let result = match command {
        cli::Command::Serve(args) => commands::serve::run(args).await,
        cli::Command::User(cli::UserCommand::Create(args)) => commands::user::create(args).await,
        cli::Command::Token(cli::TokenCommand::Create(args)) => commands::token::create(args).await,
        cli::Command::Setup(cli::SetupCommand::Comfyui(args)) => commands::setup::comfyui(args).await,
        cli::Command::Terminal(cli::TerminalCommand::List(args)) => commands::terminal::list(args).await,
        cli::Command::Terminal(cli::TerminalCommand::Start(args)) => commands::terminal::start(args).await,
        cli::Command::Terminal(cli::TerminalCommand::Stop(args)) => commands::terminal::stop(args).await,
        cli::Command::Runner(args) => commands::runner::run(args).await,
        cli::Command::Mcp(args) => commands::mcp::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, json),
    }
}

/// Says why on standard error; to who asked for JSON as the REST door says it: `{"kind": …, "message": …}`.
fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let refused = error.downcast_ref::<Failure>();
    let kind = match refused {
        Some(failure) => failure.kind,
        None if error.is::<commands::terminal::NoHub>() => FailureKind::Outside,
        None => FailureKind::Internal,
    };
    let message = shown(error);
    match serde_json::to_string(&Failure::new(kind, &message)) {
        Ok(line) if json => eprintln!("{line}"),
        _ => eprintln!("central-mcp: {message}"),
    }
    if refused.is_some() { ExitCode::from(3) } else { ExitCode::FAILURE }
}

/// The error as a terminal may show it. A hub, a server or a file may have had a part in the words, and a control character of
/// theirs would be an order to the operator's terminal; only ends of lines are kept.
fn shown(error: &anyhow::Error) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    format!("{error:#}").chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_orders_a_terminal_to_do_nothing() {
        let error = anyhow::anyhow!("\x1b]0;mine\x07 and \u{9b}2J\r").context("the hub refuses:\nno\tway");
        let shown = shown(&error);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(shown.starts_with("the hub refuses:\nno") && shown.contains("]0;mine"), "{shown:?}");
    }
}
