//! The stylesheet: many files for people, one for the browser.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Reads a stylesheet, puts local `@import`s in their places and drops comments and indentation.
///
/// Imports are inlined because the browser would fetch them one after another before it paints.
pub(crate) fn bundle(file: &Path) -> Result<String> {
    Ok(tighten(&inline(file, &mut Vec::new())?))
}

fn inline(file: &Path, above: &mut Vec<std::path::PathBuf>) -> Result<String> {
    let file = file.canonicalize().with_context(|| format!("no stylesheet {}", file.display()))?;
    if above.contains(&file) {
        bail!("{} imports itself", file.display());
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    above.push(file.clone());
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match import(line) {
            None => out.push_str(line),
            Some((name, layer)) => {
                let body = inline(&folder.join(name), above)?;
                match layer {
                    Some(layer) => out.push_str(&format!("@layer {layer} {{\n{body}}}")),
                    None => out.push_str(&body),
                }
            }
        }
        out.push('\n');
    }
    above.pop();
    Ok(out)
}

/// The file and the layer of a line `@import "file.css" layer(name);` that names a local file.
fn import(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.trim().strip_prefix("@import")?.trim_start();
    let rest = rest.strip_prefix("url(").unwrap_or(rest);
    let quote = rest.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
    let (name, rest) = rest.get(1..)?.split_once(quote)?;
    if name.contains("//") {
        return None;
    }
    let rest = rest.trim_start_matches(')').trim().trim_end_matches(';').trim();
    let layer = rest.strip_prefix("layer(").and_then(|rest| rest.strip_suffix(')'));
    // A condition (`screen`, `supports(…)`) is beyond this small tool; the line stays for the browser.
    (rest.is_empty() || layer.is_some()).then_some((name, layer))
}

/// Drops comments, indentation and empty lines. Strings are left alone.
fn tighten(css: &str) -> String {
    let mut plain = String::with_capacity(css.len());
    let mut string: Option<char> = None;
    let mut chars = css.chars().peekable();
    while let Some(char) = chars.next() {
        match string {
            Some(quote) => {
                plain.push(char);
                if char == '\\' {
                    plain.extend(chars.next());
                } else if char == quote {
                    string = None;
                }
            }
            None if char == '/' && chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                for inside in chars.by_ref() {
                    if before == '*' && inside == '/' {
                        break;
                    }
                    before = inside;
                }
            }
            None => {
                if matches!(char, '"' | '\'') {
                    string = Some(char);
                }
                plain.push(char);
            }
        }
    }
    let mut out = String::with_capacity(plain.len());
    for line in plain.lines().map(str::trim).filter(|line| !line.is_empty()) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{import, tighten};

    #[test]
    fn comments_and_indentation_go_and_strings_stay() {
        let css = "/* top\n * more */\na {\n  content: \"/* no comment */\"; /* x */\n\n}\n";
        assert_eq!(tighten(css), "a {\ncontent: \"/* no comment */\";\n}\n");
    }

    #[test]
    fn only_plain_local_imports_are_inlined() {
        assert_eq!(import("@import \"a.css\";"), Some(("a.css", None)));
        assert_eq!(import("@import url('b.css') layer(page);"), Some(("b.css", Some("page"))));
        assert_eq!(import("@import \"https://example.org/a.css\";"), None);
        assert_eq!(import("@import \"print.css\" print;"), None);
        assert_eq!(import("a { color: red }"), None);
    }
}
