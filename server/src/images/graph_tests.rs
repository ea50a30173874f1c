use std::path::Path;

use super::*;
use crate::images::{Lora, Source};

fn data(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/comfyui").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn draft() -> ImageDraft {
    ImageDraft { prompt: "a red fox".to_owned(), width: 64, height: 64, count: 3, ..ImageDraft::default() }
}

fn lora(name: &str) -> Lora {
    Lora { name: name.to_owned(), strength: 0.8 }
}

/// Each draft with its built graph.
fn graphs() -> Vec<Value> {
    let source = Some(Source { sha256: "0".repeat(64), denoise: 0.6 });
    let loras = vec![lora("a.safetensors"), lora("b.safetensors")];
    vec![
        build(&draft(), Seed(1), "p", "c", None),
        build(&ImageDraft { loras: loras.clone(), ..draft() }, Seed(1), "p", "c", None),
        build(&ImageDraft { source: source.clone(), ..draft() }, Seed(1), "p", "c", Some("central-mcp/x.png")),
        build(&ImageDraft { source, loras, count: 1, ..draft() }, Seed(1), "p", "c", Some("x.png")),
    ]
}

#[test]
fn every_built_node_has_the_inputs_that_both_servers_want() {
    for version in ["0.33.0", "0.3.75"] {
        let info = data(&format!("object_info/{version}.subset.json"));
        for graph in graphs() {
            for (id, node) in graph.as_object().unwrap() {
                let class = node["class_type"].as_str().unwrap();
                let required = info[class]["input"]["required"]
                    .as_object()
                    .unwrap_or_else(|| panic!("{class} is unknown to {version}"));
                let given = node["inputs"].as_object().unwrap();
                assert_eq!(
                    given.keys().collect::<BTreeSet<_>>(),
                    required.keys().collect(),
                    "inputs of node {id} ({class})"
                );
                for link in given.values().filter_map(Value::as_array) {
                    let from = &graph[link[0].as_str().unwrap()]["class_type"];
                    let slot = usize::try_from(link[1].as_u64().unwrap()).unwrap();
                    assert!(info[from.as_str().unwrap()]["output"][slot].is_string(), "node {id} links to nothing");
                }
            }
        }
    }
}

#[test]
fn a_seed_keeps_every_digit() {
    for seed in [0, (1 << 53) + 1, u64::MAX] {
        let graph = build(&draft(), Seed(seed), "p", "c", None);
        assert_eq!(graph["8"]["inputs"]["seed"].as_u64(), Some(seed));
        assert!(graph.to_string().contains(&format!("\"seed\":{seed}")));
        let filled = fill(
            &json!({ "1": { "class_type": "KSampler", "inputs": { "seed": "{{seed}}" } } }),
            &BTreeMap::from([("seed".to_owned(), json!(seed))]),
        );
        assert_eq!(filled.unwrap()["1"]["inputs"]["seed"].as_u64(), Some(seed));
    }
}

#[test]
fn loras_are_chained_in_order() {
    let graph = &graphs()[1];
    assert_eq!(graph["20"]["inputs"]["model"], json!(["1", 0]));
    assert_eq!(graph["21"]["inputs"]["model"], json!(["20", 0]));
    assert_eq!(graph["21"]["inputs"]["clip"], json!(["20", 1]));
    assert_eq!(graph["2"]["inputs"]["clip"], json!(["21", 1]));
    assert_eq!(graph["8"]["inputs"]["model"], json!(["21", 0]));
}

#[test]
fn a_source_is_scaled_encoded_and_repeated() {
    let graph = &graphs()[2];
    assert_eq!(graph["8"]["inputs"]["latent_image"], json!(["7", 0]));
    assert_eq!(graph["8"]["inputs"]["denoise"], json!(0.6));
    assert_eq!(graph["7"]["inputs"]["amount"], json!(3));
    assert_eq!(graph["4"]["inputs"]["image"], json!("central-mcp/x.png"));
    assert_eq!(graphs()[3]["8"]["inputs"]["latent_image"], json!(["6", 0]));
}

#[test]
fn placeholders_take_values_with_their_types_and_only_as_whole_texts() {
    let graph = json!({ "1": { "class_type": "A{{seed}}", "inputs": {
        "text": "{{prompt}}", "steps": "{{ steps }}", "deep": [{ "x": "{{prompt}}" }], "kept": "a {{prompt}} b", "odd": "{{a b}}",
    } } });
    assert_eq!(inputs(&graph).unwrap(), ["prompt", "steps"]);
    let values = BTreeMap::from([
        ("prompt".to_owned(), json!("{{steps}}")),
        ("steps".to_owned(), json!(4)),
        ("unused".to_owned(), json!(1)),
    ]);
    let filled = fill(&graph, &values).unwrap();
    assert_eq!(
        filled["1"]["inputs"],
        json!({ "text": "{{steps}}", "steps": 4, "deep": [{ "x": "{{steps}}" }], "kept": "a {{prompt}} b", "odd": "{{a b}}" })
    );
    assert_eq!(filled["1"]["class_type"], "A{{seed}}");
    let error = fill(&graph, &BTreeMap::new()).unwrap_err();
    assert!(error.ends_with("prompt, steps"), "{error}");
}

#[test]
fn a_graph_that_comfyui_cannot_take_is_refused_with_advice() {
    for (graph, words) in [
        (json!({ "nodes": [], "links": [], "version": 0.4 }), "Export (API)"),
        (json!([]), "object of nodes"),
        (json!({}), "no nodes"),
        (json!({ "1": { "inputs": {} } }), "node 1 has no class_type"),
        (json!({ "1": { "class_type": "A" } }), "node 1 has no inputs"),
        (json!({ "1": 7 }), "node 1 has no class_type"),
    ] {
        let error = inputs(&graph).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn every_recorded_workflow_is_a_graph_and_saves_under_a_new_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/comfyui/workflows");
    for path in std::fs::read_dir(folder).unwrap() {
        let name = path.unwrap().file_name().into_string().unwrap();
        let mut graph = data(&format!("workflows/{name}"));
        assert_eq!(inputs(&graph), Ok(Vec::new()), "{name}");
        save_as(&mut graph, "central-mcp/x");
        let saver = graph.as_object().unwrap().values().find(|node| node["class_type"] == "SaveImage");
        assert!(saver.is_none_or(|node| node["inputs"]["filename_prefix"] == "central-mcp/x"), "{name}");
    }
}
