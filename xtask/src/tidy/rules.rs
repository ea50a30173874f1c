//! The rules. Each looks at one file and says, per line, what is wrong and what to do instead.

use super::source::{code, without_tests};

/// No file longer than a person reads at once.
const MOST_LINES: usize = 500;
/// The rooms of the server, and whom each may know (ARCHITECTURE.md, "The map").
const ROOMS: &[&str] =
    &["auth", "agents", "projects", "tasks", "images", "terminals", "machines", "services", "pods", "spend", "alerts"];
const MAY_KNOW: &[(&str, &str)] = &[("images", "services"), ("agents", "terminals"), ("agents", "auth")];
const OUTER: &[&str] = &["http", "mcp", "oauth", "a2a", "loops", "runner", "tls", "deploy"];
/// Where SQL may stand: a room's store, and the floor's database and its audit log.
const SQL_FILES: &[&str] = &["store.rs", "db.rs", "events.rs"];
const SQL: &[&str] = &["sqlx::query", "query!", "query_as!", "query_scalar!", "query_as::<", "query_scalar::<"];

/// A word that may stand only in some files.
struct Word {
    words: &'static [&'static str],
    /// File names in which it may stand.
    except: &'static [&'static str],
    /// Whether it also holds in `xtask`, which is a tool and no part of the program.
    in_xtask: bool,
    instead: &'static str,
}

const WORDS: &[Word] = &[
    Word {
        words: &["env::var(", "env::var_os(", "env::vars("],
        except: &["config.rs"],
        in_xtask: false,
        instead: "the environment is read only in config.rs; take the value from the configuration",
    },
    Word {
        words: &["tokio::spawn", "tokio::task::spawn("],
        except: &[],
        in_xtask: false,
        instead: "spawn through the tracker, so that the shutdown waits for it",
    },
    Word {
        words: &["SystemTime::now", "Instant::now"],
        except: &["clock.rs"],
        in_xtask: false,
        instead: "time comes in as a Clock, so that tests can move it",
    },
    Word {
        words: &[".unwrap()"],
        except: &[],
        in_xtask: true,
        instead: "return an error, or `expect` with the reason why it cannot fail",
    },
];

/// Everything that is wrong with the file at `path`, relative to the root.
pub(super) fn check(path: &str, text: &str) -> Vec<String> {
    let found = if path.ends_with(".sql") { migration(path, text) } else { rust(path, text) };
    found.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
}

fn migration(path: &str, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !path.starts_with("migrations/") {
        return found;
    }
    if text.contains('\r') {
        found.push((1, "line ends must be LF: a migration's checksum is over its bytes".to_owned()));
    }
    if !text.starts_with("--") {
        found.push((1, "begin with a comment that says why this migration is".to_owned()));
    }
    found
}

fn rust(path: &str, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let count = text.lines().count();
    if count > MOST_LINES {
        found.push((MOST_LINES + 1, format!("{count} lines; split it, {MOST_LINES} is the most")));
    }
    found.extend(left_overs(text));
    let lines = code(text);
    if !only_tests(path) {
        let lines = without_tests(lines.clone());
        found.extend(words(path, &lines));
        found.extend(sql(path, &lines));
        found.extend(neighbours(path, &lines));
    }
    found.extend(store_in_app(path, &lines));
    found
}

/// Whether all of the file is test code.
fn only_tests(path: &str) -> bool {
    let mut parts = path.split('/');
    let file = path.rsplit('/').next().unwrap_or_default();
    file == "tests.rs"
        || file == "testing.rs"
        || file.ends_with("_tests.rs")
        || parts.any(|part| matches!(part, "tests" | "benches" | "examples" | "end2end"))
}

/// Marks of unfinished work, also in comments. (Put together here so that this file does not find itself.)
fn left_overs(text: &str) -> Vec<(usize, String)> {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let mark = |line: &str| {
        marks.iter().find(|mark| line.split(|char: char| !char.is_alphanumeric()).any(|word| word == mark.as_str()))
    };
    numbered(text.lines())
        .filter_map(|(number, line)| Some((number, format!("`{}`: finish it, or file an issue", mark(line)?))))
        .collect()
}

fn words(path: &str, lines: &[String]) -> Vec<(usize, String)> {
    let file = path.rsplit('/').next().unwrap_or_default();
    let mut found = Vec::new();
    for rule in WORDS {
        if rule.except.contains(&file) || (path.starts_with("xtask/") && !rule.in_xtask) {
            continue;
        }
        for (number, line) in numbered(lines.iter().map(String::as_str)) {
            if let Some(word) = rule.words.iter().find(|word| line.contains(**word)) {
                found.push((number, format!("`{word}`: {}", rule.instead)));
            }
        }
    }
    found
}

fn sql(path: &str, lines: &[String]) -> Vec<(usize, String)> {
    let file = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("xtask/") || SQL_FILES.contains(&file) || path.contains("/store/") {
        return Vec::new();
    }
    numbered(lines.iter().map(String::as_str))
        .filter(|(_, line)| SQL.iter().any(|word| line.contains(word)))
        .map(|(number, _)| (number, "SQL stands only in store.rs (or the floor's db.rs and events.rs)".to_owned()))
        .collect()
}

/// No room knows the outer layer, nor a room it was not promised.
fn neighbours(path: &str, lines: &[String]) -> Vec<(usize, String)> {
    let Some(room) = path.strip_prefix("server/src/").and_then(|rest| rest.split(['/', '.']).next()) else {
        return Vec::new();
    };
    if !ROOMS.contains(&room) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in numbered(whole_groups(lines).iter().map(String::as_str)) {
        for known in crate_names(line) {
            if OUTER.contains(&known) {
                found.push((
                    number,
                    format!(
                        "the room `{room}` knows the outer layer `{known}`; that layer calls rooms, never the other way"
                    ),
                ));
            } else if ROOMS.contains(&known) && known != room && !MAY_KNOW.contains(&(room, known)) {
                found.push((
                    number,
                    format!("the room `{room}` knows the room `{known}`; go through events, or a loop that sees both"),
                ));
            }
        }
    }
    found
}

/// The lines, with a `crate::{` group that the formatter spread over several put back on its first.
fn whole_groups(lines: &[String]) -> Vec<String> {
    let open = |line: &str| line.matches('{').count() > line.matches('}').count();
    let mut whole = lines.to_vec();
    for (index, line) in whole.iter_mut().enumerate() {
        for more in &lines[index + 1..] {
            if !line.contains("crate::{") || !open(line) {
                break;
            }
            line.push(' ');
            line.push_str(more.trim());
        }
    }
    whole
}

/// The modules a line names right below the crate: `crate::x::…` and `crate::{x::…, y}`.
fn crate_names(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (place, start) in line.match_indices("crate::") {
        let rest = &line[place + start.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let parts = group.split(|char: char| {
                    depth += i32::from(char == '{') - i32::from(char == '}');
                    char == ',' && depth == 0
                });
                names.extend(parts.filter_map(|part| word(part.trim_start())));
            }
        }
    }
    names
}

fn word(text: &str) -> Option<&str> {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// Pages call rooms; what lies below a room is not theirs.
fn store_in_app(path: &str, lines: &[String]) -> Vec<(usize, String)> {
    if !path.starts_with("app/") {
        return Vec::new();
    }
    numbered(lines.iter().map(String::as_str))
        .filter(|(_, line)| line.contains("::store") || line.contains("sqlx"))
        .map(|(number, _)| (number, "a page never touches a store; ask the room".to_owned()))
        .collect()
}

fn numbered<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (usize, &'a str)> {
    lines.enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::check;

    /// Asserts that the file breaks exactly one rule, whose complaint holds `what`.
    #[track_caller]
    fn complains(path: &str, text: &str, what: &str) {
        let found = check(path, text);
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    }

    #[track_caller]
    fn content(path: &str, text: &str) {
        assert_eq!(check(path, text), Vec::<String>::new());
    }

    #[test]
    fn sql_stands_only_in_stores() {
        let text = "fn a() { sqlx::query!(\"select 1\"); }";
        complains("server/src/tasks/mod.rs", text, "SQL stands only in");
        content("server/src/tasks/store.rs", text);
        content("server/src/db.rs", text);
        content("server/src/tasks/tests.rs", text);
    }

    #[test]
    fn the_environment_is_read_only_in_the_configuration() {
        complains("src/main.rs", "let a = std::env::var(\"A\");", "config.rs");
        content("server/src/config.rs", "let a = std::env::var(\"A\");");
        content("xtask/src/paths.rs", "let a = std::env::var(\"A\");");
        content("src/main.rs", "// std::env::var(\"A\") is not for here");
    }

    #[test]
    fn tasks_are_spawned_through_the_tracker_and_time_comes_from_the_clock() {
        complains("server/src/hub.rs", "tokio::spawn(async {});", "tracker");
        content("server/src/hub.rs", "tracker.spawn(async {});");
        complains("server/src/pods/mod.rs", "let now = Instant::now();", "Clock");
        content("server/src/clock.rs", "SystemTime::now()");
    }

    #[test]
    fn unwrap_is_for_tests() {
        complains("xtask/src/cmd.rs", "a.unwrap();", "expect");
        content("xtask/src/cmd.rs", "a.unwrap_or(1);\n#[cfg(test)]\nmod tests {\n fn b() { a.unwrap(); }\n}");
        content("server/tests/it/main.rs", "a.unwrap();");
    }

    #[test]
    fn a_room_knows_only_the_rooms_it_was_promised() {
        complains("server/src/tasks/mod.rs", "use crate::agents::Agents;", "the room `agents`");
        complains("server/src/tasks/mod.rs", "use crate::{db::{Db, pods}, agents};", "the room `agents`");
        complains(
            "server/src/tasks/mod.rs",
            "use crate::{\n    db::Db,\n    agents,\n};\n",
            "mod.rs:1: the room `tasks`",
        );
        complains("server/src/pods/mod.rs", "use crate::http::Router;", "outer layer `http`");
        content(
            "server/src/images/mod.rs",
            "use crate::services::Services;\nuse crate::images::rules;\nuse crate::db::Db;",
        );
        content("server/src/http/mod.rs", "use crate::tasks::Tasks;");
    }

    #[test]
    fn pages_do_not_touch_stores() {
        complains("app/src/tasks/mod.rs", "use server::tasks::store::list;", "ask the room");
    }

    #[test]
    fn long_files_and_left_overs_are_named() {
        complains("app/src/lib.rs", &"\n".repeat(501), "501 lines");
        content("app/src/lib.rs", &"\n".repeat(500));
        complains("app/src/lib.rs", concat!("// TO", "DO: later"), "file an issue");
        content("app/src/lib.rs", "let mastodons = 1;");
    }

    #[test]
    fn migrations_say_why_and_end_lines_with_lf() {
        content("migrations/0001_a.sql", "-- Why.\ncreate table a (b);\n");
        complains("migrations/0001_a.sql", "create table a (b);\n", "comment");
        complains("migrations/0001_a.sql", "-- Why.\r\n", "LF");
    }
}
