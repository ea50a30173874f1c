//! What a started program finds.

use super::*;
use crate::{agents::AgentState, error::FailureKind};

/// Writes what it was given beside itself, then waits.
const TELL: &str = r#"env > "$(dirname "$0")/env.new"; printf '%s\n' "$@" > "$(dirname "$0")/args"; pwd > "$(dirname "$0")/pwd"
mv "$(dirname "$0")/env.new" "$(dirname "$0")/env"; exec sleep 600"#;

impl House {
    /// What the program told last, once it has.
    async fn told(&self, file: &str) -> String {
        let bin = self.folder.path().join("bin");
        until("the program", || async { bin.join("env").exists() }).await;
        std::fs::read_to_string(bin.join(file)).unwrap()
    }

    fn forget(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("bin/env"));
    }

    async fn variable(&self, name: &str) -> Option<String> {
        let env = self.told("env").await;
        env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
    }
}

fn mode(file: &str) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_started_program_is_connected_without_anybody_typing() {
    let (house, who) = (House::begun().await, Caller::cli());
    house.program("claude", TELL);
    let environment = vec![plain("PLAIN", "with = and  spaces"), secret("KEY", Some(SECRET))];
    let asked = AgentDraft {
        model: "opus".into(),
        command: vec!["claude".into(), "--verbose".into()],
        environment,
        ..draft("x", "claude-code")
    };
    let made = house.made(asked).await;
    let started = house.agents.start(&who, made.id).await.unwrap();
    assert_eq!(started.state, AgentState::Running);

    assert_eq!(house.variable("CENTRAL_MCP_URL").await.as_deref(), Some(URL));
    assert_eq!(house.variable("CENTRAL_MCP_AGENT").await.as_deref(), Some("x"));
    assert_eq!(house.variable("KEY").await.as_deref(), Some(SECRET));
    assert_eq!(house.variable("PLAIN").await.as_deref(), Some("with = and  spaces"));
    let token = house.variable("CENTRAL_MCP_TOKEN").await.unwrap();
    let config = house.variable("CENTRAL_MCP_CONFIG").await.unwrap();
    assert_eq!(house.told("args").await, format!("--verbose\n--model\nopus\n--mcp-config\n{config}\n"));
    let home = house.folder.path().join("agents/x");
    assert_eq!(house.told("pwd").await.trim(), home.join("work").canonicalize().unwrap().display().to_string());

    let text = std::fs::read_to_string(&config).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["mcpServers"]["hub"]["headers"]["Authorization"], format!("Bearer {token}"));
    assert_eq!((mode(&config), mode(&home.display().to_string())), (0o600, 0o700));

    let caller = house.auth.by_token(&token).await.unwrap().unwrap();
    assert_eq!((caller.role, caller.agent()), (Role::Agent, Some("x")));
    assert!(token.starts_with(&started.token_prefix.unwrap()));
    // In the files of the database only its hash is.
    let mut stored = std::fs::read(house.folder.path().join("hub.db")).unwrap();
    stored.extend(std::fs::read(house.folder.path().join("hub.db-wal")).unwrap_or_default());
    assert!(!stored.windows(token.len()).any(|part| part == token.as_bytes()));

    // Again: another token, and the old one is nobody's.
    house.forget();
    house.agents.restart(&who, made.id).await.unwrap();
    let fresh = house.variable("CENTRAL_MCP_TOKEN").await.unwrap();
    assert_ne!(fresh, token);
    assert!(house.auth.by_token(&token).await.unwrap().is_none());
    assert!(house.auth.by_token(&fresh).await.unwrap().is_some());

    // Stopped: no session, no token, no file that holds one.
    let stopped = house.agents.stop(&who, made.id).await.unwrap();
    assert_eq!((stopped.state, stopped.token_prefix), (AgentState::Stopped, None));
    assert!(house.auth.by_token(&fresh).await.unwrap().is_none());
    assert!(!std::fs::exists(&config).unwrap());
    assert!(house.running().await.is_empty());
}

#[tokio::test]
async fn each_program_gets_the_form_it_reads() {
    let (house, who) = (House::begun().await, Caller::cli());
    let cases = [
        ("codex", "codex", "config.toml", None),
        ("gemini-cli", "gemini", "gemini.json", Some("GEMINI_CLI_SYSTEM_SETTINGS_PATH")),
        ("opencode", "opencode", "opencode.json", Some("OPENCODE_CONFIG")),
    ];
    for (profile, program, file, variable) in cases {
        house.forget();
        house.program(program, TELL);
        let made = house.made(draft(program, profile)).await;
        house.agents.start(&who, made.id).await.unwrap();
        let config = house.variable("CENTRAL_MCP_CONFIG").await.unwrap();
        assert!(config.ends_with(&format!("agents/{program}/{file}")), "{config}");
        assert_eq!(mode(&config), 0o600);
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains(URL), "{text}");
        match variable {
            Some(name) => assert_eq!(house.variable(name).await.as_deref(), Some(config.as_str())),
            None => assert!(house.told("args").await.contains("bearer_token_env_var=\"CENTRAL_MCP_TOKEN\"")),
        }
        house.agents.stop(&who, made.id).await.unwrap();
    }
}

#[tokio::test]
async fn another_makers_address_never_gets_the_persons_own_sign_in() {
    let (house, who) = (House::begun().await, Caller::cli());
    house.program("claude", TELL);
    let made = house.made(draft("ui", "glm")).await;
    house.agents.start(&who, made.id).await.unwrap();
    until("the banner", || async { house.screen("ui").await.contains("ANTHROPIC_AUTH_TOKEN") }).await;
    assert!(!house.folder.path().join("bin/env").exists(), "the program was started without its key");

    let environment = vec![secret("ANTHROPIC_AUTH_TOKEN", Some(SECRET))];
    house.agents.edit(&who, made.id, AgentDraft { environment, ..draft("ui", "glm") }).await.unwrap();
    house.agents.restart(&who, made.id).await.unwrap();
    assert_eq!(house.variable("ANTHROPIC_BASE_URL").await.as_deref(), Some("https://api.z.ai/api/anthropic"));
    assert_eq!(house.variable("ANTHROPIC_AUTH_TOKEN").await.as_deref(), Some(SECRET));
}

#[tokio::test]
async fn a_shell_in_the_programs_place_says_so_also_after_a_restart_of_the_hub() {
    let (mut house, who) = (House::begun().await, Caller::cli());
    let (codex, own) = (house.made(draft("c", "codex")).await, vec!["nowhere".into()]);
    let own = house.made(AgentDraft { command: own, ..draft("o", "codex") }).await;
    let keyless = house.made(draft("k", "glm")).await;
    house.program("claude", TELL);
    for agent in [&codex, &own, &keyless] {
        house.agents.start(&who, agent.id).await.unwrap();
    }
    for restarted in [false, true] {
        if restarted {
            house.restart().await;
        }
        let said = async |agent: &AgentView| {
            let view = house.get(agent).await;
            (view.state, view.problem.unwrap())
        };
        let (state, problem) = said(&codex).await;
        assert_eq!(state, AgentState::NotInstalled, "restarted: {restarted}");
        assert!(problem.contains("Codex is not installed") && problem.contains("npm install -g"), "{problem}");
        let (state, problem) = said(&own).await;
        assert_eq!(state, AgentState::NotInstalled);
        assert!(problem.contains("nowhere is not installed") && !problem.contains("npm"), "{problem}");
        let (state, problem) = said(&keyless).await;
        assert_eq!(state, AgentState::NotSetUp);
        assert!(problem.contains("ANTHROPIC_AUTH_TOKEN"), "{problem}");
    }
    assert_eq!(house.agents.activate().await.unwrap(), "0 of 3 agents run, 0 need somebody");

    // Installed, and started again, it is what was asked for.
    house.program("codex", TELL);
    house.agents.restart(&who, codex.id).await.unwrap();
    let view = house.get(&codex).await;
    assert_eq!((view.state, view.problem), (AgentState::Running, None));
    house.restart().await;
    assert_eq!(house.get(&codex).await.state, AgentState::Running);
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_and_leaves_no_token() {
    let (house, who) = (House::begun().await, Caller::cli());
    let gone = house.made(AgentDraft { folder: "/not/there".into(), ..draft("gone", "shell") }).await;
    let far = house.made(AgentDraft { machine: Some("pod".into()), ..draft("far", "shell") }).await;
    assert_eq!(refused(house.agents.start(&who, gone.id).await).kind, FailureKind::Invalid);
    assert_eq!(refused(house.agents.start(&who, far.id).await).kind, FailureKind::Outside);
    assert!(house.auth.tokens(&who).await.unwrap().is_empty());
    assert!(refused(house.agents.stop(&who, gone.id).await).message.contains("stopped already"));

    let made = house.made(draft("x", "shell")).await;
    house.agents.start(&who, made.id).await.unwrap();
    assert_eq!(refused(house.agents.start(&who, made.id).await).kind, FailureKind::Conflict);
    assert_eq!(house.auth.tokens(&who).await.unwrap().len(), 1);

    // Two at once start one.
    let other = house.made(draft("y", "shell")).await;
    let (one, two) = tokio::join!(house.agents.start(&who, other.id), house.agents.start(&who, other.id));
    assert!(one.is_ok() != two.is_ok());
}
