//! `queries`: the data in .sqlx that lets sqlx check every statement without a database.
//!
//! sqlx's own tool is not needed: its macros write the data themselves when they see a database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::cmd::{cargo, command, read, run, say};
use crate::paths;
use crate::site::{remove, tree};

/// Applies the migrations. SQLite 3.37 brought `strict` tables.
const MIGRATE: &str = "
import sqlite3, sys
if sqlite3.sqlite_version_info < (3, 37):
    sys.exit('python3 has SQLite ' + sqlite3.sqlite_version + ', strict tables need 3.37 or newer')
database = sqlite3.connect(sys.argv[1])
for file in sys.argv[2:]:
    try:
        database.executescript(open(file, encoding='utf-8').read())
    except sqlite3.Error as error:
        sys.exit(file + ': ' + str(error))
";

/// Writes .sqlx anew.
pub(crate) fn refresh() -> Result<()> {
    say("Refreshing .sqlx: every statement is checked against a scratch database");
    let fresh = describe()?;
    let committed = paths::root().join(".sqlx");
    remove(&committed)?;
    fs::create_dir_all(&committed)?;
    for (name, bytes) in &fresh {
        fs::write(committed.join(name), bytes)?;
    }
    println!("    {} statements; commit .sqlx", fresh.len());
    Ok(())
}

/// Fails where the committed data differs from what the code and the migrations say now.
pub(crate) fn check() -> Result<()> {
    say("Checking .sqlx against the migrations and the code");
    let fresh = describe()?;
    let committed = tree(&paths::root().join(".sqlx"))?;
    let stale = differences(&committed, &fresh);
    if stale.is_empty() {
        println!("    {} statements, all fresh", fresh.len());
        return Ok(());
    }
    bail!("the query data is stale; run `cargo xtask queries` and commit .sqlx:\n    {}", stale.join("\n    "))
}

fn differences(committed: &BTreeMap<String, Vec<u8>>, fresh: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in fresh {
        match committed.get(name) {
            None => found.push(format!("missing: {name}  {}", statement(bytes))),
            Some(old) if old != bytes => found.push(format!("changed: {name}  {}", statement(bytes))),
            Some(_) => {}
        }
    }
    for (name, bytes) in committed {
        if !fresh.contains_key(name) {
            found.push(format!("no longer used: {name}  {}", statement(bytes)));
        }
    }
    found
}

/// The statement's beginning, for a person to recognise it by.
fn statement(bytes: &[u8]) -> String {
    let query = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let text = query.as_ref().and_then(|query| query.get("query")?.as_str()).unwrap_or("?");
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect()
}

/// Compiles the server against a scratch database and returns the data its macros wrote.
fn describe() -> Result<BTreeMap<String, Vec<u8>>> {
    let scratch = std::env::temp_dir().join(format!("central-mcp-queries-{}", std::process::id()));
    remove(&scratch)?;
    let data = scratch.join("sqlx");
    fs::create_dir_all(&data)?;
    let outcome = describe_in(&scratch, &data);
    remove(&scratch)?;
    outcome
}

fn describe_in(scratch: &Path, data: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let database = scratch.join("scratch.db");
    let mut python = command("python3");
    python.args(["-c", MIGRATE]).arg(&database).args(migrations()?);
    read(&mut python).context("the migrations do not apply to an empty database")?;
    // The macros run when the crate compiles, and cargo does not know that the database is new.
    fs::File::open(paths::root().join("server/src/lib.rs"))?.set_modified(SystemTime::now())?;
    run(cargo()
        .args(["check", "--package", "server", "--all-targets"])
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("SQLX_OFFLINE_DIR", data)
        .env_remove("SQLX_OFFLINE"))?;
    tree(data)
}

fn migrations() -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("migrations");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::differences;

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        entries.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_missing_a_changed_and_an_unused_statement_are_named() {
        let committed = data(&[("a", "1"), ("b", "1"), ("old", r#"{"query":"select  1\n from t"}"#)]);
        let fresh = data(&[("a", "1"), ("b", "2"), ("new", "{}")]);
        let found = differences(&committed, &fresh);
        assert_eq!(found, ["changed: b  ?", "missing: new  ?", "no longer used: old  select 1 from t"]);
        assert!(differences(&fresh, &fresh).is_empty());
    }
}
