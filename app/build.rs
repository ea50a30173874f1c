//! Rebuilds the crate when the browser half changed: a release build embeds it.

fn main() {
    println!("cargo::rerun-if-changed=../target/site/pkg.txt");
    println!("cargo::rerun-if-env-changed=CENTRAL_MCP_SITE_HASH");
}
