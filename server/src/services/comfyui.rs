//! Asking a ComfyUI server about itself. Endpoints and shapes: reference, ComfyUI 0.3.75 and 0.33.0, `/system_stats`,
//! `/object_info/{class}`.

use serde_json::Value;

use super::{Catalog, CheckView, Endpoint, EndpointError, Health, TestReport, TestStep, rules};
use crate::clock::{Stopwatch, Timestamp};

/// `/system_stats` is about 2 KB; one class of `/object_info` lists every model file, so it may be long.
const STATS_LIMIT: usize = 1 << 20;
const CLASS_LIMIT: usize = 16 << 20;

/// Asks everything the hub will need: is it ComfyUI, which version and devices, which checkpoints.
pub(super) async fn test(endpoint: &Endpoint) -> TestReport {
    let mut report = TestReport {
        steps: Vec::new(),
        response_ms: None,
        version: None,
        devices: Vec::new(),
        checkpoints: Vec::new(),
    };
    let watch = Stopwatch::start();
    let asked = "Is a ComfyUI server there?";
    match stats(endpoint).await {
        Ok((version, devices)) => {
            report.response_ms = Some(watch.millis());
            let on = if devices.is_empty() { "no device".to_owned() } else { devices.join(", ") };
            report.step(asked, true, format!("ComfyUI {version} on {on}, answered in {} ms", watch.millis()));
            (report.version, report.devices) = (Some(version), devices);
        }
        Err(error) => {
            if !matches!(error, EndpointError::Unreachable(_)) {
                report.response_ms = Some(watch.millis());
            }
            report.step(asked, false, error.to_string());
            return report;
        }
    }
    let asked = "Does it take a socket?";
    match endpoint.socket("/ws", &[("clientId", "central-mcp-test")]).await {
        Ok(_) => report.step(asked, true, "yes, progress will be live".into()),
        Err(error) => {
            report.step(
                asked,
                false,
                format!("{error} Progress and previews need it; let the proxy in front pass WebSockets."),
            );
            return report;
        }
    }
    let asked = "Which checkpoints does it have?";
    match choices(endpoint, "CheckpointLoaderSimple", "ckpt_name").await {
        Ok(names) if names.is_empty() => {
            // Not a failure: saved workflows may load their models in other ways.
            report.step(
                asked,
                true,
                "none; put one into its models/checkpoints folder, or use saved workflows only".into(),
            );
        }
        Ok(names) => {
            report.step(
                asked,
                true,
                format!("{}: {}", names.len(), names.iter().take(3).cloned().collect::<Vec<_>>().join(", ")),
            );
            report.checkpoints = names;
        }
        Err(error) => report.step(asked, false, error.to_string()),
    }
    report
}

/// The short question of the periodic check.
pub(super) async fn check(endpoint: &Endpoint, at: Timestamp) -> CheckView {
    let watch = Stopwatch::start();
    match stats(endpoint).await {
        Ok(_) => {
            let response_ms = Some(watch.millis());
            CheckView { at, health: rules::speed(response_ms), response_ms, problem: None }
        }
        Err(error) => CheckView { at, health: Health::Down, response_ms: None, problem: Some(error.to_string()) },
    }
}

/// Everything a form can offer.
pub(super) async fn catalog(endpoint: &Endpoint) -> Result<Catalog, EndpointError> {
    let (checkpoints, loras, samplers, schedulers) = tokio::try_join!(
        choices(endpoint, "CheckpointLoaderSimple", "ckpt_name"),
        choices(endpoint, "LoraLoader", "lora_name"),
        choices(endpoint, "KSampler", "sampler_name"),
        choices(endpoint, "KSampler", "scheduler"),
    )?;
    Ok(Catalog { checkpoints, loras, samplers, schedulers })
}

async fn stats(endpoint: &Endpoint) -> Result<(String, Vec<String>), EndpointError> {
    let stats = endpoint.get_json("/system_stats", &[], STATS_LIMIT).await?;
    let Some(version) = stats.pointer("/system/comfyui_version").and_then(Value::as_str) else {
        return Err(EndpointError::Unexpected {
            status: 200,
            reason: "something answers there, but it is not a ComfyUI server (no system.comfyui_version); check address and port".into(),
        });
    };
    let devices = stats.get("devices").and_then(Value::as_array).into_iter().flatten();
    let devices = devices.filter_map(|device| device.get("name")?.as_str()).take(16).map(short).collect();
    Ok((short(version), devices))
}

/// The choices of one node input. They come in two spellings, both in one answer: `[["a", "b"], {…}]` and
/// `["COMBO", {"options": ["a", "b"]}]`. An unknown class answers `{}`: no choices.
async fn choices(endpoint: &Endpoint, class: &str, input: &str) -> Result<Vec<String>, EndpointError> {
    let info = endpoint.get_json(&format!("/object_info/{class}"), &[], CLASS_LIMIT).await?;
    let spec = info.pointer(&format!("/{class}/input/required/{input}"));
    let list = spec.and_then(|spec| match spec.get(0)? {
        Value::Array(names) => Some(names),
        _ => spec.pointer("/1/options")?.as_array(),
    });
    Ok(list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A service's own words are untrusted: bounded and on one line.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

impl TestReport {
    fn step(&mut self, asked: &str, good: bool, answer: String) {
        self.steps.push(TestStep { asked: asked.into(), good, answer });
    }
}
