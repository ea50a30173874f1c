//! Pure decisions: which names are acceptable, what a secret looks like.

use std::ops::RangeInclusive;

use super::{Facts, Gpu, HUB, MachineDraft};
use crate::{
    clock::{HOUR, MINUTE},
    error::Failure,
    id::is_machine_name,
    secrets::{hex, random},
};

/// How long a one-time secret may be used, in milliseconds.
pub(super) const JOIN_AGE: i64 = HOUR;
/// How often it is written that a connected machine is here, in milliseconds.
pub(super) const SEEN_EVERY: i64 = MINUTE;
/// Machines beside the hub's own.
pub(super) const MOST: i64 = 200;

/// What a one-time secret begins with.
pub(super) const JOIN: &str = "cmj_";
/// What a machine's key begins with.
pub(super) const KEY: &str = "cmr_";
/// The length of either's random part, in hexadecimal characters.
const SECRET: usize = 64;
/// The most characters that are kept of what a machine says of itself.
const WORDS: usize = 120;
/// The most GPUs that are kept of one machine.
pub(super) const GPUS: usize = 64;
/// The most characters that are kept of a GPU's name.
const GPU_NAME: usize = 100;
/// What can be a temperature, in degrees Celsius.
const CELSIUS: RangeInclusive<f32> = -100.0..=1000.0;

/// The name of a machine to add, or why it is refused.
pub(super) fn check(draft: MachineDraft) -> Result<String, Failure> {
    if !is_machine_name(&draft.name) {
        let said: String = draft.name.chars().take(40).collect();
        let message = format!(
            "\"{said}\" is no name for a machine; use 1 to 32 of a-z 0-9 -, without - at its ends, such as gpu-1"
        );
        return Err(Failure::invalid(message));
    }
    if draft.name == HUB {
        return Err(Failure::invalid("\"hub\" is the hub's own machine; choose another name"));
    }
    Ok(draft.name)
}

/// A new secret of 256 random bits, told apart from others by how it begins.
pub(super) fn secret(kind: &str) -> String {
    format!("{kind}{}", hex(&random::<{ SECRET / 2 }>()))
}

/// Whether `text` has the form of a secret of `kind`; spares the database what has not.
pub(super) fn is_secret(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|random| {
        random.len() == SECRET && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What a machine says of itself, as it may be kept and shown: one line, not long.
pub(super) fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

/// How busy a machine says it is, as it may be kept and shown: whatever its runner is, no share is above the whole, and no
/// list or name is long.
pub(super) fn facts(facts: Facts) -> Facts {
    let gpu = |gpu: Gpu| Gpu {
        name: gpu.name.chars().filter(|c| !c.is_control()).take(GPU_NAME).collect(),
        memory_used: gpu.memory_used.map(|used| gpu.memory_total.map_or(used, |total| used.min(total))),
        memory_total: gpu.memory_total,
        load: percent(gpu.load),
        celsius: gpu.celsius.filter(|celsius| CELSIUS.contains(celsius)),
    };
    Facts {
        cpus: facts.cpus,
        cpu: percent(facts.cpu),
        memory_used: facts.memory_used.min(facts.memory_total),
        memory_total: facts.memory_total,
        disk_used: facts.disk_used.min(facts.disk_total),
        disk_total: facts.disk_total,
        gpus: facts.gpus.into_iter().take(GPUS).map(gpu).collect(),
    }
}

/// What is no number is not known.
fn percent(share: Option<f32>) -> Option<f32> {
    share.filter(|share| !share.is_nan()).map(|share| share.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_says_of_how_busy_it_is_cannot_be_more_than_all() {
        let gpu = |name: &str, used, total, load, celsius| Gpu {
            name: name.to_owned(),
            memory_used: used,
            memory_total: total,
            load,
            celsius,
        };
        let odd = Facts {
            cpus: 8,
            cpu: Some(1e30),
            memory_used: 9,
            memory_total: 4,
            disk_used: u64::MAX,
            disk_total: 0,
            gpus: vec![
                gpu("a\u{1b}]0;x\u{7}\nb", Some(9), Some(4), Some(-1.0), Some(1e30)),
                gpu(&"ä".repeat(1000), Some(9), None, Some(f32::NAN), Some(f32::NEG_INFINITY)),
            ],
        };
        let kept = facts(odd);
        assert_eq!((kept.cpu, kept.memory_used, kept.disk_used), (Some(100.0), 4, 0));
        assert_eq!(
            kept.gpus,
            [gpu("a]0;xb", Some(4), Some(4), Some(0.0), None), gpu(&"ä".repeat(100), Some(9), None, None, None)]
        );
        assert_eq!(facts(kept.clone()), kept, "what is well is left as it is");
        let many = Facts { gpus: vec![kept.gpus[0].clone(); 1000], ..kept };
        assert_eq!(facts(many).gpus.len(), 64);
    }

    #[test]
    fn a_machines_name_is_a_short_slug_and_not_the_hubs() {
        let long = "a".repeat(33);
        for (name, good) in [
            ("gpu-1", true),
            ("a", true),
            (&long[..32], true),
            (&long, false),
            ("", false),
            ("hub", false),
            ("-a", false),
            ("a-", false),
            ("GPU", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
        ] {
            assert_eq!(check(MachineDraft { name: name.to_owned() }).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_secret_has_its_kind_and_256_bits() {
        let join = secret(JOIN);
        assert!(is_secret(JOIN, &join) && !is_secret(KEY, &join));
        assert_ne!(join, secret(JOIN));
        for bad in ["", "cmj_", &join[..67], &join.to_uppercase(), &format!("{join}0")] {
            assert!(!is_secret(JOIN, bad), "{bad}");
        }
    }
}
