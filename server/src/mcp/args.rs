//! The arguments of a tool call, read one by one. Everything that is wrong is collected and said in one answer, so that a
//! model can mend its call at once. What values are in bounds is for the room to say.

use std::{fmt, str::FromStr};

use rmcp::model::JsonObject;
use serde_json::Value;

use crate::error::Failure;

/// See the module.
pub(super) struct Args {
    left: JsonObject,
    wrong: Vec<String>,
}

impl Args {
    pub(super) fn new(arguments: Option<JsonObject>) -> Self {
        Self { left: arguments.unwrap_or_default(), wrong: Vec::new() }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, name: &str) -> String {
        if matches!(self.left.get(name), None | Some(Value::Null)) {
            self.left.remove(name);
            self.wrong.push(format!("\"{name}\" is missing; it is needed"));
        }
        self.text(name).unwrap_or_default()
    }

    /// A whole number; also as a float without a fraction or as a text, as some models write it.
    pub(super) fn whole(&mut self, name: &str) -> Option<u32> {
        self.read(name, "a whole number, 0 or more", |value| {
            let float = |value: &Value| {
                value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n)).map(|n| n as u32)
            };
            value
                .as_u64()
                .and_then(|n| n.try_into().ok())
                .or_else(|| float(value))
                .or_else(|| value.as_str()?.parse().ok())
        })
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        self.read(name, "a number", number)
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// A text or number that is read by its own type, whose refusal is passed on.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = match self.take(name)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => {
                self.wrong.push(format!("\"{name}\" is {}; give a string", kind(&other)));
                return None;
            }
        };
        text.parse().map_err(|why| self.wrong.push(format!("\"{name}\": {why}"))).ok()
    }

    /// Anything that `read` understands; `what` says what that is.
    pub(super) fn read<T>(&mut self, name: &str, what: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let good = read(&value);
        if good.is_none() {
            let shown = match &value {
                Value::String(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
                Value::Number(number) => number.to_string(),
                other => kind(other).to_owned(),
            };
            self.wrong.push(format!("\"{name}\" is {shown}; give {what}"));
        }
        good
    }

    /// Says that the value of `name` is wrong, in one's own words.
    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        self.wrong.push(format!("\"{name}\" {why}"));
    }

    /// Ends the reading: what was not read is not known.
    pub(super) fn end(mut self, known: &[&str]) -> Result<(), Failure> {
        // A parameter that is there and null is as if it was left out.
        self.left.retain(|_, value| !value.is_null());
        let unknown: Vec<_> =
            self.left.keys().map(|name| format!("\"{}\"", name.chars().take(40).collect::<String>())).collect();
        if !unknown.is_empty() {
            let known = if known.is_empty() {
                "this tool takes none".into()
            } else {
                format!("known are {}", known.join(", "))
            };
            self.wrong.push(format!("unknown: {}; {known}", unknown.join(", ")));
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::invalid(format!(
            "the call cannot be taken as it is: {}. Correct that and call again",
            self.wrong.join("; ")
        )))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }
}

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number: &f64| number.is_finite())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::images::Seed;

    fn args(value: &Value) -> Args {
        Args::new(value.as_object().cloned())
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut args = args(&json!({
            "prompt": 3, "width": "wide", "steps": -1, "cfg_scale": "a lot", "seed": [], "wait": "yes", "colour": "red",
        }));
        args.needed("prompt");
        args.whole("width");
        args.whole("steps");
        args.number("cfg_scale");
        args.parsed::<Seed>("seed");
        args.flag("wait");
        args.needed("id");
        let said = args.end(&["prompt", "width"]).expect_err("refused").message;
        for expected in [
            "\"prompt\" is 3; give a string",
            "\"width\" is \"wide\"; give a whole number",
            "\"steps\" is -1; give a whole number",
            "\"cfg_scale\" is \"a lot\"; give a number",
            "\"seed\" is a list",
            "\"wait\" is \"yes\"; give true or false",
            "\"id\" is missing",
            "unknown: \"colour\"; known are prompt, width",
        ] {
            assert!(said.contains(expected), "{expected} is not in {said}");
        }
    }

    #[test]
    fn numbers_come_in_many_clothes_and_null_is_nothing() {
        let mut args = args(&json!({
            "a": 7, "b": 7.0, "c": "7", "d": null, "e": 0.5, "f": "0.5", "seed": 18_446_744_073_709_551_615_u64, "t": "12",
        }));
        assert_eq!(
            (args.whole("a"), args.whole("b"), args.whole("c"), args.whole("d")),
            (Some(7), Some(7), Some(7), None)
        );
        assert_eq!((args.number("e"), args.number("f")), (Some(0.5), Some(0.5)));
        assert_eq!((args.parsed("seed"), args.parsed("t")), (Some(Seed(u64::MAX)), Some(Seed(12))));
        assert!(args.end(&[]).is_ok());
    }
}
