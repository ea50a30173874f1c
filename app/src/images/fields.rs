//! What stands in the form's fields, as typed, and the draft that it means. The fields keep their values while the tab
//! lives, so that one may look at a picture and come back.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use leptos::prelude::*;
use server::images::{ImageDraft, Lora, Source, WorkflowView};

/// The shapes: word, width and height in pixels. Each near one megapixel, where most models draw best.
pub(crate) const SHAPES: [(&str, &str, &str); 4] =
    [("1:1", "1024", "1024"), ("4:3", "1152", "864"), ("16:9", "1280", "720"), ("3:4", "864", "1152")];

/// One LoRA's row: a key for the list, the file name, the strength as typed. Counted signals, because the page that made
/// them may be gone while the row stays.
pub(crate) type LoraRow = (u32, ArcRwSignal<String>, ArcRwSignal<String>);

/// The fields as typed.
#[derive(Clone, Copy)]
pub(crate) struct Fields {
    /// What to draw.
    pub(crate) prompt: RwSignal<String>,
    /// What to avoid.
    pub(crate) avoid: RwSignal<String>,
    /// Pixels.
    pub(crate) width: RwSignal<String>,
    /// Pixels.
    pub(crate) height: RwSignal<String>,
    /// Whether width and height are typed rather than one of [`SHAPES`].
    pub(crate) own_size: RwSignal<bool>,
    /// The service's id; empty for any.
    pub(crate) service: RwSignal<String>,
    /// The checkpoint's file name; empty for the service's first.
    pub(crate) model: RwSignal<String>,
    /// Sampling steps.
    pub(crate) steps: RwSignal<String>,
    /// Guidance (cfg).
    pub(crate) guidance: RwSignal<String>,
    /// Empty for a random one.
    pub(crate) seed: RwSignal<String>,
    /// Pictures per image.
    pub(crate) count: RwSignal<String>,
    /// SHA-256 of the picture to start from.
    pub(crate) source: RwSignal<Option<String>>,
    /// How much to change it, 0 to 1.
    pub(crate) denoise: RwSignal<String>,
    /// LoRAs in order.
    pub(crate) loras: RwSignal<Vec<LoraRow>>,
    /// Empty for the default.
    pub(crate) sampler: RwSignal<String>,
    /// Empty for the default.
    pub(crate) scheduler: RwSignal<String>,
    /// The saved workflow's id; empty for the built-in graph.
    pub(crate) workflow: RwSignal<String>,
    /// Values of the workflow's own inputs.
    pub(crate) inputs: RwSignal<BTreeMap<String, String>>,
}

impl Fields {
    fn new() -> Self {
        let text = |text: &str| RwSignal::new(text.to_owned());
        Self {
            prompt: text(""),
            avoid: text(""),
            width: text(SHAPES[0].1),
            height: text(SHAPES[0].2),
            own_size: RwSignal::new(false),
            service: text(""),
            model: text(""),
            steps: text("20"),
            guidance: text("8"),
            seed: text(""),
            count: text("1"),
            source: RwSignal::new(None),
            denoise: text("0.6"),
            loras: RwSignal::default(),
            sampler: text(""),
            scheduler: text(""),
            workflow: text(""),
            inputs: RwSignal::default(),
        }
    }

    /// The fields of this tab; in the server fresh ones for each page.
    pub(crate) fn of_this_tab() -> Self {
        #[cfg(feature = "hydrate")]
        {
            thread_local! {
                static KEPT: Fields = for_this_tab(Fields::new);
            }
            KEPT.with(|fields| *fields)
        }
        #[cfg(not(feature = "hydrate"))]
        Self::new()
    }

    /// Whether something is set that the form folds away; then it is shown unfolded, so that nothing works unseen.
    pub(crate) fn more_set(self) -> bool {
        let set = |field: RwSignal<String>| field.with_untracked(|text| !text.is_empty());
        self.loras.with_untracked(|rows| !rows.is_empty())
            || [self.sampler, self.scheduler, self.workflow].into_iter().any(set)
    }

    /// Whether nothing but the prompt says anything of its own; then the rest may be folded away.
    pub(crate) fn only_prompt(self) -> bool {
        let plain = |draft| ImageDraft { prompt: String::new(), ..draft } == ImageDraft::default();
        !self.more_set() && self.draft(None).is_ok_and(plain)
    }

    /// Adds an empty LoRA row.
    pub(crate) fn add_lora(self) {
        self.loras.update(|rows| {
            let key = rows.last().map_or(0, |(key, ..)| key + 1);
            rows.push((key, ArcRwSignal::new(String::new()), ArcRwSignal::new("1".to_owned())));
        });
    }

    /// What the fields mean, or what is wrong with one. Bounds are the server's business. `workflow` is the saved workflow
    /// that is chosen.
    pub(crate) fn draft(self, workflow: Option<&WorkflowView>) -> Result<ImageDraft, String> {
        let text = |field: RwSignal<String>| field.with_untracked(|text| text.trim().to_owned());
        let named = |field: RwSignal<String>| Some(text(field)).filter(|text| !text.is_empty());
        let loras = self.loras.get_untracked().into_iter().filter_map(|(_, name, strength)| {
            let name = Some(name.get_untracked().trim().to_owned()).filter(|name| !name.is_empty())?;
            Some(number("LoRA strength", strength.get_untracked().trim()).map(|strength| Lora { name, strength }))
        });
        let source = match self.source.get_untracked() {
            Some(sha256) => Some(Source { sha256, denoise: number("change", &text(self.denoise))? }),
            None => None,
        };
        let inputs = self.inputs.get_untracked();
        let inputs = workflow.map_or(&[][..], |workflow| &workflow.inputs).iter().map(|name| {
            let typed = inputs.get(name).cloned().unwrap_or_default();
            // A graph's numbers and switches must not arrive as text.
            let value = serde_json::from_str(&typed)
                .ok()
                .filter(|value: &serde_json::Value| value.is_number() || value.is_boolean());
            (name.clone(), value.unwrap_or(serde_json::Value::String(typed)))
        });
        Ok(ImageDraft {
            prompt: self.prompt.get_untracked(),
            negative_prompt: self.avoid.get_untracked(),
            width: number("width", &text(self.width))?,
            height: number("height", &text(self.height))?,
            steps: number("steps", &text(self.steps))?,
            cfg_scale: number("guidance", &text(self.guidance))?,
            seed: named(self.seed).map(|seed| seed.parse()).transpose()?,
            count: number("count", &text(self.count))?,
            model: named(self.model),
            sampler: named(self.sampler),
            scheduler: named(self.scheduler),
            loras: loras.collect::<Result<_, _>>()?,
            source,
            workflow: workflow.map(|workflow| workflow.id),
            inputs: inputs.collect(),
            service: named(self.service).and_then(|id| id.parse().ok()),
            task: None,
        })
    }
}

/// Makes signals that stay while the tab lives: their owner never ends, while pages come and go.
#[cfg(feature = "hydrate")]
pub(super) fn for_this_tab<T: 'static>(make: impl FnOnce() -> T) -> T {
    // A new root makes itself the current owner, so the one before is put back.
    let before = Owner::current();
    let root = std::mem::ManuallyDrop::new(Owner::new_root(None));
    let made = root.with(make);
    if let Some(before) = before {
        before.set();
    }
    made
}

fn number<T: FromStr>(field: &str, typed: &str) -> Result<T, String>
where
    T::Err: Display,
{
    typed.parse().map_err(|_| format!("{field} is \"{}\"; use a number", typed.chars().take(40).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_fields_mean_the_default_draft() {
        Owner::new().with(|| {
            let fields = Fields::new();
            fields.prompt.set("a harbour".into());
            let expected = ImageDraft { prompt: "a harbour".into(), ..ImageDraft::default() };
            assert_eq!(fields.draft(None), Ok(expected));
            assert!(fields.only_prompt());
            fields.avoid.set("text".into());
            assert!(!fields.only_prompt());
        });
    }

    #[test]
    fn a_field_that_is_no_number_is_named() {
        Owner::new().with(|| {
            let fields = Fields::new();
            fields.steps.set("many".into());
            assert_eq!(fields.draft(None), Err("steps is \"many\"; use a number".into()));
            fields.steps.set("20".into());
            fields.seed.set("18446744073709551616".into());
            assert!(fields.draft(None).is_err_and(|why| why.contains("is not a seed")));
        });
    }
}
