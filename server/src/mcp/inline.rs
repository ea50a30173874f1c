//! A picture small enough for a model's context: JPEG, whose base64 is at most 256 kB.

use std::{io::Cursor, path::Path};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{DynamicImage, ImageReader, Limits, RgbImage, codecs::jpeg::JpegEncoder};
use rmcp::model::ContentBlock;

use super::{seat::Seat, state::Shared};
use crate::{
    error::{Error, Failure},
    images::Picture,
};

/// Most characters of base64.
const MOST: usize = 256_000;
/// Longest edges that are tried, from the best.
const EDGES: [u32; 4] = [1024, 768, 512, 256];
/// JPEG qualities that are tried at each.
const QUALITIES: [u8; 3] = [85, 70, 50];
/// Decoded size that a stored picture may need. It was checked when it was stored; this is a second look.
const DECODED: u64 = 8192 * 8192 * 4;

/// The picture, small.
pub(super) async fn small(mcp: &Shared, seat: &Seat, picture: &Picture) -> Result<ContentBlock, Failure> {
    let file = mcp.hub.images.picture(&seat.caller, &picture.sha256).await?;
    let _turn = mcp.heavy.acquire().await.map_err(Failure::internal)?;
    let shrunk = tokio::task::spawn_blocking(move || shrink(&file.path)).await;
    let base64 = shrunk.map_err(Failure::internal)?.map_err(|cause| Failure::from(Error::from(cause)))?;
    Ok(ContentBlock::image(base64, "image/jpeg"))
}

fn shrink(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).context("cannot read a stored picture")?;
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED);
    reader.limits(limits);
    let mut pixels = on_white(reader.decode().context("a stored picture does not decode")?);
    for edge in EDGES {
        if pixels.width().max(pixels.height()) > edge {
            pixels = DynamicImage::from(pixels).thumbnail(edge, edge).into_rgb8();
        }
        for quality in QUALITIES {
            let mut out = Vec::new();
            JpegEncoder::new_with_quality(&mut out, quality).encode_image(&pixels)?;
            if out.len().div_ceil(3) * 4 <= MOST {
                return Ok(BASE64_STANDARD.encode(out));
            }
        }
    }
    anyhow::bail!("even {} pixels are over {MOST} characters", EDGES[EDGES.len() - 1])
}

/// JPEG knows no transparency; black behind a logo would hide it.
fn on_white(pixels: DynamicImage) -> RgbImage {
    if !pixels.color().has_alpha() {
        return pixels.into_rgb8();
    }
    let mut rgba = pixels.into_rgba8();
    for pixel in rgba.pixels_mut() {
        let alpha = u16::from(pixel[3]);
        for channel in &mut pixel.0[..3] {
            *channel = ((u16::from(*channel) * alpha + 255 * (255 - alpha)) / 255) as u8;
        }
    }
    DynamicImage::from(rgba).into_rgb8()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise is the worst case of every compressor.
    fn noise(edge: u32) -> RgbImage {
        let mut state = 1_u32;
        RgbImage::from_fn(edge, edge, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
        })
    }

    #[test]
    fn even_noise_becomes_small_and_stays_a_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        for edge in [64, 1500] {
            let path = folder.path().join("noise.png");
            noise(edge).save(&path).expect("saved");
            let base64 = shrink(&path).expect("small");
            assert!(base64.len() <= MOST, "{}", base64.len());
            let back = image::load_from_memory(&BASE64_STANDARD.decode(base64).expect("base64")).expect("a picture");
            assert!(back.width() <= 1024 && back.width() == back.height());
        }
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = image::RgbaImage::from_pixel(2, 2, image::Rgba([10, 20, 30, 0]));
        assert_eq!(on_white(clear.into()).get_pixel(0, 0).0, [255, 255, 255]);
        let half = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 128]));
        assert_eq!(on_white(half.into()).get_pixel(0, 0).0, [127, 127, 127]);
    }
}
