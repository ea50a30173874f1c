//! Pure decisions about drafts: what is accepted, and what to say when it is not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ImageDraft, Seed};
use crate::{error::Failure, id::ServiceId};

/// Longest prompt in bytes. Text encoders read a few hundred tokens; 20 kB leaves room for weights and comments.
pub(super) const PROMPT_BYTES: usize = 20_000;
/// How often an image is given to a service before it fails for good.
pub(super) const ATTEMPTS: u32 = 3;
/// How often the hub may end in the middle of an image before it is thought to be the image's fault.
pub(super) const INTERRUPTIONS: u32 = 100;
/// How many images may wait; more are refused, so that nobody can fill the disk with prompts.
pub(super) const QUEUE: i64 = 1_000;

/// Named inputs of a saved workflow that the draft's own fields fill.
pub(super) const DRAFT_INPUTS: [&str; 11] = [
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "cfg_scale",
    "seed",
    "count",
    "model",
    "sampler",
    "scheduler",
];

/// Why nobody can draw this image now, with these services active; `service` is the one it was asked of.
pub(super) fn nobody_draws(
    draft: &ImageDraft,
    service: Option<ServiceId>,
    mut active: impl ExactSizeIterator<Item = ServiceId>,
) -> Option<&'static str> {
    match service {
        Some(service) => (!active.any(|id| id == service)).then_some(
            "waits for the service it was asked of, which is not active; activate it, or ask for any service",
        ),
        None => (active.len() == 0 && needs_service(draft)).then_some(
            "waits for a ComfyUI service: the built-in sketch has no models and draws from a prompt only. \
             An operator can add one under Services",
        ),
    }
}

/// Whether the built-in sketch cannot draw it.
fn needs_service(draft: &ImageDraft) -> bool {
    draft.workflow.is_some() || draft.source.is_some() || draft.model.is_some() || !draft.loras.is_empty()
}

/// The values of [`DRAFT_INPUTS`] and of the workflow's own inputs. A model that was not named stays out, so that a graph
/// which needs one says so.
pub(super) fn inputs(draft: &ImageDraft, seed: Seed) -> BTreeMap<String, Value> {
    let mut values = draft.inputs.clone();
    let own = [
        ("prompt", json!(draft.prompt)),
        ("negative_prompt", json!(draft.negative_prompt)),
        ("width", json!(draft.width)),
        ("height", json!(draft.height)),
        ("steps", json!(draft.steps)),
        ("cfg_scale", json!(draft.cfg_scale)),
        ("seed", json!(seed.0)),
        ("count", json!(draft.count)),
        ("sampler", json!(draft.sampler.as_deref().unwrap_or("euler"))),
        ("scheduler", json!(draft.scheduler.as_deref().unwrap_or("normal"))),
    ];
    values.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(model) = &draft.model {
        values.insert("model".into(), json!(model));
    }
    values
}

/// Checks every field; names the field, the bound and the value.
pub(super) fn check(draft: &ImageDraft) -> Result<(), Failure> {
    text("prompt", &draft.prompt)?;
    text("negative prompt", &draft.negative_prompt)?;
    if draft.prompt.trim().is_empty() && draft.workflow.is_none() {
        return Err(Failure::invalid("the prompt is empty; say what to draw"));
    }
    size("width", draft.width)?;
    size("height", draft.height)?;
    within("steps", f64::from(draft.steps), 1.0, 150.0)?;
    within("cfg_scale", draft.cfg_scale, 0.0, 30.0)?;
    within("count", f64::from(draft.count), 1.0, 16.0)?;
    for (field, name) in [("model", &draft.model), ("sampler", &draft.sampler), ("scheduler", &draft.scheduler)] {
        if let Some(name) = name {
            file_name(field, name)?;
        }
    }
    if draft.loras.len() > 8 {
        return Err(Failure::invalid(format!("{} LoRAs are too many; use at most 8", draft.loras.len())));
    }
    for lora in &draft.loras {
        file_name("LoRA", &lora.name)?;
        within("LoRA strength", lora.strength, -10.0, 10.0)?;
    }
    if let Some(source) = &draft.source {
        sha256(&source.sha256)?;
        if !(source.denoise > 0.0 && source.denoise <= 1.0) {
            return Err(Failure::invalid(format!("denoise is {}; use a number above 0 and up to 1", source.denoise)));
        }
    }
    if draft.workflow.is_none() && !draft.inputs.is_empty() {
        return Err(Failure::invalid(
            "inputs belong to a saved workflow; name the workflow too, or leave the inputs out",
        ));
    }
    if let Some((name, _)) = draft.inputs.iter().find(|(_, value)| value.is_array() || value.is_object()) {
        return Err(Failure::invalid(format!(
            "the input \"{name}\" is a list or an object; use text, a number, or true or false"
        )));
    }
    if draft.workflow.is_some() && (draft.source.is_some() || !draft.loras.is_empty()) {
        return Err(Failure::invalid(
            "a saved workflow brings its own LoRAs and source pictures; leave them out, or leave the workflow out",
        ));
    }
    let inputs: usize = draft.inputs.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    if inputs > PROMPT_BYTES {
        return Err(Failure::invalid(format!("the workflow's inputs are {inputs} bytes; use at most {PROMPT_BYTES}")));
    }
    if let Some(task) = &draft.task
        && (task.is_empty() || task.chars().count() > 64 || task.chars().any(char::is_control))
    {
        return Err(Failure::invalid("the task must be 1 to 64 characters on one line"));
    }
    Ok(())
}

/// Checks a hash from outside before it becomes part of a path.
pub(super) fn sha256(text: &str) -> Result<(), Failure> {
    let good = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if good { Ok(()) } else { Err(Failure::invalid("a picture is named by its SHA-256: 64 characters of 0-9 a-f")) }
}

/// A random seed. Below 2^53, so that tools which pass it through a JavaScript number keep it.
pub(super) fn random_seed() -> Seed {
    Seed(u64::from_be_bytes(crate::secrets::random()) >> 11)
}

/// Price per hour × time drawn, rounded to the nearest micro-dollar.
pub(super) fn cost(price_per_hour: i64, drawn_ms: i64) -> i64 {
    let product = i128::from(price_per_hour.max(0)) * i128::from(drawn_ms.max(0));
    i64::try_from((product + 1_800_000) / 3_600_000).unwrap_or(i64::MAX)
}

fn text(field: &str, value: &str) -> Result<(), Failure> {
    if value.len() > PROMPT_BYTES {
        return Err(Failure::invalid(format!("the {field} is {} bytes; use at most {PROMPT_BYTES}", value.len())));
    }
    if value.contains('\0') {
        return Err(Failure::invalid(format!("the {field} holds a zero byte; remove it")));
    }
    Ok(())
}

fn size(field: &str, value: u32) -> Result<(), Failure> {
    if (64..=4096).contains(&value) && value.is_multiple_of(8) {
        return Ok(());
    }
    Err(Failure::invalid(format!("{field} is {value}; use a multiple of 8 from 64 to 4096")))
}

fn within(field: &str, value: f64, least: f64, most: f64) -> Result<(), Failure> {
    // Written so that NaN is refused too.
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Failure::invalid(format!("{field} is {value}; use a number from {least} to {most}")))
}

fn file_name(field: &str, name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Failure::invalid(format!("the {field} must be a name of 1 to 255 bytes on one line")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Lora, Source};

    fn good() -> ImageDraft {
        ImageDraft { prompt: "a harbour at dusk".into(), ..ImageDraft::default() }
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn every_bound_is_named_in_the_refusal() {
        type Change = fn(&mut ImageDraft);
        let cases: [(&str, Change); 20] = [
            ("prompt is empty", |d| d.prompt = " \n".into()),
            ("prompt is 65536 bytes; use at most 20000", |d| d.prompt = "x".repeat(65_536)),
            ("negative prompt is 20001 bytes", |d| d.negative_prompt = "x".repeat(20_001)),
            ("zero byte", |d| d.prompt = "a\0b".into()),
            ("width is 63", |d| d.width = 63),
            ("width is 4104", |d| d.width = 4104),
            ("height is 1001", |d| d.height = 1001),
            ("steps is 0", |d| d.steps = 0),
            ("steps is 151", |d| d.steps = 151),
            ("cfg_scale is -1", |d| d.cfg_scale = -1.0),
            ("cfg_scale is NaN", |d| d.cfg_scale = f64::NAN),
            ("count is 17", |d| d.count = 17),
            ("model must be a name", |d| d.model = Some(String::new())),
            ("9 LoRAs are too many", |d| d.loras = vec![Lora { name: "a".into(), strength: 1.0 }; 9]),
            ("SHA-256", |d| d.source = Some(Source { sha256: "../../etc/passwd".into(), denoise: 0.5 })),
            ("denoise is 0", |d| d.source = Some(Source { sha256: "a".repeat(64), denoise: 0.0 })),
            ("\"grain\" is a list", |d| {
                d.workflow = Some(crate::id::WorkflowId::new(crate::clock::Timestamp::from_millis(0)));
                d.inputs.insert("grain".into(), json!([[1]]));
            }),
            ("brings its own LoRAs", |d| {
                d.workflow = Some(crate::id::WorkflowId::new(crate::clock::Timestamp::from_millis(0)));
                d.loras = vec![Lora { name: "a".into(), strength: 1.0 }];
            }),
            ("brings its own LoRAs", |d| {
                d.workflow = Some(crate::id::WorkflowId::new(crate::clock::Timestamp::from_millis(0)));
                d.source = Some(Source { sha256: "a".repeat(64), denoise: 0.5 });
            }),
            ("task must be", |d| d.task = Some("two\nlines".into())),
        ];
        for (expected, change) in cases {
            let mut draft = good();
            change(&mut draft);
            let said = check(&draft).expect_err(expected).message;
            assert!(said.contains(expected), "expected \"{expected}\", got \"{said}\"");
        }
    }

    #[test]
    fn emoji_and_long_seeds_are_accepted() {
        let draft = ImageDraft { prompt: "🦊🌅".into(), seed: Some(Seed(u64::MAX)), ..ImageDraft::default() };
        assert_eq!(check(&draft), Ok(()));
    }

    #[test]
    fn a_seed_survives_json_exactly_and_takes_text_or_number() -> Result<(), serde_json::Error> {
        let back: Seed = serde_json::from_str(&serde_json::to_string(&Seed(u64::MAX))?)?;
        assert_eq!(back, Seed(u64::MAX));
        assert_eq!(serde_json::from_str::<Seed>("18446744073709551615")?, Seed(u64::MAX));
        for wrong in ["-1", "1.5", "\"18446744073709551616\"", "18446744073709551616", "\"\"", "null", "true"] {
            assert!(serde_json::from_str::<Seed>(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }

    proptest::proptest! {
        #[test]
        fn cost_grows_with_time_and_price(price in 0_i64..1_000_000_000, ms in 0_i64..100_000_000) {
            let cost = cost(price, ms);
            proptest::prop_assert!(cost >= 0);
            proptest::prop_assert!((cost as f64 - price as f64 * ms as f64 / 3.6e6).abs() <= 1.0);
        }
    }
}
