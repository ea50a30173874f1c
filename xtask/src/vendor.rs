//! The terminal emulator: npm brings it, the site carries it. `app/package.json` names it and its addons.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::cmd::{command, run, say, which};
use crate::{paths, site};

/// What of each package is copied, below `app/node_modules/@xterm`.
const FILES: &[&str] = &[
    "xterm/lib/xterm.mjs",
    "xterm/css/xterm.css",
    "addon-unicode11/lib/addon-unicode11.mjs",
    "addon-web-links/lib/addon-web-links.mjs",
];

/// The files by their path in the site: `vendor/xterm-VERSION-HASH/NAME`. The hash is there because an addon may change
/// while xterm does not, and what lies below `vendor` is cached for ever.
pub(crate) fn files() -> Result<BTreeMap<String, Vec<u8>>> {
    install()?;
    let modules = paths::root().join("app/node_modules/@xterm");
    let mut found = BTreeMap::new();
    for path in FILES {
        let file = modules.join(path);
        let bytes = fs::read(&file).with_context(|| format!("npm brought no {}", file.display()))?;
        found.insert(path.rsplit('/').next().unwrap_or(path), without_map(bytes));
    }
    let hash = site::fnv(found.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]));
    let version = version(&fs::read_to_string(modules.join("xterm/package.json"))?)?;
    Ok(found
        .into_iter()
        .map(|(name, bytes)| (format!("vendor/xterm-{version}-{}/{name}", &hash[..8]), bytes))
        .collect())
}

/// Runs `npm ci` unless what lies there came from this very lock.
fn install() -> Result<()> {
    let app = paths::root().join("app");
    let lock = fs::read(app.join("package-lock.json")).context("app/package-lock.json")?;
    let stamp = app.join("node_modules/.installed-from");
    if fs::read(&stamp).is_ok_and(|before| before == lock) {
        return Ok(());
    }
    which("npm").context("the browser half needs npm, which brings the terminal emulator; install nodejs and npm")?;
    say("Bringing the terminal emulator (npm)");
    run(command("npm").current_dir(&app).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    fs::write(stamp, lock)?;
    Ok(())
}

fn version(package: &str) -> Result<String> {
    let package: serde_json::Value = serde_json::from_str(package)?;
    Ok(package["version"].as_str().context("the package has no version")?.to_owned())
}

/// Without the last line that leads a debugger to a file we do not carry.
fn without_map(mut bytes: Vec<u8>) -> Vec<u8> {
    let mark = b"//# sourceMappingURL=";
    if let Some(at) = bytes.windows(mark.len()).rposition(|part| part == mark) {
        bytes.truncate(at);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{version, without_map};

    #[test]
    fn a_file_loses_its_map_and_keeps_the_rest() {
        assert_eq!(without_map(b"a();\n//# sourceMappingURL=a.mjs.map\n".to_vec()), b"a();\n");
        assert_eq!(without_map(b"a();".to_vec()), b"a();");
        assert_eq!(version(r#"{"version":"6.0.0"}"#).expect("reads"), "6.0.0");
        assert!(version("{}").is_err());
    }
}
