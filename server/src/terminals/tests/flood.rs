//! Floods, crowds, and those who do not read.

use super::*;

#[tokio::test]
async fn two_hundred_join_a_flood_and_end_on_the_same_screen() {
    let house = House::new();
    house.script("a", "read go; seq 1 300000; printf '\\033[1;33mTHE END\\033[m'; cat").await;
    let mut first = house.viewer("a").await;
    first.watch.feed().write(b"\r").await.expect("typed");
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..200 {
        let _ = timeout(Duration::from_millis(5), first.step(Pace::Now)).await;
        let mut viewer = house.viewer("a").await;
        let pace = [Pace::Now, Pace::Calm, Pace::Calm, Pace::Every][number % 4];
        crowd.spawn(async move {
            viewer.sees(pace, "the end", |screen| screen.contains("THE END")).await;
            viewer
        });
    }
    first.reads("THE END").await;
    let viewers = crowd.join_all().await;
    assert_eq!(viewers.len(), 200);
    assert_eq!(first.watch.feed().watchers(), 201);
    for viewer in viewers {
        assert_eq!(viewer.state(), first.state());
    }
}

#[tokio::test]
async fn who_never_reads_costs_nothing_and_finds_the_screen_as_it_is() {
    let house = House::new();
    house
        .script("a", "read go; yes 'a line of some length, again and again' | head -n 2000000; echo THE END; cat")
        .await;
    let mut reader = house.viewer("a").await;
    let mut sleeper = house.viewer("a").await;
    sleeper.step(Pace::Now).await;
    reader.watch.feed().write(b"\r").await.expect("typed");
    reader.sees(Pace::Calm, "the end", |screen| screen.contains("THE END")).await;
    let (bytes, chunks) = reader.watch.feed().kept();
    assert!(bytes <= 256 * 1024 && chunks <= 8 * 1024, "{bytes} bytes in {chunks} chunks");
    sleeper.reads("THE END").await;
    assert!(sleeper.frames <= 10, "{} frames", sleeper.frames);
    assert_eq!(sleeper.state(), reader.state());
}

#[tokio::test]
async fn a_flood_is_bounded_slows_no_other_session_and_can_be_stopped() {
    let house = House::new();
    house.start("flood", &["sh"]).await;
    house.start("quiet", &["cat"]).await;
    let (mut flooded, mut quiet) = (house.viewer("flood").await, house.viewer("quiet").await);
    flooded.watch.feed().write(b"yes 0123456789012345678901234567890123456789\r").await.expect("typed");
    flooded.sees(Pace::Now, "the flood", |screen| screen.matches("0123456789\n").count() > 10).await;
    for number in 0..50 {
        let (start, word) = (crate::clock::Stopwatch::start(), format!("word{number}"));
        quiet.watch.feed().write(word.as_bytes()).await.expect("typed");
        quiet.reads(&word).await;
        assert!(start.millis() < 2_000, "{} ms for an echo", start.millis());
        quiet.watch.feed().write(b"\x15").await.expect("typed");
        // The flooded one reads on in between, at its own pace.
        let _ = timeout(Duration::from_millis(20), flooded.step(Pace::Calm)).await;
    }
    assert!(flooded.watch.feed().kept().0 <= 256 * 1024);
    flooded.watch.feed().write(b"\x03echo stop''ped\r").await.expect("typed");
    flooded.reads("stopped").await;
}
