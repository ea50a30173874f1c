//! The programs that agents run in: how each is started, connected, installed, and what it writes when it waits for somebody.
//!
//! The forms of the configuration are those that were tried against a hub with the real programs. The words are those that the
//! programs write today; one that changes its words is not recognised any more, and nothing worse happens.

use serde_json::json;

use super::{ProfileView, Variable};

/// The variable that carries the token.
pub(super) const TOKEN: &str = "CENTRAL_MCP_TOKEN";

/// How a program is told where the hub is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connects {
    /// `--mcp-config FILE`.
    ClaudeFile,
    /// `-c mcp_servers.hub.…`: its own folder keeps the person's sign-in, so it is not moved by `CODEX_HOME`.
    CodexSettings,
    /// `GEMINI_CLI_SYSTEM_SETTINGS_PATH`, which is merged over the person's settings.
    GeminiFile,
    /// `OPENCODE_CONFIG`, which is merged over the person's configuration.
    OpencodeFile,
    /// Not at all; the file lies ready.
    Ready,
}

/// What a program writes; all lower case.
pub(super) struct Words {
    /// Questions that stop it until somebody answers.
    pub(super) asks: &'static [&'static str],
    /// How a choice below such a question begins; without one on the screen the question is only text.
    pub(super) answers: &'static [&'static str],
    /// Stands on the screen while it works.
    pub(super) busy: &'static [&'static str],
    /// Stands on the screen while it waits for what to do next.
    pub(super) idle: &'static [&'static str],
}

/// One program.
pub(super) struct Profile {
    /// Its word in the table.
    pub(super) key: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    /// The program; empty: the login shell.
    pub(super) program: &'static str,
    /// The command that installs it.
    pub(super) install: &'static str,
    /// How it is connected.
    pub(super) connects: Connects,
    /// The variables it wants, with their values; a secret has none and must be entered before the program is started.
    pub(super) environment: &'static [(&'static str, Option<&'static str>)],
    /// What it writes.
    pub(super) words: &'static Words,
}

const CLAUDE_INSTALL: &str = "curl -fsSL https://claude.ai/install.sh | bash";

const CLAUDE: Words = Words {
    asks: &[
        "do you want to proceed?",
        "would you like to proceed?",
        "do you want to make this edit to",
        "do you want to create",
        "do you want to overwrite",
        "do you want to allow",
        "do you want to use",
        "do you trust the files in this folder?",
        "is this a project you created or one you trust?",
    ],
    answers: &["1. "],
    busy: &["esc to interrupt", "ctrl+c to interrupt"],
    idle: &["? for shortcuts", "shift+tab to cycle"],
};

const CODEX: Words = Words {
    asks: &[
        "allow command?",
        "would you like to run the following command?",
        "would you like to make the following edits?",
        "would you like to grant these permissions?",
        "do you trust the contents of this directory?",
    ],
    answers: &["1. ", "yes (y)", "yes, proceed"],
    busy: &["esc to interrupt"],
    idle: &["context left", "? for shortcuts", "⏎ send"],
};

const GEMINI: Words = Words {
    asks: &["apply this change?", "allow execution of", "do you want to proceed?", "do you trust this folder?"],
    answers: &["1. ", "allow once", "yes, allow once"],
    busy: &["esc to cancel"],
    idle: &["type your message"],
};

const OPENCODE: Words = Words {
    asks: &["permission required"],
    answers: &["allow once", "accept"],
    busy: &["esc interrupt", "esc to interrupt"],
    idle: &["ctrl+p commands", "enter send"],
};

const SHELL: Words = Words { asks: &[], answers: &[], busy: &[], idle: &[] };

/// All of them, in the order they are offered.
pub(super) const ALL: [Profile; 6] = [
    Profile {
        key: "claude-code",
        name: "Claude Code",
        program: "claude",
        install: CLAUDE_INSTALL,
        connects: Connects::ClaudeFile,
        environment: &[],
        words: &CLAUDE,
    },
    Profile {
        key: "codex",
        name: "Codex",
        program: "codex",
        install: "npm install -g @openai/codex",
        connects: Connects::CodexSettings,
        environment: &[],
        words: &CODEX,
    },
    Profile {
        key: "gemini-cli",
        name: "Gemini CLI",
        program: "gemini",
        install: "npm install -g @google/gemini-cli",
        connects: Connects::GeminiFile,
        environment: &[],
        words: &GEMINI,
    },
    Profile {
        key: "opencode",
        name: "opencode",
        program: "opencode",
        install: "npm install -g opencode-ai",
        connects: Connects::OpencodeFile,
        environment: &[],
        words: &OPENCODE,
    },
    Profile {
        key: "glm",
        name: "GLM in Claude Code",
        program: "claude",
        install: CLAUDE_INSTALL,
        connects: Connects::ClaudeFile,
        // Without a key of its own the program would offer the person's Anthropic sign-in to another company's address.
        environment: &[("ANTHROPIC_BASE_URL", Some("https://api.z.ai/api/anthropic")), ("ANTHROPIC_AUTH_TOKEN", None)],
        words: &CLAUDE,
    },
    Profile {
        key: "shell",
        name: "Plain shell",
        program: "",
        install: "",
        connects: Connects::Ready,
        environment: &[],
        words: &SHELL,
    },
];

/// The profile of this key.
pub(super) fn find(key: &str) -> Option<&'static Profile> {
    ALL.iter().find(|profile| profile.key == key)
}

impl Profile {
    /// As offered.
    pub(super) fn view(&self, installed: bool) -> ProfileView {
        let variable = |(name, value): &(&str, Option<&str>)| Variable {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
            secret: value.is_none(),
        };
        ProfileView {
            key: self.key.to_owned(),
            name: self.name.to_owned(),
            program: self.program.to_owned(),
            install: self.install.to_owned(),
            installed,
            environment: self.environment.iter().map(variable).collect(),
        }
    }

    /// The arguments that ask for `model`; every one of these programs calls it so.
    pub(super) fn model(&self, model: &str) -> Vec<String> {
        if model.is_empty() || self.program.is_empty() {
            return Vec::new();
        }
        vec!["--model".to_owned(), model.to_owned()]
    }
}

/// The configuration file's name and text.
pub(super) fn config(connects: Connects, url: &str, token: &str) -> (&'static str, String) {
    let bearer = format!("Bearer {token}");
    let (name, value) = match connects {
        Connects::ClaudeFile | Connects::Ready => (
            "mcp.json",
            json!({ "mcpServers": { "hub": {
                "type": "http", "url": url, "alwaysLoad": true, "headers": { "Authorization": bearer },
            } } }),
        ),
        Connects::GeminiFile => (
            "gemini.json",
            // A picture may take minutes, so the time limit is raised.
            json!({ "mcpServers": { "hub": {
                "httpUrl": url, "headers": { "Authorization": bearer }, "timeout": 600_000,
            } } }),
        ),
        Connects::OpencodeFile => (
            "opencode.json",
            json!({ "$schema": "https://opencode.ai/config.json", "mcp": { "hub": {
                "type": "remote", "url": url, "enabled": true, "oauth": false,
                "headers": { "Authorization": format!("Bearer {{env:{TOKEN}}}") },
            } } }),
        ),
        Connects::CodexSettings => {
            let text = format!("[mcp_servers.hub]\nurl = {}\nbearer_token_env_var = \"{TOKEN}\"\n", toml(url));
            return ("config.toml", text);
        }
    };
    (name, format!("{value:#}\n"))
}

/// The arguments and variables that lead a program to its configuration at `file`.
pub(super) fn connection(connects: Connects, url: &str, file: &str) -> (Vec<String>, Vec<(String, String)>) {
    let variable = |name: &str| (Vec::new(), vec![(name.to_owned(), file.to_owned())]);
    match connects {
        // Last, for the option takes all words up to the next option.
        Connects::ClaudeFile => (vec!["--mcp-config".to_owned(), file.to_owned()], Vec::new()),
        Connects::CodexSettings => {
            let settings = [
                format!("mcp_servers.hub.url={}", toml(url)),
                format!("mcp_servers.hub.bearer_token_env_var=\"{TOKEN}\""),
            ];
            (settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect(), Vec::new())
        }
        Connects::GeminiFile => variable("GEMINI_CLI_SYSTEM_SETTINGS_PATH"),
        Connects::OpencodeFile => variable("OPENCODE_CONFIG"),
        Connects::Ready => (Vec::new(), Vec::new()),
    }
}

/// A TOML basic string; JSON's is one too.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:3000/mcp";

    #[test]
    fn every_configuration_parses_and_leads_to_the_hub() {
        for profile in &ALL {
            let (name, text) = config(profile.connects, URL, "cmcp_x");
            let value: serde_json::Value = if name.ends_with(".toml") {
                serde_json::to_value(::toml::from_str::<::toml::Table>(&text).unwrap()).unwrap()
            } else {
                serde_json::from_str(&text).unwrap()
            };
            let hub = ["mcpServers", "mcp_servers", "mcp"].iter().find_map(|key| value.get(key)?.get("hub")).unwrap();
            assert!(
                hub.get("url").or_else(|| hub.get("httpUrl")).is_some_and(|it| it == URL),
                "{}: {text}",
                profile.key
            );
            let (args, variables) = connection(profile.connects, URL, "/x/file");
            let led = args
                .iter()
                .chain(variables.iter().map(|(_, value)| value))
                .any(|it| it.contains("/x/file") || it.contains(URL));
            assert!(led || profile.connects == Connects::Ready, "{}", profile.key);
        }
    }

    #[test]
    fn settings_of_codex_are_toml() {
        let (args, _) = connection(Connects::CodexSettings, URL, "");
        let text: String = args.iter().filter(|it| *it != "-c").map(|it| format!("{it}\n")).collect();
        let table: ::toml::Table = ::toml::from_str(&text).unwrap();
        assert_eq!(table["mcp_servers"]["hub"]["bearer_token_env_var"].as_str(), Some(TOKEN));
    }

    #[test]
    fn keys_are_unique_and_words_are_lower_case() {
        for (n, profile) in ALL.iter().enumerate() {
            assert!(ALL[..n].iter().all(|other| other.key != profile.key));
            let words = profile.words;
            for word in [words.asks, words.answers, words.busy, words.idle].concat() {
                assert_eq!(word, word.to_lowercase());
            }
            assert_eq!(profile.program.is_empty(), profile.install.is_empty());
        }
    }
}
