//! `site`: the browser half. Compiles the root library to wasm, binds it, and lays out target/site.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use wasm_bindgen_cli_support::Bindgen;
use wasm_encoder::RawSection;
use wasmparser::Payload;

use crate::cmd::{cargo, run, say};
use crate::{css, paths, vendor};

/// The name Leptos and the page's preload ask for.
const NAME: &str = "central-mcp";
/// Loads what was split off. The macros of `wasm_split_helpers` import it by this name.
const LOADER: &str = "./__wasm_split.______________________.js";
/// Counts up when this file lays things out differently, so that an unchanged input is built anew.
const LAYOUT: &[u8] = b"5";
/// Scripts of ours that no tool has to touch.
const SCRIPTS: &str = "app/js";
const COMPRESSIBLE: &[&str] = &["js", "mjs", "wasm", "css", "html", "svg", "json", "webmanifest", "txt", "map"];

/// Builds target/site unless it is already the site of this input; returns the hash in its folder's name.
pub(crate) fn build() -> Result<String> {
    say("Building the browser half (wasm; a first time takes some minutes)");
    let wasm = compile()?;
    let inputs = inputs(&wasm)?;
    let remembered = paths::root().join("target/site.inputs");
    let site = paths::site();
    if fs::read_to_string(&remembered).is_ok_and(|before| before == inputs)
        && let Ok(hash) = fs::read_to_string(site.join("pkg.txt"))
    {
        println!("    unchanged: {}", site.display());
        return Ok(hash.trim().to_owned());
    }
    say("Binding and compressing the browser half");
    let files = files(&wasm)?;
    let hash = hash(&files);
    lay_out(&site, &hash, files)?;
    fs::write(&remembered, inputs)?;
    report(&site, &hash)?;
    Ok(hash)
}

/// Always the small profile: one way to build, so that what is tested is what ships.
fn compile() -> Result<PathBuf> {
    const PROFILE: &str = "wasm-release";
    const TARGET: &str = "wasm32-unknown-unknown";
    run(cargo().args(["build", "--package", "central-mcp", "--lib", "--target", TARGET]).args([
        "--no-default-features",
        "--features",
        "hydrate",
        "--profile",
        PROFILE,
        // Stripped symbols take the section along in which rustc says which wasm features it used, and
        // wasm-bindgen needs that one. It strips the rest itself.
        "--config",
        "profile.wasm-release.strip=\"none\"",
    ]))?;
    Ok(paths::target().join(TARGET).join(PROFILE).join("central_mcp.wasm"))
}

/// A fingerprint of everything the site is made of.
fn inputs(wasm: &Path) -> Result<String> {
    let mut all = vec![LAYOUT.to_vec(), fs::read(wasm).with_context(|| format!("cargo built no {}", wasm.display()))?];
    let trees = ["style", "public", SCRIPTS].map(|folder| tree(&paths::root().join(folder)));
    for files in trees.into_iter().chain([vendor::files()]) {
        for (name, bytes) in files? {
            all.push(name.into_bytes());
            all.push(bytes);
        }
    }
    Ok(fnv(all.iter().map(Vec::as_slice)))
}

/// What goes under pkg/HASH, and what goes to the site's root.
struct Files {
    pkg: BTreeMap<String, Vec<u8>>,
    public: BTreeMap<String, Vec<u8>>,
}

fn files(wasm: &Path) -> Result<Files> {
    let scratch = paths::root().join("target/site.bindgen");
    remove(&scratch)?;
    bind(wasm, &scratch)?;
    let mut pkg = tree(&scratch)?;
    remove(&scratch)?;
    // Says what npm should bring; `vendor.rs` has asked it.
    pkg.remove("package.json");
    pkg.insert("main.css".to_owned(), css::bundle(&paths::root().join("style/main.css"))?.into_bytes());
    pkg.extend(tree(&paths::root().join(SCRIPTS))?);
    let mut public = tree(&paths::root().join("public"))?;
    public.extend(vendor::files()?);
    Ok(Files { pkg, public })
}

/// Splits off what `app/src/pages.rs` loads lazily, and binds the rest.
fn bind(wasm: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let main = wasm.with_file_name("central_mcp_main.wasm");
    let whole = fs::read(wasm).with_context(|| format!("cargo built no {}", wasm.display()))?;
    let script = format!("./{NAME}.js");
    let mut options = wasm_split_cli_support::Options::new(&whole);
    options.output_dir = into;
    options.main_out_path = &main;
    options.main_module = &script;
    options.link_name = LOADER;
    let split = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("splitting the wasm: {error:#}"))?;
    for file in split.split_modules {
        fs::write(&file, without_custom_sections(&fs::read(&file)?)?)?;
    }
    Bindgen::new()
        .input_path(&main)
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .out_name(NAME)
                .typescript(false)
                // The split-off files find the rest by these.
                .keep_lld_exports(true)
                .demangle(false)
                .remove_name_section(true)
                .remove_producers_section(true)
                .generate(into)
        })
        .map_err(|error| anyhow!("{error:#}"))
        .context("wasm-bindgen failed; does Cargo.toml pin `wasm-bindgen` to the version of xtask's `wasm-bindgen-cli-support`?")
}

/// The names of all functions are half of a split-off file; wasm-bindgen strips only the main one.
fn without_custom_sections(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = wasm_encoder::Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let (Some((id, range)), false) = (payload.as_section(), matches!(payload, Payload::CustomSection(_))) {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(module.finish())
}

/// Of everything in the site, so that a new hash means a new site and nothing else does.
fn hash(files: &Files) -> String {
    fnv(files.pkg.iter().chain(&files.public).flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]))
}

/// Written beside the old site and renamed, so that a running development server never sees half a site.
fn lay_out(site: &Path, hash: &str, files: Files) -> Result<()> {
    let fresh = site.with_file_name("site.new");
    remove(&fresh)?;
    // Without an old site this is a folder that holds nothing, which is right too.
    let old_pkg = site.join("pkg").join(fs::read_to_string(site.join("pkg.txt")).unwrap_or_default().trim());
    for (name, bytes) in files.pkg {
        write(&fresh, &old_pkg, &format!("pkg/{hash}/{name}"), &name, &bytes)?;
    }
    for (name, bytes) in files.public {
        write(&fresh, site, &name, &name, &bytes)?;
    }
    fs::write(fresh.join("pkg.txt"), hash)?;
    let old = site.with_file_name("site.old");
    remove(&old)?;
    if site.exists() {
        fs::rename(site, &old)?;
    }
    fs::rename(&fresh, site)?;
    remove(&old)
}

/// Writes a file and its brotli twin. `before` is where the same file may lie compressed from the last time.
fn write(fresh: &Path, before: &Path, path: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let file = fresh.join(path);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&file, bytes)?;
    let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
    if !COMPRESSIBLE.contains(&extension.as_str()) {
        return Ok(());
    }
    let twin = file.with_file_name(format!("{}.br", file.file_name().unwrap_or_default().to_string_lossy()));
    if fs::read(before.join(name)).is_ok_and(|old| old == bytes) && before.join(format!("{name}.br")).is_file() {
        fs::copy(before.join(format!("{name}.br")), twin)?;
        return Ok(());
    }
    fs::write(twin, brotli(bytes)?)?;
    Ok(())
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, 11, 22);
    writer.write_all(bytes)?;
    writer.flush()?;
    Ok(writer.into_inner())
}

fn report(site: &Path, hash: &str) -> Result<()> {
    for (name, bytes) in tree(&site.join("pkg").join(hash))? {
        if name.ends_with(".br") {
            println!("    {:>7.1} kB  pkg/{hash}/{name}", bytes.len() as f64 / 1e3);
        }
    }
    Ok(())
}

/// All files below a folder by their path relative to it, sorted. A missing folder is an empty one.
pub(crate) fn tree(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                found.insert(name, bytes);
            }
        }
    }
    Ok(found)
}

/// Removes a folder that may not be there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// FNV-1a, 64 bits, in hex: the same on every machine and with every toolchain, which std's hasher does not promise.
pub(crate) fn fnv<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        // The length goes in too: otherwise bytes could move from one part to the next unnoticed.
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut take);
        part.iter().copied().for_each(&mut take);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::fnv;

    #[test]
    fn the_hash_knows_where_one_part_ends() {
        let parts = |parts: &[&'static [u8]]| fnv(parts.iter().copied());
        assert_eq!(parts(&[b"ab", b"c"]).len(), 16);
        assert_ne!(parts(&[b"ab", b"c"]), parts(&[b"a", b"bc"]));
        assert_eq!(fnv([]), "cbf29ce484222325");
    }
}
