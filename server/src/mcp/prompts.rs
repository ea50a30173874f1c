//! Prompts: a handful that people would use. Each asks the model for one good call of `generate_image`.

use rmcp::{
    ErrorData,
    model::{ArgumentInfo, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role},
};

use super::words::short;

/// Longest value of an argument that goes into a prompt.
const LONGEST: usize = 2_000;

/// One argument: name, what it is, whether it must be there, and what it may well be.
type Argument = (&'static str, &'static str, bool, &'static [&'static str]);

/// How the arguments, each found by its name, become a request.
type Ask = fn(&dyn Fn(&str) -> String) -> String;

/// One prompt: name, title, what it is for, arguments, and how it becomes a request.
struct Recipe {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    arguments: &'static [Argument],
    ask: Ask,
}

const SHAPES: &[&str] = &["square", "landscape", "portrait", "banner"];
const STYLES: &[&str] =
    &["flat vector", "watercolour", "ink drawing", "isometric", "photograph", "3d render", "pixel art"];
const DEVICES: &[&str] = &["desktop", "phone", "tablet"];
const LOOKS: &[&str] = &["light", "dark"];
const KINDS: &[&str] = &["architecture", "flow", "sequence", "network", "timeline"];
const MARKS: &[&str] = &["abstract mark", "mascot", "monogram", "emblem"];

static RECIPES: [Recipe; 4] = [
    Recipe {
        name: "illustrate",
        title: "Illustrate a text",
        about: "A picture for an article, a README or a slide",
        arguments: &[
            ("subject", "What the text is about", true, &[]),
            ("style", "How it should look", false, STYLES),
            ("shape", "Its proportions", false, SHAPES),
        ],
        ask: |value| {
            format!(
                "Draw an illustration with the tool generate_image.\nSubject: {}\nStyle: {}\nShape: {}\n\
                 Write a prompt of one or two sentences that names subject, setting, composition, light and style. No text in the \
                 picture. Then show me the result and say where it is.",
                value("subject"),
                or(value("style"), "flat vector"),
                pixels(&value("shape")),
            )
        },
    },
    Recipe {
        name: "ui_mockup",
        title: "Mock up a screen",
        about: "A first idea of how a screen could look",
        arguments: &[
            ("screen", "What the screen is for and what is on it", true, &[]),
            ("device", "Where it is shown", false, DEVICES),
            ("look", "Light or dark", false, LOOKS),
        ],
        ask: |value| {
            let size = match value("device").as_str() {
                "phone" => "768 × 1344",
                "tablet" => "1024 × 1344",
                _ => "1344 × 768",
            };
            format!(
                "Draw a mock-up of a user interface with the tool generate_image, {size} pixels.\nScreen: {}\nLook: {}\n\
                 Write the prompt as a designer would: layout from the outside in, the few most important elements, spacing, colours, \
                 \"clean UI design, high fidelity mock-up\". Negative prompt: hands, device frame, perspective, blurry text. Letters \
                 will not be readable; say so when you show the result, and list what the real screen should say.",
                value("screen"),
                or(value("look"), "light"),
            )
        },
    },
    Recipe {
        name: "diagram",
        title: "Draw a diagram",
        about: "A picture of how something works, for the feeling of it; exact diagrams are better as code",
        arguments: &[("topic", "What it shows", true, &[]), ("kind", "What kind of diagram", false, KINDS)],
        ask: |value| {
            format!(
                "Draw a {} diagram with the tool generate_image, 1344 × 768 pixels.\nTopic: {}\nFirst decide on at most seven parts \
                 and how they are connected. Write a prompt for an isometric or flat schematic with those parts as distinct shapes on a \
                 plain background, without letters. Show the result with a legend in words, since the picture has none.",
                or(value("kind"), "architecture"),
                value("topic"),
            )
        },
    },
    Recipe {
        name: "logo",
        title: "Design a logo",
        about: "Four ideas for a mark",
        arguments: &[
            ("name", "What it is for", true, &[]),
            ("mark", "What kind of mark", false, MARKS),
            ("colours", "Which colours", false, &[]),
        ],
        ask: |value| {
            format!(
                "Draw ideas for a logo with the tool generate_image: 1024 × 1024 pixels, count 4.\nFor: {}\nKind: {}\nColours: {}\n\
                 Write a prompt for one simple mark, centred, flat, few shapes, plain white background, that works at 16 pixels. Negative \
                 prompt: letters, gradients, mock-up, shadows. Show all four, say what each means, and recommend one.",
                value("name"),
                or(value("mark"), "abstract mark"),
                or(value("colours"), "two, of your choice"),
            )
        },
    },
];

/// `prompts/list`.
pub(super) fn list() -> Vec<Prompt> {
    let arguments = |recipe: &Recipe| {
        let argument = |(name, about, needed, _): &Argument| {
            PromptArgument::new(*name).with_description(*about).with_required(*needed)
        };
        recipe.arguments.iter().map(argument).collect()
    };
    RECIPES
        .iter()
        .map(|recipe| Prompt::new(recipe.name, Some(recipe.about), Some(arguments(recipe))).with_title(recipe.title))
        .collect()
}

/// `prompts/get`.
pub(super) fn get(name: &str, arguments: JsonObject) -> Result<GetPromptResult, ErrorData> {
    let recipe = recipe(name)?;
    for (argument, value) in &arguments {
        if !recipe.arguments.iter().any(|(known, ..)| known == argument) {
            let argument: String = argument.chars().take(60).collect();
            return Err(wrong(format!("the prompt \"{name}\" has no argument \"{argument}\"")));
        }
        if !value.is_string() {
            return Err(wrong(format!("the argument \"{argument}\" must be a string")));
        }
    }
    let value = |argument: &str| {
        arguments.get(argument).and_then(|value| value.as_str()).map(|value| short(value, LONGEST)).unwrap_or_default()
    };
    for (argument, about, needed, _) in recipe.arguments {
        if *needed && value(argument).is_empty() {
            return Err(wrong(format!("the argument \"{argument}\" is needed: {about}")));
        }
    }
    let message = PromptMessage::new_text(Role::User, (recipe.ask)(&value));
    Ok(GetPromptResult::new(vec![message]).with_description(recipe.about))
}

/// `completion/complete`: what an argument may well be.
pub(super) fn complete(name: &str, argument: &ArgumentInfo) -> Result<Vec<String>, ErrorData> {
    let recipe = recipe(name)?;
    let known = recipe.arguments.iter().find(|(known, ..)| *known == argument.name);
    let (_, _, _, values) = known.ok_or_else(|| wrong(format!("the prompt \"{name}\" has no such argument")))?;
    let begun = argument.value.trim().to_lowercase();
    Ok(values.iter().filter(|value| value.starts_with(&begun)).map(|value| (*value).to_owned()).collect())
}

fn recipe(name: &str) -> Result<&'static Recipe, ErrorData> {
    let found = RECIPES.iter().find(|recipe| recipe.name == name);
    found.ok_or_else(|| wrong("there is no such prompt; ask for prompts/list".into()))
}

fn wrong(message: String) -> ErrorData {
    ErrorData::invalid_params(message, None)
}

fn or(value: String, otherwise: &str) -> String {
    if value.is_empty() { otherwise.to_owned() } else { value }
}

fn pixels(shape: &str) -> &'static str {
    match shape {
        "square" => "1024 × 1024 pixels",
        "portrait" => "832 × 1216 pixels",
        "banner" => "1536 × 640 pixels",
        _ => "1216 × 832 pixels",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_prompt_asks_for_the_tool_and_says_what_it_needs() {
        for prompt in list() {
            let arguments = prompt.arguments.expect("arguments");
            let (needed, optional): (Vec<_>, Vec<_>) = arguments.iter().partition(|it| it.required == Some(true));
            assert!(!needed.is_empty(), "{}", prompt.name);
            let given: JsonObject = needed.iter().map(|it| (it.name.clone(), json!("a fox"))).collect();
            let text = serde_json::to_string(&get(&prompt.name, given).expect("a prompt")).expect("JSON");
            assert!(text.contains("generate_image") && text.contains("a fox"), "{text}");
            assert!(get(&prompt.name, JsonObject::new()).is_err());
            let strange = json!({ "nonsense": "1" }).as_object().cloned().expect("an object");
            assert!(get(&prompt.name, strange).is_err());
            for argument in optional {
                assert!(complete(&prompt.name, &ArgumentInfo::new(&argument.name, "")).is_ok());
            }
        }
        assert!(get("nonsense", JsonObject::new()).is_err());
        let styles = complete("illustrate", &ArgumentInfo::new("style", "Is")).expect("completions");
        assert_eq!(styles, ["isometric"]);
    }
}
