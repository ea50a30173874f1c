//! Files that no image names go; all others stay.

use super::*;
use crate::clock::{DAY, Timestamp};

fn png(shade: u8) -> Bytes {
    let mut out = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(8, 8, image::Rgb([shade, 0, 0]));
    image::DynamicImage::from(pixels).write_to(&mut out, image::ImageFormat::Png).expect("a PNG");
    out.into_inner().into()
}

#[tokio::test]
async fn only_old_files_that_no_image_names_are_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let hub = Hub::open(folder.path(), None, clock.clone()).await.expect("the hub opens");
    let who = caller("ada", Role::Operator);
    let upload = async |shade| hub.images.upload(&who, png(shade)).await.expect("taken in").sha256;
    let here = async |sha256: &str| hub.images.picture(&who, sha256).await.is_ok();

    let drawn = hub.images.draw(&who, small("a harbour")).await.expect("accepted");
    let drawn = wait(&hub, drawn.id, done).await.pictures.remove(0);
    let (unused, named, renewed) = (upload(1).await, upload(2).await, upload(3).await);
    // It waits, for the sketch draws from a prompt only; a waiting image needs its source.
    let source = Some(Source { sha256: named.clone(), denoise: 0.5 });
    hub.images.draw(&who, ImageDraft { source, ..small("from a picture") }).await.expect("accepted");
    assert_eq!(hub.images.sweep().await.expect("swept"), 0, "nothing is old");

    clock.advance(2 * DAY);
    let young = upload(4).await;
    assert_eq!(upload(3).await, renewed);
    assert_eq!(hub.images.sweep().await.expect("swept"), 1);
    for sha256 in [&drawn.sha256, &drawn.thumbnail, &named, &renewed, &young] {
        assert!(here(sha256).await, "{sha256}");
    }
    assert!(!here(&unused).await);
    hub.close().await;
}

#[tokio::test]
async fn a_file_that_a_running_image_may_have_just_stored_is_left_to_the_sweep() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path()).await;
    let who = caller("ada", Role::Operator);
    let deleted_with_its_source = async |shade| {
        let sha256 = hub.images.upload(&who, png(shade)).await.expect("taken in").sha256;
        let source = Some(Source { sha256: sha256.clone(), denoise: 0.5 });
        let image = hub.images.draw(&who, ImageDraft { source, ..small("from a picture") }).await.expect("accepted");
        hub.images.cancel(&who, image.id).await.expect("cancelled");
        hub.images.delete(&who, image.id).await.expect("deleted");
        hub.images.picture(&who, &sha256).await.is_err()
    };
    let drawn = hub.images.draw(&who, long("at work")).await.expect("accepted");
    wait(&hub, drawn.id, running).await;
    assert!(!deleted_with_its_source(1).await, "stored after the running image began");
    hub.images.cancel(&who, drawn.id).await.expect("cancelled");
    wait(&hub, drawn.id, ended).await;
    assert!(deleted_with_its_source(2).await, "nothing is running");
    hub.close().await;
}
