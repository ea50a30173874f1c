//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use server::{caller::Role, config::ServeArgs};

/// A home for a crew of coding agents.
#[derive(Parser)]
#[command(version, about, long_about = None)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the hub.
    Serve(ServeArgs),
    /// Manage people who may sign in.
    #[command(subcommand)]
    User(UserCommand),
    /// Manage API tokens of agents and scripts.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Connect outside services, as a conversation.
    #[command(subcommand)]
    Setup(SetupCommand),
    /// List, start and stop the terminals of the running hub.
    #[command(subcommand)]
    Terminal(TerminalCommand),
    /// Hold sessions on this machine for a hub elsewhere. Joins with a one-time token, then needs neither --hub nor --token.
    Runner(RunnerArgs),
    /// Carry MCP between standard input and output and a hub, for clients that know nothing else.
    Mcp(McpArgs),
}

impl Command {
    /// Whether the answer is asked for as JSON, and so is a refusal.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::User(UserCommand::Create(args)) => args.json,
            Self::Token(TokenCommand::Create(args)) => args.json,
            Self::Terminal(TerminalCommand::List(args)) => args.json,
            Self::Terminal(TerminalCommand::Start(args)) => args.json,
            Self::Terminal(TerminalCommand::Stop(args)) => args.json,
            Self::Serve(_) | Self::Setup(_) | Self::Runner(_) | Self::Mcp(_) => false,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account. Works beside a running hub.
    Create(UserCreate),
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, alone, on standard output. Works beside a running hub.
    Create(TokenCreate),
}

#[derive(Subcommand)]
pub(crate) enum SetupCommand {
    /// Add a ComfyUI server: address, authentication, test. What fails the test is not activated.
    Comfyui(SetupComfyui),
}

#[derive(Subcommand)]
pub(crate) enum TerminalCommand {
    /// Name, state, process id, viewers and keyboard holder of every terminal.
    List(TerminalList),
    /// Start a terminal: a new one, or one that has ended, again with what it was started with.
    Start(TerminalStart),
    /// End a terminal's session with all that runs in it.
    Stop(TerminalStop),
}

#[derive(Args)]
pub(crate) struct TerminalList {
    /// Folder of the hub's data.
    #[arg(long, env = "CENTRAL_MCP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON, also of an error.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct TerminalStart {
    /// Its name.
    pub(crate) name: String,
    /// Program and arguments, after `--`. [default: the login shell]
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
    /// Where it starts. [default: the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// The machine it starts on. [default: the hub's own]
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Option<String>,
    /// Folder of the hub's data.
    #[arg(long, env = "CENTRAL_MCP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the terminal as JSON, also an error.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct TerminalStop {
    /// Its name.
    pub(crate) name: String,
    /// Folder of the hub's data.
    #[arg(long, env = "CENTRAL_MCP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print the terminal as JSON, also an error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the hub's data is.
#[derive(Args)]
pub(crate) struct Data {
    /// Folder of the hub's data.
    #[arg(long, env = "CENTRAL_MCP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Key that seals stored credentials, if the hub runs with one. [default: the file DATA/secret.key]
    #[arg(long, env = "CENTRAL_MCP_SECRET_KEY", hide_env_values = true, value_name = "HEX")]
    pub(crate) secret_key: Option<String>,
}

#[derive(Args)]
pub(crate) struct UserCreate {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Sign-in name.
    #[arg(long)]
    pub(crate) name: String,
    /// owner, operator or viewer. The first account must be an owner.
    #[arg(long, default_value = "operator")]
    pub(crate) role: Role,
    /// Read the password from the first line of standard input, so that it is in no process list.
    #[arg(long, required = true)]
    pub(crate) password_stdin: bool,
    /// Print the account as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct TokenCreate {
    #[command(flatten)]
    pub(crate) data: Data,
    /// What people call it.
    #[arg(long)]
    pub(crate) name: String,
    /// viewer, agent or operator.
    #[arg(long, default_value = "agent")]
    pub(crate) role: Role,
    /// The agent it speaks for, one of the page Agents.
    #[arg(long, value_name = "SLUG")]
    pub(crate) agent: Option<String>,
    /// The agent works elsewhere and is not on the page Agents: the name is its own.
    #[arg(long, requires = "agent")]
    pub(crate) outside: bool,
    /// When it stops working, such as 90d, 12w or 1y. [default: never]
    #[arg(long, value_name = "AGE", value_parser = days)]
    pub(crate) expires: Option<u32>,
    /// Print token and details as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct McpArgs {
    /// The hub's address.
    #[arg(long, env = "CENTRAL_MCP_URL", default_value = "http://127.0.0.1:3000/mcp")]
    pub(crate) url: String,
    /// The agent's token; better given by the environment, so that it is in no process list.
    #[arg(long, env = "CENTRAL_MCP_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Args)]
pub(crate) struct RunnerArgs {
    /// The hub's address, such as `https://hub.example.org`. [default: the hub that this machine has joined]
    #[arg(long, env = "CENTRAL_MCP_RUNNER_HUB", value_name = "URL")]
    pub(crate) hub: Option<String>,
    /// The one-time token of the page Machines; better given by the environment, so that it is in no process list.
    #[arg(long, env = "CENTRAL_MCP_RUNNER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Folder for this machine's key and sessions. [default: central-mcp-runner beside the hub's default]
    #[arg(long, env = "CENTRAL_MCP_RUNNER_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Take a hub on another machine without encryption: this machine's key crosses the network in the clear.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Join and end; for scripts that start the runner in another way.
    #[arg(long)]
    pub(crate) only_join: bool,
}

#[derive(Args)]
pub(crate) struct SetupComfyui {
    #[command(flatten)]
    pub(crate) data: Data,
}

/// `90d`, `12w`, `1y` in days.
fn days(text: &str) -> Result<u32, String> {
    let wrong = || format!("\"{text}\" is not an age; use a number and d, w or y, such as 90d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        'd' => 1,
        'w' => 7,
        'y' => 365,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .filter(|days| (1..=3650).contains(days))
        .ok_or_else(|| format!("\"{text}\" is not from 1d to 3650d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn ages_are_read_in_days_weeks_and_years() {
        let cases = [("90d", Some(90)), ("12w", Some(84)), ("1y", Some(365)), ("10y", Some(3650))];
        for (text, expected) in cases {
            assert_eq!(days(text).ok(), expected, "{text}");
        }
        for text in ["", "d", "90", "0d", "11y", "-1d", "1é", "4294967295y", "1.5d"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
