//! `tidy`: the rules of the house that a program can check. The rules themselves are in `rules.rs`.

use anyhow::{Context, Result, bail};

use crate::cmd::{command, read, say};
use crate::paths;

mod rules;
mod source;

/// Reads every file git would commit and names each place that breaks a rule.
pub(crate) fn tidy() -> Result<()> {
    say("Tidy: checking the rules of the house");
    let root = paths::root();
    // Tracked and new, but never ignored files.
    let listed = read(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let (mut complaints, mut files) = (Vec::new(), 0);
    for path in listed.lines() {
        let file = root.join(path);
        if !(path.ends_with(".rs") || path.ends_with(".sql")) || !file.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
        files += 1;
        complaints.extend(rules::check(path, &text));
    }
    if files == 0 {
        bail!("found no source to check; is this a git checkout?");
    }
    if complaints.is_empty() {
        println!("    {files} files, nothing to say");
        return Ok(());
    }
    bail!("{} places break a rule:\n    {}", complaints.len(), complaints.join("\n    "))
}
