//! Every recorded submission that concerns us, against what the client must conclude from it.

use super::{Client, Stop, fake::Fake, quick, recording};

/// What must come out.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// So many files; whether there were previews; the last count of steps.
    Draw { files: usize, previews: bool, steps: Option<(u32, u32)> },
    /// A stop of this kind whose text holds this.
    Stop(Kind, &'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    Unfit,
    Failed,
    Lost,
}

const fn draw(files: usize, previews: bool, steps: Option<(u32, u32)>) -> Must {
    Must::Draw { files, previews, steps }
}

async fn check(version: &'static str, file: &str, index: usize, must: Must) {
    let place = format!("{version} {file} submission {index}");
    let recorded =
        recording::read(version, file).into_iter().nth(index).unwrap_or_else(|| panic!("{place} is not there"));
    let server = Fake::serve(recorded.script).await;
    let client = Client::new(server.port, quick());
    let result = client.draw(recorded.graph.clone(), false).await;
    match (must, result) {
        (Must::Draw { files, previews, steps }, Ok(drawn)) => {
            assert_eq!(drawn.files.len(), files, "files of {place}");
            assert!(drawn.files.iter().all(|file| file.starts_with(b"\x89PNG")), "{place} drew no PNG");
            assert!(
                drawn.drawn_ms.is_some_and(|ms| (0..60_000).contains(&ms)),
                "time of {place}: {:?}",
                drawn.drawn_ms
            );
            assert_eq!(client.previews() > 0, previews, "previews of {place}");
            assert_eq!(client.last_steps(), steps, "steps of {place}");
            let phases = client.phases();
            assert_eq!(phases.last().map(String::as_str), Some("fetching"), "phases of {place}: {phases:?}");
            assert_eq!(server.submitted()[0]["client_id"], "hub-1");
            assert_eq!(server.submitted()[0]["prompt"], recorded.graph);
            let removed = || server.calls().iter().any(|call| call.starts_with("POST /history"));
            assert!(!removed(), "{place}: the server must keep its files until they are kept here");
            client.comfy.forget(&drawn.prompt_id).await;
            assert!(removed(), "{place}: {:?}", server.calls());
        }
        (Must::Stop(kind, words), Err(stop)) => {
            let (found, text) = match &stop {
                Stop::Refused(text) => (Kind::Refused, text),
                Stop::Unfit(text) => (Kind::Unfit, text),
                Stop::Failed(text) => (Kind::Failed, text),
                Stop::Lost(text) => (Kind::Lost, text),
                other => panic!("{place}: {other:?}"),
            };
            assert_eq!(found, kind, "{place}: {text}");
            assert!(text.contains(words), "{place} says {text:?}, without {words:?}");
            assert!(
                !text.contains("/opt/") && !text.contains("/data/") && !text.contains("Traceback"),
                "{place} leaks: {text}"
            );
        }
        (must, result) => panic!("{place}: {must:?}, but {result:?}"),
    }
}

#[tokio::test]
async fn a_recorded_job_is_drawn_as_it_was() {
    let four = Some((4, 4));
    let two = Some((2, 2));
    let cases: &[(&[&'static str], &str, usize, Must)] = &[
        (&["0.33.0", "0.3.75"], "01", 0, draw(1, true, four)),
        (&["0.33.0", "0.3.75"], "02", 0, draw(1, true, four)),
        // All cached: the old file is named and is still there.
        (&["0.33.0", "0.3.75"], "03", 0, draw(1, false, None)),
        (&["0.33.0", "0.3.75"], "04", 0, draw(1, false, None)),
        // Beside another client's jobs, of which nothing is heard or believed.
        (&["0.33.0", "0.3.75"], "10", 0, draw(1, true, two)),
        // A job whose progress and nameless previews were told to everybody, and whose nodes and end to nobody.
        (&["0.33.0", "0.3.75"], "10", 2, draw(1, false, two)),
        // Junk was sent to the server before.
        (&["0.33.0", "0.3.75"], "13", 0, draw(1, true, two)),
        (&["0.33.0"], "34", 0, draw(1, false, two)),
        (&["0.33.0"], "34", 1, draw(1, true, two)),
        (&["0.33.0"], "11", 0, draw(1, true, Some((14, 14)))),
        (&["0.33.0", "0.3.75"], "12", 0, draw(1, false, None)),
        // The socket that the server forgot: nothing is heard, and the questions find the end.
        (&["0.33.0", "0.3.75"], "12", 1, draw(1, false, None)),
        (&["0.33.0", "0.3.75"], "12", 2, draw(1, false, None)),
        (&["0.33.0"], "20", 0, draw(1, true, four)),
        (&["0.33.0"], "26", 0, draw(1, true, four)),
        (&["0.33.0"], "30", 0, draw(3, true, two)),
        (&["0.33.0", "0.3.75"], "31", 0, draw(2, true, two)),
        (&["0.33.0"], "31", 1, draw(2, true, two)),
        // Only the last node runs again, and sends its pictures again.
        (&["0.33.0"], "31", 2, draw(2, false, None)),
    ];
    for (versions, file, index, must) in cases {
        for version in *versions {
            check(version, file, *index, *must).await;
        }
    }
}

#[tokio::test]
async fn a_recorded_end_that_is_no_picture_says_why() {
    let cases: &[(&'static str, &str, usize, Must)] = &[
        // A server before 0.28 leaves the outputs of a cached job without client id empty.
        ("0.3.75", "03", 1, Must::Stop(Kind::Failed, "without a picture")),
        ("0.33.0", "06", 0, Must::Stop(Kind::Failed, "LoadImage failed: cannot identify image file 'broken.png'")),
        ("0.3.75", "06", 0, Must::Stop(Kind::Failed, "LoadImage failed: cannot identify image file 'broken.png'")),
        // Running when the server was restarted.
        ("0.33.0", "16", 1, Must::Stop(Kind::Lost, "restarted")),
    ];
    for (version, file, index, must) in cases {
        check(version, file, *index, *must).await;
    }
}

#[tokio::test]
async fn every_recorded_refusal_is_put_in_words() {
    use Kind::{Refused, Unfit};
    let cases: &[(&str, Must)] = &[
        ("no output node", Must::Stop(Refused, "no output node")),
        ("no class", Must::Stop(Refused, "class_type")),
        ("no such node", Must::Stop(Unfit, "lacks the node \"NoSuchNode\"")),
        ("only loaders", Must::Stop(Refused, "no output node")),
        ("no seed", Must::Stop(Refused, "node 3 (KSampler) lacks its input seed")),
        (
            "missing model",
            Must::Stop(
                Unfit,
                "no checkpoint \"not-installed.safetensors\"; it has tiny-sd15-inpaint.safetensors, tiny-sd15.safetensors",
            ),
        ),
        ("missing sampler", Must::Stop(Unfit, "no sampler \"no_such_sampler\"")),
        ("too few steps", Must::Stop(Refused, "input steps: value 0 smaller than min of 1")),
        ("too wide", Must::Stop(Refused, "input width: value 1048576 bigger than max of 16384")),
        ("seed −1", Must::Stop(Refused, "input seed: value -1 smaller")),
        ("seed 2^64", Must::Stop(Refused, "input seed: value 18446744073709551616 bigger")),
        ("seed abc", Must::Stop(Refused, "input seed: \"abc\" is of the wrong kind")),
        ("wrong link", Must::Stop(Refused, "input model: linked to an output of another kind")),
        ("bad link", Must::Stop(Refused, "its link is not a pair")),
        ("link to nowhere", Must::Stop(Refused, "a node or output that does not exist")),
        ("link to no slot", Must::Stop(Refused, "a node or output that does not exist")),
        ("no inputs", Must::Stop(Refused, "node 9 (SaveImage) cannot be checked")),
        ("circle", Must::Stop(Refused, "circle")),
        ("no file", Must::Stop(Refused, "Invalid image file: missing.png")),
    ];
    for version in ["0.33.0", "0.3.75"] {
        for (index, (_, must)) in cases.iter().enumerate() {
            check(version, "05", index, *must).await;
        }
    }
}

#[test]
fn the_recordings_are_all_understood() {
    for (version, files) in [
        (
            "0.33.0",
            &[
                "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "16", "20", "26", "30",
                "31",
            ][..],
        ),
        ("0.3.75", &["01", "02", "03", "04", "05", "06", "08", "10", "12", "13", "31"][..]),
    ] {
        for file in files {
            assert!(!recording::read(version, file).is_empty(), "{version} {file} has no submission");
        }
    }
}
