//! What of a Rust file a rule may look at: code, without comments, without string contents, and without tests.

/// A file's lines with comments and the insides of strings and characters blanked; the line count stays.
pub(super) fn code(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while index < chars.len() {
        let word_before = index > 0 && (at(index - 1).is_alphanumeric() || at(index - 1) == '_');
        let end = match at(index) {
            '/' if at(index + 1) == '/' => until(&chars, index, |place| at(place) == '\n'),
            '/' if at(index + 1) == '*' => block_comment_end(&chars, index),
            '"' => string_end(&chars, index),
            'r' if !word_before || at(index - 1) == 'b' => match raw_string_end(&chars, index) {
                Some(end) => end,
                None => index,
            },
            '\'' => character_end(&chars, index),
            _ => index,
        };
        if end == index {
            out.push(at(index));
            index += 1;
        } else {
            out.extend(chars[index..end].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
            index = end;
        }
    }
    out.lines().map(str::to_owned).collect()
}

fn until(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|place| stop(*place)).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut index) = (0, from);
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => (depth, index) = (depth + 1, index + 2),
            ('*', Some('/')) => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index.min(chars.len())
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut index = from + 1;
    while index < chars.len() && chars[index] != '"' {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(chars.len())
}

/// The end of `r"…"` or `r#"…"#`, if that is what starts here.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from + 1..].iter().take_while(|char| **char == '#').count();
    let open = from + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |place: usize| chars[place] == '"' && (1..=hashes).all(|step| chars.get(place + step) == Some(&'#'));
    Some((until(chars, open + 1, closes) + 1 + hashes).min(chars.len()))
}

/// The end of a character; a lifetime is none.
fn character_end(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => (until(chars, from + 3, |place| chars[place] == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => from + 3,
        _ => from,
    }
}

/// Blanks items that only tests see: `#[cfg(test)]`, `#[test]` and their like, with the block that follows.
pub(super) fn without_tests(mut lines: Vec<String>) -> Vec<String> {
    let mut index = 0;
    while index < lines.len() {
        let attribute = lines[index].trim_start();
        let of_tests = ["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"];
        if !of_tests.iter().any(|start| attribute.starts_with(start)) {
            index += 1;
            continue;
        }
        let (mut depth, mut opened) = (0_i32, false);
        while index < lines.len() {
            let line = std::mem::take(&mut lines[index]);
            index += 1;
            for char in line.chars() {
                match char {
                    '{' => (depth, opened) = (depth + 1, true),
                    '}' => depth -= 1,
                    _ => {}
                }
            }
            // `mod tests;` has no block; an attribute's own line ends neither way.
            if (opened && depth == 0) || (!opened && line.trim_end().ends_with(';')) {
                break;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{code, without_tests};

    #[test]
    fn comments_and_strings_are_blanked_and_lines_stay() {
        let lines =
            code("a(); // b()\n/* c()\n d() */ e(\"f()\", r#\"g\"()\"#, '\"', 'x', '\\n');\nfn h<'a>(i: &'a str) {}");
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].trim_end(), "a();");
        assert_eq!(lines[1].trim(), "");
        let squeezed: String = lines[2].split_whitespace().collect();
        assert_eq!(squeezed, "e(,,,,);");
        assert_eq!(lines[3], "fn h<'a>(i: &'a str) {}");
    }

    #[test]
    fn tests_are_left_out_and_the_code_after_them_is_not() {
        let text =
            "one();\n#[cfg(test)]\nmod tests {\n    fn a() { two(); }\n}\nthree();\n#[cfg(test)]\nmod tests;\nfour();";
        let left = without_tests(code(text)).join("\n");
        assert!(left.contains("one()") && left.contains("three()") && left.contains("four()"), "{left}");
        assert!(!left.contains("two()"), "{left}");
    }
}
