//! The file of a recording: zstd frames one after another, each whole and each of whole lines, so that what is there can be
//! read at any moment and after any crash. All of it blocks.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read as _, Take, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, Stream},
};
use zstd::{bulk::Compressor, stream::read::Decoder, zstd_safe::find_frame_compressed_size};

use crate::clock::Timestamp;

/// How hard to compress. Higher levels cost more time than they save space on so little text at once.
const LEVEL: i32 = 3;
/// What is read and decompressed at once.
const PIECE: usize = 64 * 1024;

/// A recording's file while it is written.
pub(super) struct Writing {
    file: File,
    /// How much of it is whole frames.
    bytes: u64,
}

impl Writing {
    /// Makes the file, which must not exist, with mode 0600.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        Ok(Self { file, bytes: 0 })
    }

    /// Writes to a file that is there.
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        Self { file, bytes: 0 }
    }

    /// Appends `text` as one frame. Where that fails, the file is as before.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        let frame = compressor.compress(text)?;
        if let Err(error) = self.file.write_all(&frame) {
            // A full disk may have taken part of it. Where even this fails, readers stop before it all the same.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// How large it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Brings it to the disk for good.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Cuts the file after its last whole frame: after a loss of power there may be part of one. Gives what is left of it and
/// when it was last written; `None` if there is no file, or nothing whole in it.
pub(super) fn mend(path: &Path) -> io::Result<Option<(u64, Timestamp)>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    let written = about.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let whole = whole_frames(&file)?;
    if whole < about.len() {
        file.set_len(whole)?;
    }
    Ok(Some((whole, Timestamp::from_millis(i64::try_from(written).unwrap_or(i64::MAX)))).filter(|_| whole > 0))
}

/// How many bytes at the beginning are whole frames. Walks over their headers; nothing is decompressed.
fn whole_frames(mut file: &File) -> io::Result<u64> {
    /// No frame of ours is larger, by far.
    const LARGEST: usize = 8 * 1024 * 1024;
    let (mut whole, mut window) = (0_u64, Vec::new());
    loop {
        let mut used = 0;
        while let Ok(frame) = find_frame_compressed_size(&window[used..]) {
            used += frame;
        }
        whole += used as u64;
        window.drain(..used);
        let more = io::Read::by_ref(&mut file).take(1024 * 1024).read_to_end(&mut window)?;
        if more == 0 || window.len() > LARGEST {
            return Ok(whole);
        }
    }
}

/// A recording's text as it is read.
pub(super) struct Reading(Decoder<'static, BufReader<Take<File>>>);

impl Reading {
    /// Opens the file; at most its first `bytes` bytes are read, which must be whole frames.
    pub(super) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(Self(Decoder::new(File::open(path)?.take(bytes))?))
    }

    /// The next piece; empty at the end.
    fn piece(&mut self) -> io::Result<Bytes> {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        while filled < PIECE {
            match self.0.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                // Cut since it was mended, by whoever: what was read so far is still good.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        piece.truncate(filled);
        Ok(piece.into())
    }

    /// Its pieces, each read only when asked for: a slow reader holds no thread and little memory.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(Some(self), |reading| async move {
            let mut reading = reading?;
            let read = tokio::task::spawn_blocking(move || (reading.piece(), reading)).await;
            match read {
                Ok((Ok(piece), _)) if piece.is_empty() => None,
                Ok((Ok(piece), reading)) => Some((Ok(piece), Some(reading))),
                Ok((Err(error), _)) => Some((Err(error), None)),
                Err(broken) => Some((Err(io::Error::other(broken)), None)),
            }
        })
        // The compression of answers asks once more after the end, which `unfold` takes for a fault of the program.
        .fuse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        let mut reading = Reading::open(path, u64::MAX).expect("opens");
        let mut all = Vec::new();
        while let Some(piece) = Some(reading.piece().expect("reads")).filter(|piece| !piece.is_empty()) {
            all.extend_from_slice(&piece);
        }
        String::from_utf8(all).expect("text")
    }

    #[test]
    fn a_file_that_was_cut_keeps_its_whole_frames() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.cast.zst");
        let mut file = Writing::create(&path).expect("makes");
        assert!(Writing::create(&path).is_err(), "never over another");
        let mut ends = vec![0];
        for text in ["one\n", "two\n", "three\n"] {
            file.append(text.as_bytes()).expect("writes");
            ends.push(file.bytes());
        }
        file.append(b"").expect("nothing to write");
        let all = std::fs::read(&path).expect("reads");
        assert_eq!(all.len() as u64, ends[3]);
        for cut in 0..=all.len() {
            std::fs::write(&path, &all[..cut]).expect("writes");
            let frames = ends.iter().skip(1).filter(|end| **end <= cut as u64).count();
            let mended = mend(&path).expect("mends").map(|(bytes, _)| bytes);
            assert_eq!(mended, Some(ends[frames]).filter(|end| *end > 0), "{cut}");
            assert_eq!(std::fs::metadata(&path).expect("there").len(), ends[frames]);
            assert_eq!(text(&path), ["", "one\n", "one\ntwo\n", "one\ntwo\nthree\n"][frames]);
        }
        // Blocks that were never written, as some file systems leave them.
        std::fs::write(&path, [all.as_slice(), &[0; 4_096]].concat()).expect("writes");
        assert_eq!(mend(&path).expect("mends").map(|(bytes, _)| bytes), Some(ends[3]));
        assert_eq!(mend(&folder.path().join("none")).expect("no fault"), None);
    }

    #[test]
    fn frames_larger_than_the_window_are_walked_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.cast.zst");
        let mut file = Writing::create(&path).expect("makes");
        // Does not compress.
        let noise: Vec<u8> = (0..1_500_000_u32)
            .flat_map(|n| crate::secrets::sha256(&(n / 32).to_le_bytes())[(n % 32) as usize..][..1].to_vec())
            .collect();
        file.append(&noise).expect("writes");
        file.append(b"end\n").expect("writes");
        assert!(file.bytes() > 1_400_000);
        assert_eq!(mend(&path).expect("mends").map(|(bytes, _)| bytes), Some(file.bytes()));
    }
}
