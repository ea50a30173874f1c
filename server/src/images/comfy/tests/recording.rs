//! Recorded traffic (tests/data/comfyui/README.md) as scripts.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    ID,
    fake::{Script, Step},
};

/// A submission of a recording, with what followed.
pub(super) struct Recorded {
    pub(super) graph: Value,
    pub(super) script: Script,
}

/// The submissions of the file that begins with `file`.
pub(super) fn read(version: &'static str, file: &str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/comfyui/v{version}"));
    let names = std::fs::read_dir(&folder).unwrap().map(|found| found.unwrap().path());
    let mut found = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(file));
    let path = found.next().unwrap_or_else(|| panic!("no recording {file} of {version}"));
    let lines: Vec<Value> =
        std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let posts = (0..lines.len()).filter(|&at| is_submission(&lines[at]));
    posts.map(|at| script(version, &lines, at)).collect()
}

fn is_submission(line: &Value) -> bool {
    line["method"] == "POST" && line["path"] == "/prompt" && line["req"]["prompt"].is_object()
}

fn script(version: &'static str, lines: &[Value], at: usize) -> Recorded {
    let submission = &lines[at];
    let graph = submission["req"]["prompt"].clone();
    let answer =
        if submission["resp"].is_null() { submission["resp_text"].clone() } else { submission["resp"].clone() };
    let mut script = Script::accepting(Vec::new());
    script.version = version;
    script.status = submission["status"].as_u64().unwrap().try_into().unwrap();
    script.answer = answer;
    script.file = lines
        .iter()
        .find(|line| line["path"].as_str().is_some_and(|path| path.starts_with("/view")))
        .map_or(Some(b"\x89PNG".to_vec()), |line| line["resp_b64"].as_str().map(unbase64));
    if let Some(id) = submission["resp"]["prompt_id"].as_str() {
        script.steps = steps(lines, at, id);
    }
    Recorded { graph, script }
}

fn steps(lines: &[Value], at: usize, id: &str) -> Vec<Step> {
    let client = submission_client(&lines[at]);
    let mention = |line: &Value| line["ch"] == "ws" && line["data"].to_string().contains(id);
    let first = lines.iter().position(mention).map_or(at, |first| first.min(at));
    let next = (at + 1..lines.len()).find(|&next| is_submission(&lines[next])).unwrap_or(lines.len());
    let last = lines.iter().rposition(mention).unwrap_or(next - 1);
    let ended = |line: &Value| line["data"]["type"] == "executing" && line["data"]["data"]["node"].is_null();
    // A job that was not seen to end goes on until its socket closed.
    let last = if ended(&lines[last]) || !mention(&lines[last]) {
        last
    } else {
        (last..lines.len()).find(|&end| lines[end]["ev"] == "closed").unwrap_or(last)
    };
    let history = lines
        .iter()
        .find(|line| line["path"] == format!("/history/{id}") && line["resp"][id].is_object())
        .map(|line| line["resp"][id].clone())
        .or_else(|| told(lines, id));
    let mut steps = Vec::new();
    let mut heard = false;
    for line in &lines[first..=last] {
        let path = line["path"].as_str().unwrap_or_default();
        let stops =
            path == format!("/api/jobs/{id}/cancel") || (path == "/interrupt" && line["req"]["prompt_id"] == id);
        if line["ch"] == "http" && stops {
            steps.push(Step::AwaitCancel);
        }
        if line["ch"] != "ws" || !hears(lines, line, client) {
            continue;
        }
        let foreign = line["data"]["data"]["prompt_id"].as_str().is_some_and(|other| other != id);
        match line["ev"].as_str() {
            Some("text") if !foreign => {
                // The recorded history is there just before the end is told, and not at `execution_success`.
                if ended(line)
                    && line["data"]["data"]["prompt_id"] == id
                    && let Some(entry) = &history
                {
                    steps.push(Step::Ended(entry.clone()));
                }
                heard = true;
                steps.push(Step::Text(line["data"].to_string().replace(id, "$ID")));
            }
            Some("binary") => steps.push(Step::Binary(frame(line, id))),
            Some("closed") => steps.push(Step::Close),
            _ => {}
        }
    }
    match history {
        Some(entry) if !steps.iter().any(|step| matches!(step, Step::Ended(_))) => {
            if !heard {
                steps.push(Step::AwaitAsked(2));
            }
            steps.push(Step::Ended(entry));
        }
        Some(_) => {}
        None => steps.push(Step::Forget),
    }
    steps
}

/// The history entry that a job had whose messages were recorded to their end and nobody asked for.
fn told(lines: &[Value], id: &str) -> Option<Value> {
    let of = |line: &&Value| line["data"]["data"]["prompt_id"] == id;
    let found = |kind: &'static str| lines.iter().filter(of).filter(move |line| line["data"]["type"] == kind);
    found("execution_success").next()?;
    let outputs: serde_json::Map<String, Value> = found("executed")
        .map(|line| &line["data"]["data"])
        .map(|data| (data["node"].as_str().unwrap().to_owned(), data["output"].clone()))
        .collect();
    let messages: Vec<Value> = ["execution_start", "execution_success"]
        .into_iter()
        .flat_map(|kind| found(kind).map(move |line| json!([kind, line["data"]["data"]])))
        .collect();
    Some(json!({ "outputs": outputs, "status": { "status_str": "success", "completed": true, "messages": messages } }))
}

fn submission_client(line: &Value) -> Option<&str> {
    line["req"]["client_id"].as_str()
}

/// Whether the socket of `line` is the submitter's. Without a client id everybody hears what is heard at all.
fn hears(lines: &[Value], line: &Value, client: Option<&str>) -> bool {
    let opened = lines.iter().find(|open| open["ev"] == "open" && open["sock"] == line["sock"]);
    let path = opened.and_then(|open| open["path"].as_str()).unwrap_or_default();
    // A socket without client id is given one, which its jobs then carry.
    client.is_none_or(|client| path.ends_with(client) || path == "/ws")
}

/// The recorded frame, with our id in it; one of which only the head was kept is filled up.
fn frame(line: &Value, id: &str) -> Vec<u8> {
    let head = line["b64"].as_str().or(line["b64_head"].as_str()).unwrap();
    let mut frame = unbase64(head);
    frame.resize(line["len"].as_u64().unwrap().try_into().unwrap(), b' ');
    if let Some(at) = frame.windows(id.len()).position(|window| window == id.as_bytes()) {
        frame[at..at + ID.len()].copy_from_slice(ID.as_bytes());
    }
    frame
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'=').map(digit).collect();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
