//! A full disk, while a picture is stored and while anything is written.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    fake::{self, Fake},
    program::{Folder, Hub, token},
};

/// A small disk of its own, where this machine lets us mount one; unmounted when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(at);
        let output = mount.output().ok()?;
        output.status.success().then_some(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Lazily: the hub may still be ending.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn draft(prompt: &str) -> Value {
    json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 })
}

/// The large picture does not fit, says so, and the small one after it does.
async fn a_large_picture_fails_and_the_next_is_drawn(hub: &Hub, data: &Path) {
    let fake = Fake::serve().await;
    let client = hub.client(&token(data, "operator"));
    client.service("large", &fake.url).await;
    let large = client.draw(draft(fake::LARGE)).await["id"].clone();
    let small = client.draw(draft("the next one")).await["id"].clone();
    let large = client.ended(&large, 30).await;
    assert_eq!(large["status"], "failed", "{large}");
    let reason = large["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("disk is full") && reason.contains("free some space"), "{reason}");
    let small = client.ended(&small, 30).await;
    assert_eq!(small["status"], "done", "{small}");
    let left = std::fs::read_dir(data.join("pictures/partial")).unwrap().count();
    assert_eq!(left, 0, "half of a picture is not left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_over_what_may_be_written_fails_with_that_reason() {
    let folder = Folder::new();
    // 5 MiB (in blocks of 512 bytes): more than the database needs, less than the picture.
    let hub = Hub::start_limited(folder.path(), 10_240);
    a_large_picture_fails_and_the_next_is_drawn(&hub, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_survived() {
    let folder = Folder::new();
    let Some(_disk) = Disk::mount(folder.path(), "6m") else {
        // Without the right to mount, the limit of the test above stands in for it.
        eprintln!("no right to mount a tmpfs here; the test with a file size limit covers the rest");
        return;
    };
    let hub = Hub::start(folder.path());
    a_large_picture_fails_and_the_next_is_drawn(&hub, folder.path()).await;

    // Not one more byte: nothing is accepted, and nobody is told that it was.
    let client = hub.client(&token(folder.path(), "operator"));
    let before = client.call("list_images", json!({ "filter": {} })).await.json();
    let ballast = folder.path().join("ballast");
    fill(&ballast);
    let mut accepted = 0;
    let refusal = loop {
        let answer = client.call("draw_image", json!({ "draft": draft("on a full disk") })).await;
        if !answer.status.is_success() {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 200, "the disk is full, and still images are accepted");
    };
    assert!(refusal.status.is_server_error(), "{} {}", refusal.status, refusal.text);
    assert!(client.get("/healthz").await.status.is_success());

    std::fs::remove_file(&ballast).unwrap();
    client.drawn(draft("there is space again"), 40).await;
    let after = client.call("list_images", json!({ "filter": {} })).await.json();
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    assert_eq!(count(&after), count(&before) + accepted + 1, "what was accepted is there, and nothing else");
    // What was accepted while the disk was full ends like everything else.
    for view in after.as_array().unwrap() {
        client.ended(&view["id"], 60).await;
    }
}

/// Takes all the space there is.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file).unwrap();
    for size in [64 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
