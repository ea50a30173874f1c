//! What a page makes a browser fetch.

use std::collections::BTreeMap;

use anyhow::Result;

use super::wire;

/// Endings of what runs.
pub(super) const CODE: &[&str] = &["wasm", "js", "mjs"];
/// Endings of pictures that are no icons.
pub(super) const PICTURES: &[&str] = &["webp", "avif", "jpg", "jpeg"];
const FETCHED: &[&str] =
    &["css", "js", "mjs", "wasm", "svg", "ico", "png", "webp", "avif", "jpg", "jpeg", "woff2", "webmanifest", "json"];

/// Bytes over the wire by path.
pub(super) struct Load(BTreeMap<String, usize>);

impl Load {
    /// Bytes of what ends so.
    pub(super) fn of(&self, endings: &[&str]) -> usize {
        self.0.iter().filter(|(path, _)| endings.contains(&ending(path))).map(|(_, weight)| weight).sum()
    }

    /// Bytes of everything else.
    pub(super) fn except(&self, groups: &[&[&str]]) -> usize {
        let all: usize = self.0.values().sum();
        all - groups.iter().map(|group| self.of(group)).sum::<usize>()
    }
}

/// Fetches the page and everything that it and its files name.
pub(super) fn load(port: u16, path: &str, token: Option<&str>) -> Result<Load> {
    let mut found = BTreeMap::new();
    // With each path whether it must be there: a page and its style fetch what they name, a script may only name it.
    let mut waiting = vec![(path.to_owned(), true)];
    while let Some((path, must)) = waiting.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let answer = match wire::get(port, &path, token, true) {
            Ok(answer) => answer,
            Err(_) if !must => continue,
            Err(error) => return Err(error),
        };
        println!("    {:>8} B  {path}", answer.weight);
        let is = |kind: &str| answer.media_type.split(';').next().is_some_and(|it| it.ends_with(kind));
        // What the loader of the other pages names is fetched when one of those is visited.
        let loader = path.contains("__wasm_split");
        if !loader && (is("html") || is("css") || is("javascript")) {
            let must = !is("javascript");
            waiting.extend(named(&path, &String::from_utf8_lossy(&answer.body)).into_iter().map(|path| (path, must)));
        }
        found.insert(path, answer.weight);
    }
    Ok(Load(found))
}

fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or("html", |(_, ending)| ending)
}

/// Every file that `text`, which is at `base`, names between quotes, brackets or blanks. A link to a page has no ending of
/// a file, so it is not followed.
fn named(base: &str, text: &str) -> Vec<String> {
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let words =
        text.split(|char: char| matches!(char, '"' | '\'' | '`' | '(' | ')' | ',' | '<' | '>') || char.is_whitespace());
    words
        .filter_map(|word| {
            let path = match (word.strip_prefix("./"), word.starts_with('/') && !word.starts_with("//")) {
                (Some(rest), _) => format!("{folder}/{rest}"),
                (None, true) => word.to_owned(),
                (None, false) => return None,
            };
            let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
            FETCHED.contains(&ending(&path)).then_some(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_pages_are_not() {
        let html = r#"<link href="/pkg/a1/main.css?v=1"><a href="/overview">x</a><img srcset="/shot.webp 1x, /shot2.webp 2x">
            <script type="module">import('/pkg/a1/hub.js')</script><a href="//evil.example/x.js">"#;
        assert_eq!(named("/", html), ["/pkg/a1/main.css", "/shot.webp", "/shot2.webp", "/pkg/a1/hub.js"]);
        assert_eq!(named("/pkg/a1/hub.js", "import x from './snippets/y.js'"), ["/pkg/a1/snippets/y.js"]);
    }
}
