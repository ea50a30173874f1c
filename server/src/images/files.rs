//! Picture files: verified, stored under their own hash, never overwritten.
//!
//! `DATA/pictures/ab/abcdef….png`. A file is written beside its place, synced, then renamed, so that a name that exists is
//! whole; the row that points to it is committed after. What a crash leaves behind is only an unnamed extra file.

use std::{
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::Picture;
use crate::{
    clock::{Clock, Timestamp},
    error::{Error, Failure, FailureKind},
    secrets::{hex, sha256},
};

/// Thumbnails fit into a square of this many pixels.
const THUMBNAIL: u32 = 320;
/// Quality of the thumbnails, of 100.
const QUALITY: f32 = 78.0;
/// Decoded size that a picture may need: 8192 × 8192 in 4 bytes.
const DECODED: u64 = 8192 * 8192 * 4;

/// The folder of pictures. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: PathBuf,
    clock: Clock,
}

/// A decoded picture with its own bytes.
pub(super) struct Decoded {
    bytes: Bytes,
    format: ImageFormat,
    pixels: DynamicImage,
}

/// Reads `bytes` as PNG, JPEG or WebP, whole. The message says what is wrong with them.
pub(super) fn decode(bytes: Bytes) -> Result<Decoded, Failure> {
    let format = image::guess_format(&bytes).ok().filter(|format| media_type(*format).is_some());
    let Some(format) = format else {
        let start: String =
            bytes.iter().take(16).map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect();
        return Err(Failure::invalid(format!(
            "these {} bytes are not a PNG, JPEG or WebP picture (they begin with \"{start}\")",
            bytes.len()
        )));
    };
    let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
    let mut limits = Limits::default();
    (limits.max_alloc, limits.max_image_width, limits.max_image_height) = (Some(DECODED), Some(16_384), Some(16_384));
    reader.limits(limits);
    let pixels =
        reader.decode().map_err(|cause| Failure::invalid(format!("the picture is broken or too large: {cause}")))?;
    Ok(Decoded { bytes, format, pixels })
}

impl Decoded {
    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.pixels.width(), self.pixels.height())
    }
}

impl Files {
    /// The folder `pictures` in `data`, made if missing. Left-over partial files of a crash are removed.
    pub(super) fn open(data: &Path, clock: Clock) -> anyhow::Result<Self> {
        let folder = data.join("pictures");
        let partial = folder.join("partial");
        std::fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
        for entry in std::fs::read_dir(&partial)?.flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        Ok(Self { folder, clock })
    }

    /// Stores a picture and its thumbnail. Storing the same bytes twice is the same as once. Blocks: decode, scale, sync.
    pub(super) fn store(&self, picture: &Decoded) -> Result<Picture, Error> {
        let (width, height) = picture.size();
        let thumbnail = picture.pixels.thumbnail(THUMBNAIL.min(width.max(1)), THUMBNAIL.min(height.max(1)));
        let small = thumbnail.to_rgba8();
        let small = webp::Encoder::from_rgba(&small, small.width(), small.height()).encode(QUALITY);
        Ok(Picture {
            sha256: self.put(&picture.bytes)?,
            thumbnail: self.put(&small)?,
            media_type: media_type(picture.format).unwrap_or("image/png").into(),
            width,
            height,
            bytes: i64::try_from(picture.bytes.len()).unwrap_or(i64::MAX),
        })
    }

    /// Stores only the bytes; gives their hash.
    pub(super) fn store_source(&self, picture: &Decoded) -> Result<String, Error> {
        self.put(&picture.bytes)
    }

    /// Where the file of this hash is, if it is there. The hash must have been checked.
    pub(super) fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(&sha256[..2]).join(sha256)
    }

    /// Removes the file of this hash; it is no fault if it is gone.
    pub(super) fn remove(&self, sha256: &str) {
        if let Err(error) = std::fs::remove_file(self.path(sha256))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(picture.sha256 = sha256, %error, "a picture's file cannot be removed");
        }
    }

    /// When this file was last stored; `None` if it is not there.
    pub(super) fn stored_at(&self, sha256: &str) -> Option<Timestamp> {
        let stored = std::fs::metadata(self.path(sha256)).and_then(|about| about.modified()).ok()?;
        Some(timestamp(stored))
    }

    /// The hashes of all files, with the time each was last stored. Blocks.
    pub(super) fn all(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(&self.folder).map_err(unreadable)? {
            let folder = folder.map_err(unreadable)?;
            // `partial` holds what is being written now.
            if folder.file_name().len() != 2 {
                continue;
            }
            for file in std::fs::read_dir(folder.path()).map_err(unreadable)? {
                let file = file.map_err(unreadable)?;
                let stored = file.metadata().and_then(|about| about.modified()).map_err(unreadable)?;
                found.push((file.file_name().to_string_lossy().into_owned(), timestamp(stored)));
            }
        }
        Ok(found)
    }

    fn put(&self, bytes: &[u8]) -> Result<String, Error> {
        let name = hex(&sha256(bytes));
        let target = self.path(&name);
        if let Ok(file) = std::fs::File::open(&target) {
            // Stored anew, so that the sweep does not take it for a left-over before its row is committed.
            self.stamp(&file).map_err(|error| disk_failure(&error))?;
            return Ok(name);
        }
        let partial = self.folder.join("partial").join(hex(&crate::secrets::random::<8>()));
        let written = (|| {
            std::fs::create_dir_all(target.parent().unwrap_or(&self.folder))?;
            let mut file = std::fs::File::create_new(&partial)?;
            file.write_all(bytes)?;
            self.stamp(&file)?;
            file.sync_all()?;
            std::fs::rename(&partial, &target)?;
            // The rename itself must reach the disk before a row points to it.
            std::fs::File::open(target.parent().unwrap_or(&self.folder))?.sync_all()
        })();
        written.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            disk_failure(&error)
        })?;
        Ok(name)
    }

    /// Gives a file the hub's own time.
    fn stamp(&self, file: &std::fs::File) -> std::io::Result<()> {
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or_default();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis))
    }
}

fn timestamp(time: std::time::SystemTime) -> Timestamp {
    let since = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(since).unwrap_or(i64::MAX))
}

fn unreadable(error: std::io::Error) -> Error {
    anyhow::anyhow!("cannot read the folder of pictures: {error}").into()
}

/// Tells a full disk apart from other faults: the operator can mend it.
fn disk_failure(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge => Failure::new(
            FailureKind::Outside,
            "the hub's disk is full, so the picture could not be stored; free some space in the data folder, then retry",
        )
        .into(),
        _ => anyhow::anyhow!("cannot store a picture: {error}").into(),
    }
}

/// The fixed type that a file of this format is served with; `None` for formats not taken.
fn media_type(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Png => Some("image/png"),
        ImageFormat::Jpeg => Some("image/jpeg"),
        ImageFormat::WebP => Some("image/webp"),
        _ => None,
    }
}

/// The type of a stored file by its own first bytes; `None` if it is not there. Blocks.
pub(super) fn media_type_of(path: &Path) -> Option<&'static str> {
    let mut start = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start)).ok()?;
    sniff(&start[..read])
}

fn sniff(start: &[u8]) -> Option<&'static str> {
    image::guess_format(start).ok().and_then(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Bytes {
        let mut out = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height).write_to(&mut out, ImageFormat::Png).expect("a PNG");
        out.into_inner().into()
    }

    #[test]
    fn a_picture_is_stored_once_under_its_hash_with_a_webp_thumbnail() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = Files::open(dir.path(), Clock::default()).expect("opens");
        let first = files.store(&decode(png(640, 480)).expect("decodes")).expect("stores");
        let second = files.store(&decode(png(640, 480)).expect("decodes")).expect("stores");
        assert_eq!(first, second);
        assert_eq!((first.width, first.height, first.media_type.as_str()), (640, 480, "image/png"));
        let thumbnail = std::fs::read(files.path(&first.thumbnail)).expect("the thumbnail");
        assert_eq!(sniff(&thumbnail), Some("image/webp"));
        assert_eq!(hex(&sha256(&thumbnail)), first.thumbnail);
        assert_eq!(std::fs::read_dir(dir.path().join("pictures/partial")).expect("the folder").count(), 0);
    }

    #[test]
    fn broken_pictures_are_refused_with_the_reason() {
        let whole = png(64, 64);
        let mut huge = whole.to_vec();
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]); // the header claims 65536 × 65536
        let cases = [
            (Bytes::from_static(b"<html>502 Bad Gateway</html>"), "not a PNG"),
            (Bytes::new(), "not a PNG"),
            (whole.slice(..whole.len() / 2), "broken"),
            (whole.slice(..10), "broken"),
            (Bytes::from(huge), "broken or too large"),
            (Bytes::from_static(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"), "not a PNG"),
        ];
        for (bytes, expected) in cases {
            let said = decode(bytes).err().map(|failure| failure.message).expect(expected);
            assert!(said.contains(expected), "expected \"{expected}\", got \"{said}\"");
        }
    }
}
