//! A full disk, while a picture is stored and while anything is written.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    fake::{self, Fake},
    program::{Folder, Hub, token},
};

/// Where the small disk is, for the part of this program that was started inside the namespace.
const SMALL_DISK: &str = "IT_SMALL_DISK";

/// Runs this test again, alone, where a disk of 6 MiB is mounted at `folder`. The mount is in a namespace of its own: it
/// needs no rights where a user may have one, nobody else sees it, and it is gone with its last process, killed or not.
fn on_a_small_disk(test: &str, folder: &Path) {
    const MOUNT: &str = r#"mount -t tmpfs -o size=6m,mode=700 small-disk "$1" && shift && exec "$@""#;
    std::fs::create_dir_all(folder).unwrap();
    let mut refusals = Vec::new();
    // As root a user namespace is not needed, and may not be allowed. Without root it is the only way.
    for spaces in [&["--mount"][..], &["--user", "--map-root-user", "--mount"][..]] {
        let mut command = Command::new("unshare");
        command.args(spaces).args(["--", "sh", "-c", MOUNT, "sh"]).arg(folder).arg(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(SMALL_DISK, folder);
        let said = match command.output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                // A name that fits no test would pass, too.
                if output.status.success() && said.contains("1 passed") {
                    return;
                }
                assert!(!said.contains("running 1 test"), "on the small disk:\n{said}");
                said
            }
            Err(error) => error.to_string(),
        };
        refusals.push(format!("unshare {}: {}", spaces.join(" "), said.trim()));
    }
    panic!(
        "This test mounts a small disk in a namespace of its own, and that is not allowed here. Run it as root, or allow \
         it: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), `--cap-add SYS_ADMIN` or `--privileged` \
         (Docker), `apt-get install util-linux mount` (no such program). To go on without it, leave it out by name: \
         `-- --skip {test}`.\n{}",
        refusals.join("\n")
    );
}

fn draft(prompt: &str) -> Value {
    json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 })
}

/// The large picture does not fit, says so, and the small one after it does.
async fn a_large_picture_fails_and_the_next_is_drawn(client: &Client, data: &Path) {
    let fake = Fake::serve(fake::MODEL).await;
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
    let client = hub.client(&token(folder.path(), "operator"));
    a_large_picture_fails_and_the_next_is_drawn(&client, folder.path()).await;
}

#[test]
fn a_full_disk_is_named_and_survived() {
    match std::env::var_os(SMALL_DISK) {
        None => on_a_small_disk("disk::a_full_disk_is_named_and_survived", Folder::new().path()),
        Some(disk) => tokio::runtime::Runtime::new().unwrap().block_on(a_full_disk(&PathBuf::from(disk))),
    }
}

async fn a_full_disk(data: &Path) {
    let hub = Hub::start(data);
    let client = hub.client(&token(data, "operator"));
    a_large_picture_fails_and_the_next_is_drawn(&client, data).await;

    // Not one more byte: nothing is accepted, and nobody is told that it was.
    let before = client.call("list_images", json!({ "filter": {} })).await.json();
    let ballast = data.join("ballast");
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
