//! The smallest HTTP client that measures: one request on a connection of its own, and every byte of the answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What came back.
pub(super) struct Answer {
    /// The content, decompressed.
    pub(super) body: Vec<u8>,
    /// The content type.
    pub(super) media_type: String,
    /// Bytes of the content as they crossed the wire.
    pub(super) weight: usize,
    /// From the first byte sent to the last one received.
    pub(super) took: Duration,
}

/// `GET path` from the hub at `port`; anything but 200 is an error.
pub(super) fn get(port: u16, path: &str, token: Option<&str>, compressed: bool) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    let mut request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: text/html,*/*\r\nConnection: close\r\n");
    if let Some(token) = token {
        request += &format!("Authorization: Bearer {token}\r\n");
    }
    if compressed {
        request += "Accept-Encoding: br\r\n";
    }
    request += "\r\n";
    let began = Instant::now();
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let took = began.elapsed();
    let (head, content) = split(&bytes).with_context(|| format!("{path}: no whole answer"))?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let content = if field("transfer-encoding:") == Some("chunked") { joined(content)? } else { content.to_vec() };
    let weight = content.len();
    let body = if field("content-encoding:") == Some("br") {
        let mut plain = Vec::new();
        brotli::Decompressor::new(content.as_slice(), 4096).read_to_end(&mut plain)?;
        plain
    } else {
        content
    };
    Ok(Answer { body, media_type: field("content-type:").unwrap_or_default().to_owned(), weight, took })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((&bytes[..end], &bytes[end + 4..]))
}

/// The pieces of a chunked body as one.
fn joined(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("a piece without its length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let start = end + 2;
        body.extend_from_slice(rest.get(start..start + length).context("a piece was cut off")?);
        rest = rest.get(start + length + 2..).context("a piece was cut off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_and_a_cut_off_one_is_an_error() -> Result<()> {
        assert_eq!(joined(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n")?, b"abc0123456789");
        assert!(joined(b"5\r\nabc").is_err());
        assert!(joined(b"3\r\nabc\r\n").is_err());
        Ok(())
    }
}
