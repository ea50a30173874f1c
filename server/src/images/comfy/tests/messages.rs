//! The message decoder, and the words.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::super::{
    calls::{Item, pictures},
    protocol::{self, Message},
    words::clean,
};

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, event in 0_u32..6, length: u32) {
        protocol::binary(Bytes::from(bytes.clone()));
        let mut framed = event.to_be_bytes().to_vec();
        framed.extend(length.to_be_bytes());
        framed.extend(&bytes);
        protocol::binary(Bytes::from(framed));
        protocol::text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_text_makes_the_cleaner_panic_or_keep_a_path(text in ".*", folder in "[a-z]{1,9}", file in "[a-z]{1,9}") {
        clean(&text);
        let cleaned = clean(&format!("cannot read '/srv/{folder}/{file}.png'"));
        prop_assert_eq!(cleaned, format!("cannot read '{file}.png'"));
    }
}

#[test]
fn a_message_of_any_odd_shape_is_nothing() {
    for text in
        ["", "null", "[]", "{", r#"{"type":7}"#, r#"{"type":"progress","data":{"node":"3","value":"x","max":null}}"#]
    {
        assert_eq!(protocol::text(text), Message::Other, "{text}");
    }
}

#[test]
fn a_count_in_floats_is_read() {
    let message = protocol::text(r#"{"type":"progress","data":{"value":2.0,"max":4.0,"node":"3","prompt_id":"a"}}"#);
    let expected = Message::Progress { prompt_id: Some("a".into()), node: "3".into(), value: 2, max: 4 };
    assert_eq!(message, expected);
}

#[test]
fn paths_of_the_server_are_cut_to_their_last_part() {
    for (text, cleaned) in [
        ("cannot identify image file '/data/my input/broken.png'\n", "cannot identify image file 'broken.png'"),
        ("no file C:\\Users\\me\\x.safetensors, sorry", "no file x.safetensors, sorry"),
        ("error:/opt/ComfyUI/nodes.py", "error:nodes.py"),
        ("shape 3/4 and a/b stay", "shape 3/4 and a/b stay"),
        ("sizes (1, 2) / 3", "sizes (1, 2) / 3"),
    ] {
        assert_eq!(clean(text), cleaned);
    }
    assert_eq!(clean(&"x".repeat(100_000)).len(), 400);
}

#[test]
fn saved_pictures_go_before_temporary_ones_and_other_files_are_left() {
    let file = |name: &str, kind: &str| json!({ "filename": name, "subfolder": "s", "type": kind });
    let saved = json!({ "9": { "images": [file("a.png", "output"), file("v.mp4", "output")] }, "21": { "images": [file("t.png", "temp")] } });
    assert_eq!(pictures(&saved), [Item { filename: "a.png", subfolder: "s", kind: "output" }]);
    let shown = json!({ "21": { "images": [file("t.png", "temp"), file("in.png", "input")], "text": ["x"], "animated": [true] } });
    assert_eq!(pictures(&shown), [Item { filename: "t.png", subfolder: "s", kind: "temp" }]);
    assert_eq!(pictures(&json!(null)), []);
    let many = json!({ "9": { "images": vec![file("a.png", "output"); 200] } });
    assert_eq!(pictures(&many).len(), 64);
}
