//! What is pasted where, for each client program. Pure text: no page, no clock, no network.
//!
//! The forms are those that were tried against a hub with the real programs, or that their makers document.

use serde_json::Value;

/// Stands where the token will be, until there is one.
pub(super) const PLACE: &str = "YOUR_TOKEN";
/// The variable that carries the token where a client can read one.
const VARIABLE: &str = "CENTRAL_MCP_TOKEN";

/// A program that an agent runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Anthropic's, in a terminal.
    ClaudeCode,
    /// `OpenAI`'s, in a terminal.
    Codex,
    /// Google's, in a terminal.
    Gemini,
    /// The open one, in a terminal.
    Opencode,
    /// An editor.
    Cursor,
    /// An editor.
    VsCode,
    /// Any other.
    Other,
}

impl Client {
    /// All of them, in the order they are offered.
    pub(super) const ALL: [Self; 7] =
        [Self::ClaudeCode, Self::Codex, Self::Gemini, Self::Opencode, Self::Cursor, Self::VsCode, Self::Other];

    /// Its word in the page's address.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini-cli",
            Self::Opencode => "opencode",
            Self::Cursor => "cursor",
            Self::VsCode => "vs-code",
            Self::Other => "stdio",
        }
    }

    /// What people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Opencode => "opencode",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Other => "stdio, other",
        }
    }

    /// The client of this key; the first one for a key that is nobody's.
    pub(super) fn of(key: &str) -> Self {
        Self::ALL.into_iter().find(|client| client.key() == key).unwrap_or(Self::ClaudeCode)
    }
}

/// One thing to paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snippet {
    /// What to do with it, as a sentence.
    pub(super) about: &'static str,
    /// The file it belongs into; `None` is a terminal.
    pub(super) file: Option<&'static str>,
    /// The text itself.
    pub(super) text: String,
}

/// What `client` needs to reach the hub at `origin` (`https://hub.example.org`) with `token`, in the order it is done.
pub(super) fn snippets(client: Client, origin: &str, token: Option<&str>) -> Vec<Snippet> {
    let token = token.unwrap_or(PLACE);
    let (http, socket) = addresses(origin);
    let bearer = format!("Bearer {token}");
    let run = |about, text| Snippet { about, file: None, text };
    let write = |about, file, text| Snippet { about, file: Some(file), text };
    let export = |about| run(about, format!("export {VARIABLE}={}", shell(token)));
    match client {
        Client::ClaudeCode => vec![
            run(
                "Run this in the project's folder.",
                format!("claude mcp add --transport http hub {} --header {}", shell(&http), shell(&header(&bearer))),
            ),
            run(
                "Or this, for a WebSocket: one connection that stays open.",
                format!(
                    "claude mcp add-json hub {}",
                    quoted(&format!(
                        r#"{{"type":"ws","url":{},"headers":{{"Authorization":{}}}}}"#,
                        json(&socket),
                        json(&bearer)
                    ))
                ),
            ),
            export("Or with a file that everybody on the project shares. First the token, in the environment:"),
            write(
                "Then the file. It holds no secret and can be committed.",
                ".mcp.json",
                servers(&format!(
                    r#""type": "http",
      "url": {},
      "alwaysLoad": true,
      "headers": {{ "Authorization": "Bearer ${{{VARIABLE}}}" }}"#,
                    json(&http)
                )),
            ),
        ],
        Client::Codex => vec![
            export("Codex reads the token from the environment. Put this into your shell's profile."),
            run(
                "Then run this once.",
                format!("codex mcp add hub --url {} --bearer-token-env-var {VARIABLE}", shell(&http)),
            ),
            write(
                "Or write what it writes.",
                "~/.codex/config.toml",
                format!("[mcp_servers.hub]\nurl = {}\nbearer_token_env_var = \"{VARIABLE}\"", json(&http)),
            ),
        ],
        Client::Gemini => vec![write(
            "Add this to your settings. A picture may take minutes, so the time limit is raised.",
            "~/.gemini/settings.json",
            servers(&format!(
                r#""httpUrl": {},
      "headers": {{
        "Authorization": {}
      }},
      "timeout": 600000"#,
                json(&http),
                json(&bearer)
            )),
        )],
        Client::Opencode => vec![
            export("opencode reads the token from the environment. Put this into your shell's profile."),
            write(
                "Then add this in the project's folder.",
                "opencode.json",
                format!(
                    r#"{{
  "$schema": "https://opencode.ai/config.json",
  "mcp": {{
    "hub": {{
      "type": "remote",
      "url": {},
      "enabled": true,
      "oauth": false,
      "headers": {{ "Authorization": "Bearer {{env:{VARIABLE}}}" }}
    }}
  }}
}}"#,
                    json(&http)
                ),
            ),
        ],
        Client::Cursor => vec![write(
            "Add this for all projects. It holds the token, so keep it out of repositories.",
            "~/.cursor/mcp.json",
            servers(&format!(
                r#""url": {},
      "headers": {{
        "Authorization": {}
      }}"#,
                json(&http),
                json(&bearer)
            )),
        )],
        Client::VsCode => vec![
            write(
                "Add this in the project's folder; it holds no secret and can be committed.",
                ".vscode/mcp.json",
                format!(
                    r#"{{
  "inputs": [
    {{
      "id": "hub-token",
      "type": "promptString",
      "description": "Token of the hub",
      "password": true
    }}
  ],
  "servers": {{
    "hub": {{
      "type": "http",
      "url": {},
      "headers": {{ "Authorization": "Bearer ${{input:hub-token}}" }}
    }}
  }}
}}"#,
                    json(&http)
                ),
            ),
            Snippet {
                about: "VS Code asks for the token once and keeps it.",
                file: Some("paste when asked"),
                text: token.to_owned(),
            },
        ],
        Client::Other => vec![
            write(
                "For a client that only starts programs. Install central-mcp where it runs.",
                "mcpServers",
                servers(&format!(
                    r#""command": "central-mcp",
      "args": ["mcp", "--url", {}],
      "env": {{
        "{VARIABLE}": {}
      }}"#,
                    json(&http),
                    json(token)
                )),
            ),
            write("For any other client of Streamable HTTP, the address:", "address", http),
            write("And the header that it sends:", "header", header(&bearer)),
        ],
    }
}

/// A call that any machine with curl can make, to see whether it reaches the hub. It counts as a client called `curl`.
pub(super) fn test_call(origin: &str, token: Option<&str>) -> String {
    let (http, _) = addresses(origin);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}"#;
    format!(
        "curl -sS {} -H {} -H \"Content-Type: application/json\" -d {}",
        shell(&http),
        shell(&header(&format!("Bearer {}", token.unwrap_or(PLACE)))),
        quoted(body)
    )
}

/// Whether only programs on the hub's own machine reach this address.
pub(crate) fn only_here(origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or(host)
    } else {
        host.split(':').next().unwrap_or(host)
    };
    name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.") || name == "[::1]"
}

/// Where the hub speaks MCP: by HTTP, and by WebSocket.
fn addresses(origin: &str) -> (String, String) {
    let http = format!("{}/mcp", origin.trim_end_matches('/'));
    let socket = http.replacen("http", "ws", 1);
    (http, socket)
}

fn header(bearer: &str) -> String {
    format!("Authorization: {bearer}")
}

/// The file that most clients share: one server, called `hub`.
fn servers(inside: &str) -> String {
    format!("{{\n  \"mcpServers\": {{\n    \"hub\": {{\n      {inside}\n    }}\n  }}\n}}")
}

/// A JSON string, which is a TOML basic string too.
fn json(text: &str) -> String {
    Value::from(text).to_string()
}

/// One word of a command line: bare where that is safe, else in double quotes.
fn shell(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    let mut word = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            word.push('\\');
        }
        word.push(c);
    }
    word.push('"');
    word
}

/// One word of a command line in single quotes, for texts that are full of double ones.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUBS: [(&str, &str, &str); 3] = [
        ("https://hub.example.org", "https://hub.example.org/mcp", "wss://hub.example.org/mcp"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000/mcp", "ws://127.0.0.1:3000/mcp"),
        ("http://http.example.org/", "http://http.example.org/mcp", "ws://http.example.org/mcp"),
    ];
    const SECRET: &str = "cmcp_0123456789abcdef";
    /// What no token is, but what none of the forms may break at.
    const NASTY: &str = r#"a"b\c$d`e'f"#;

    fn parsed(snippet: &Snippet) -> Option<Value> {
        match snippet.file? {
            "~/.codex/config.toml" => {
                let table: toml::Table = toml::from_str(&snippet.text).expect(&snippet.text);
                Some(serde_json::to_value(table).unwrap())
            }
            file if file.ends_with(".json") || file == "mcpServers" => Some(
                serde_json::from_str(&snippet.text).unwrap_or_else(|error| panic!("{file}: {error}\n{}", snippet.text)),
            ),
            _ => None,
        }
    }

    /// The words that a POSIX shell reads.
    fn words(line: &str) -> Vec<String> {
        let (mut all, mut word, mut open) = (Vec::new(), String::new(), ' ');
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (open, c) {
                (' ', ' ') => all.push(std::mem::take(&mut word)),
                (' ', '"' | '\'') => open = c,
                ('"', '\\') | (' ', '\\') => word.extend(chars.next()),
                (quote, c) if quote == c => open = ' ',
                (_, c) => word.push(c),
            }
        }
        assert_eq!(open, ' ', "a quote is left open: {line}");
        all.push(word);
        all
    }

    #[test]
    fn every_client_gets_forms_that_parse_and_lead_to_the_hub() {
        for (origin, http, socket) in HUBS {
            for client in Client::ALL {
                for token in [None, Some(SECRET), Some(NASTY)] {
                    let all = snippets(client, origin, token);
                    let text: String = all.iter().map(|snippet| snippet.text.as_str()).collect();
                    assert!(text.contains(http), "{client:?} leads to {http}");
                    assert_eq!(text.contains(socket), client == Client::ClaudeCode, "{client:?}");
                    for snippet in &all {
                        match parsed(snippet) {
                            Some(value) => assert!(value.to_string().contains(http), "{client:?}: {value}"),
                            None if snippet.file.is_none() => assert!(words(&snippet.text).len() > 1),
                            None => {}
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn there_is_no_secret_before_there_is_one_and_each_client_gets_it_afterwards() {
        for (origin, ..) in HUBS {
            for client in Client::ALL {
                let text =
                    |token| -> String { snippets(client, origin, token).into_iter().map(|it| it.text).collect() };
                assert!(text(None).contains(PLACE) && !text(None).contains("cmcp_"), "{client:?}");
                assert!(text(Some(SECRET)).contains(SECRET) && !text(Some(SECRET)).contains(PLACE), "{client:?}");
            }
        }
    }

    #[test]
    fn what_can_be_committed_holds_no_secret() {
        for (client, file) in [
            (Client::ClaudeCode, ".mcp.json"),
            (Client::Codex, "~/.codex/config.toml"),
            (Client::Opencode, "opencode.json"),
            (Client::VsCode, ".vscode/mcp.json"),
        ] {
            let all = snippets(client, HUBS[0].0, Some(SECRET));
            let found = all.iter().find(|snippet| snippet.file == Some(file)).unwrap();
            assert!(!found.text.contains(SECRET), "{file}");
        }
    }

    #[test]
    fn a_secret_comes_out_of_every_form_as_it_went_in() {
        let bearer = format!("Bearer {NASTY}");
        let of = |client| snippets(client, HUBS[0].0, Some(NASTY));
        let claude = of(Client::ClaudeCode);
        assert_eq!(words(&claude[0].text).last(), Some(&format!("Authorization: {bearer}")));
        let socket: Value = serde_json::from_str(words(&claude[1].text).last().unwrap()).unwrap();
        assert_eq!(socket["headers"]["Authorization"], bearer.as_str());
        assert_eq!(words(&claude[2].text), ["export", &format!("{VARIABLE}={NASTY}")]);
        let file = |client: Client| of(client).iter().find_map(parsed).unwrap();
        for client in [Client::Gemini, Client::Cursor] {
            assert_eq!(file(client)["mcpServers"]["hub"]["headers"]["Authorization"], bearer.as_str(), "{client:?}");
        }
        assert_eq!(file(Client::Other)["mcpServers"]["hub"]["env"][VARIABLE], NASTY);
        let call = words(&test_call(HUBS[0].0, Some(NASTY)));
        assert_eq!(call[1..5], ["-sS", HUBS[0].1, "-H", &format!("Authorization: {bearer}")]);
        assert!(serde_json::from_str::<Value>(call.last().unwrap()).is_ok());
    }

    #[test]
    fn every_key_leads_back_to_its_client() {
        for client in Client::ALL {
            assert_eq!(Client::of(client.key()), client);
        }
        assert_eq!(Client::of("nobody"), Client::ClaudeCode);
    }

    #[test]
    fn an_address_of_this_machine_only_is_known_as_such() {
        for here in ["http://127.0.0.1:3000", "http://localhost", "https://hub.localhost:8443", "http://[::1]:3000"] {
            assert!(only_here(here), "{here}");
        }
        for anywhere in ["https://hub.example.org", "http://192.168.1.4:3000", "https://localhost.example.org"] {
            assert!(!only_here(anywhere), "{anywhere}");
        }
    }
}
