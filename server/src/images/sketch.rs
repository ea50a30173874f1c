//! The built-in renderer `sketch`: a deterministic abstract picture from prompt and seed. It is no model and says so
//! everywhere; it is here so that a newcomer without a GPU sees the whole way from prompt to gallery.
//!
//! A few layers of soft colour fields, one layer a step, so that progress and previews are real.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::{ImageDraft, Seed};
use crate::secrets::sha256;

/// Edge of the grid the fields are computed on; the picture is scaled up from it smoothly.
const GRID: u32 = 256;
/// Largest edge of a preview, in pixels.
const PREVIEW: u32 = 256;

/// A picture in the making.
pub(super) struct Sketch {
    width: u32,
    height: u32,
    steps: u32,
    step: u32,
    noise: Noise,
    fields: Vec<[f32; 3]>,
    grid: (u32, u32),
}

impl Sketch {
    /// Begins the `n`th picture of a draft. The same prompt, seed and size give the same pixels.
    pub(super) fn begin(draft: &ImageDraft, seed: Seed, n: u32) -> Self {
        let text = format!("{}\0{}\0{seed}\0{n}", draft.prompt, draft.negative_prompt);
        let mut noise = Noise::new(&sha256(text.as_bytes()));
        let longest = draft.width.max(draft.height);
        let scaled = |edge: u32| (edge * GRID / longest).max(8);
        let grid = (scaled(draft.width), scaled(draft.height));
        let ground = palette(noise.next(), 0.16 + 0.1 * noise.next(), 0.5);
        Self {
            width: draft.width,
            height: draft.height,
            steps: draft.steps,
            step: 0,
            noise,
            fields: vec![ground; (grid.0 * grid.1) as usize],
            grid,
        }
    }

    /// Steps done and in all.
    pub(super) fn progress(&self) -> (u32, u32) {
        (self.step, self.steps)
    }

    /// Paints one layer; `false` when the picture is finished.
    pub(super) fn step(&mut self) -> bool {
        if self.step >= self.steps {
            return false;
        }
        self.step += 1;
        let (columns, rows) = (self.grid.0 as f32, self.grid.1 as f32);
        let colour = palette(self.noise.next(), 0.25 + 0.6 * self.noise.next(), 0.55 + 0.4 * self.noise.next());
        let (x0, y0) = (self.noise.next() * columns, self.noise.next() * rows);
        // Later layers are smaller: from fields to forms.
        let reach =
            columns.max(rows) * (0.12 + 0.5 * self.noise.next()) * (1.25 - 0.9 * self.step as f32 / self.steps as f32);
        let (turn, stretch) = (self.noise.next() * std::f32::consts::PI, 0.35 + 0.65 * self.noise.next());
        let (sin, cos) = turn.sin_cos();
        let hard = self.noise.next() > 0.6;
        for row in 0..self.grid.1 {
            for column in 0..self.grid.0 {
                let (dx, dy) = (column as f32 - x0, row as f32 - y0);
                let (across, along) = ((dx * cos + dy * sin) / stretch, dy * cos - dx * sin);
                let distance = (across * across + along * along).sqrt() / reach;
                let weight = if hard {
                    ((1.0 - distance) * 12.0).clamp(0.0, 1.0) * 0.8
                } else {
                    (-2.5 * distance * distance).exp() * 0.85
                };
                let cell = &mut self.fields[(row * self.grid.0 + column) as usize];
                for (channel, value) in cell.iter_mut().zip(colour) {
                    *channel += (value - *channel) * weight;
                }
            }
        }
        true
    }

    /// The picture as it is now, small, as JPEG.
    pub(super) fn preview(&self) -> anyhow::Result<Bytes> {
        let pixels = self.pixels(
            PREVIEW * self.width / self.width.max(self.height),
            PREVIEW * self.height / self.width.max(self.height),
        );
        encode(&pixels, ImageFormat::Jpeg)
    }

    /// The finished picture as PNG.
    pub(super) fn finish(&self) -> anyhow::Result<Bytes> {
        encode(&self.pixels(self.width, self.height), ImageFormat::Png)
    }

    fn pixels(&self, width: u32, height: u32) -> DynamicImage {
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let small = RgbImage::from_fn(self.grid.0, self.grid.1, |x, y| {
            image::Rgb(self.fields[(y * self.grid.0 + x) as usize].map(byte))
        });
        DynamicImage::ImageRgb8(small).resize_exact(width.max(1), height.max(1), image::imageops::FilterType::Triangle)
    }
}

fn encode(pixels: &DynamicImage, format: ImageFormat) -> anyhow::Result<Bytes> {
    let mut out = Cursor::new(Vec::new());
    pixels.write_to(&mut out, format)?;
    Ok(out.into_inner().into())
}

/// A colour from hue, lightness and strength, each 0 to 1.
fn palette(hue: f32, light: f32, strength: f32) -> [f32; 3] {
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|shift| light + strength * 0.35 * (std::f32::consts::TAU * (hue + shift)).cos())
}

/// SplitMix64: small, and the same on every machine.
struct Noise(u64);

impl Noise {
    fn new(from: &[u8; 32]) -> Self {
        Self(from.iter().take(8).fold(0, |state, byte| state << 8 | u64::from(*byte)))
    }

    /// The next number from 0 up to 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(prompt: &str, seed: u64) -> Bytes {
        let draft = ImageDraft { prompt: prompt.into(), width: 128, height: 64, steps: 6, ..ImageDraft::default() };
        let mut sketch = Sketch::begin(&draft, Seed(seed), 0);
        while sketch.step() {}
        assert_eq!(sketch.progress(), (6, 6));
        sketch.finish().expect("a PNG")
    }

    #[test]
    fn the_same_prompt_and_seed_give_the_same_bytes_and_others_give_others() {
        assert_eq!(draw("a fox", 7), draw("a fox", 7));
        assert_ne!(draw("a fox", 7), draw("a fox", 8));
        assert_ne!(draw("a fox", 7), draw("an ox", 7));
        let picture = image::load_from_memory(&draw("a fox", u64::MAX)).expect("decodes");
        assert_eq!((picture.width(), picture.height()), (128, 64));
    }
}
