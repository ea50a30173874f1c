//! The install script, as one machine gets it.

use crate::machines::ProgramView;

/// The script itself. What is of this hub stands as `@NAME@`, each inside single quotes.
const SCRIPT: &str = include_str!("install.sh");

/// The script for the hub at `base`, whose letters were checked.
pub(super) fn install(base: &str, program: &ProgramView) -> String {
    SCRIPT.replace("@BASE@", base).replace("@SYSTEM@", &program.system)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether something of a hub is still to be filled in.
    fn unfilled(script: &str) -> bool {
        script.split('@').any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase()))
    }

    #[test]
    fn a_script_knows_its_hub_and_nothing_else() {
        let program = ProgramView { sha256: "ab".repeat(32), size: 1, system: "Linux x86_64".into() };
        let script = install("http://localhost:3000", &program);
        assert!(script.contains("hub='http://localhost:3000'\n") && script.contains("system='Linux x86_64'\n"));
        assert!(unfilled(SCRIPT) && !unfilled(&script), "a placeholder is left");
        assert!(script.trim_end().ends_with("install_runner \"$@\""), "nothing runs before all of it is here");
    }
}
