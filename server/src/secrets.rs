//! Secrets: random bytes, hashes of bearer secrets, and encryption at rest (XChaCha20-Poly1305).
//!
//! The key is a file of 32 bytes, mode 0600, beside the database, or the setting `secret_key`. Whoever has only the
//! database cannot read what is sealed in it.

use std::{fmt, path::Path};

use anyhow::{Context, bail};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use sha2::{Digest, Sha256};

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness; nothing safe can be done then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "a program without randomness must not go on")]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seals and opens values with the hub's own key.
#[derive(Clone)]
pub struct Secrets {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// With a key given as 64 hexadecimal characters.
    pub fn from_hex(key: &str) -> anyhow::Result<Self> {
        let key = key.trim();
        if key.len() != 64 || !key.bytes().all(|c| c.is_ascii_hexdigit()) {
            bail!("the secret key must be 64 hexadecimal characters; make one with `openssl rand -hex 32`");
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(key.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
        }
        Ok(Self { cipher: XChaCha20Poly1305::new(&bytes.into()) })
    }

    /// With the key in `file`, which is made with mode 0600 if it is not there.
    pub fn from_file(file: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(key) => Self::from_hex(&key)
                .with_context(|| format!("the key file {} is damaged; restore it from a backup", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = hex(&random::<32>());
                write_private(file, &key).with_context(|| format!("cannot write the key file {}", file.display()))?;
                Self::from_hex(&key)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read the key file {}", file.display())),
        }
    }

    /// Encrypts `plain`. `purpose` is bound to it: a sealed value moved to another row does not open.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce = random::<24>();
        let payload = Payload { msg: plain, aad: purpose.as_bytes() };
        let sealed =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| anyhow::anyhow!("cannot encrypt"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`Secrets::seal`] made for the same `purpose`. Fails with another key.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<24>().context("a sealed value is cut short")?;
        let payload = Payload { msg: body, aad: purpose.as_bytes() };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| anyhow::anyhow!("a stored secret does not open with this key; was the key file replaced?"))
    }
}

#[cfg(unix)]
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt};
    let mut out = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_purpose() -> anyhow::Result<()> {
        let (mine, other) = (Secrets::from_hex(&"ab".repeat(32))?, Secrets::from_hex(&"cd".repeat(32))?);
        let sealed = mine.seal("service/1", b"hunter2")?;
        assert_eq!(mine.open("service/1", &sealed)?, b"hunter2");
        assert!(mine.open("service/2", &sealed).is_err());
        assert!(other.open("service/1", &sealed).is_err());
        assert!(mine.open("service/1", &sealed[..20]).is_err());
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        Ok(())
    }
}
