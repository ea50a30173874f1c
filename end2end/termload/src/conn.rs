//! One connection, whatever its server's protocol: terminal bytes come out, typed bytes go in.

use std::{io, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use clap::{Args, ValueEnum};
use futures_util::{SinkExt as _, StreamExt as _};
use pty_process::{Command, Pty, Size};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, lookup_host},
    process::Child,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

/// Which words a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Proto {
    /// ttyd.
    Ttyd,
    /// Frames are terminal bytes, both ways.
    Raw,
    /// As the other options say.
    Generic,
    /// No server: a client of the tmux at `--socket`, on a PTY of ours.
    Tmux,
}

/// Where the terminal is, and how to talk to its server.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// ws://127.0.0.1:PORT/PATH; with tmux the name of a session.
    #[arg(long)]
    url: String,
    /// The socket of tmux.
    #[arg(long, required_if_eq("proto", "tmux"))]
    socket: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "raw")]
    proto: Proto,
    /// The size that ttyd and tmux are told.
    #[arg(long, default_value_t = 160)]
    cols: u16,
    #[arg(long, default_value_t = 48)]
    rows: u16,
    /// A header `Authorization: Bearer`.
    #[arg(long)]
    bearer: Option<String>,
    /// A header `Cookie`.
    #[arg(long)]
    cookie: Option<String>,
    /// A header `Origin`.
    #[arg(long)]
    origin: Option<String>,
    /// A header `Sec-WebSocket-Protocol`.
    #[arg(long)]
    subproto: Option<String>,
    /// Generic: only frames that begin with this character are terminal bytes.
    #[arg(long)]
    out_first: Option<char>,
    /// Generic: so many bytes of such a frame come before them.
    #[arg(long, default_value_t = 0)]
    out_skip: usize,
    /// Generic: what comes before typed bytes.
    #[arg(long, default_value = "")]
    in_prefix: String,
}

impl Target {
    /// The same server, at another address.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.into(), ..self.clone() }
    }
}

/// What carries the bytes.
enum Way {
    Socket(Box<WebSocketStream<TcpStream>>),
    Pty {
        pty: Pty,
        /// Ends with it.
        _client: Child,
    },
}

/// One viewer.
pub(crate) struct Conn {
    way: Way,
    target: Target,
    /// Messages that came.
    pub(crate) messages: u64,
}

impl Conn {
    /// Opens it, with a receive buffer of the kernel of so many bytes, if not the usual one.
    pub(crate) async fn open(target: &Target, buffer: Option<u32>) -> anyhow::Result<Self> {
        let way = if target.proto == Proto::Tmux { attach(target)? } else { handshake(target, buffer).await? };
        Ok(Self { way, target: target.clone(), messages: 0 })
    }

    /// Types.
    pub(crate) async fn input(&mut self, typed: &[u8]) -> anyhow::Result<()> {
        let prefix = match self.target.proto {
            Proto::Ttyd => "0",
            Proto::Raw | Proto::Tmux => "",
            Proto::Generic => &self.target.in_prefix,
        };
        match &mut self.way {
            Way::Socket(socket) => socket.send(Message::binary([prefix.as_bytes(), typed].concat())).await?,
            Way::Pty { pty, .. } => pty.write_all(typed).await?,
        }
        Ok(())
    }

    /// The next terminal bytes; `None` when the server has closed.
    pub(crate) async fn recv(&mut self) -> anyhow::Result<Option<Bytes>> {
        let (first, skip) = match self.target.proto {
            Proto::Ttyd => (Some('0'), 1),
            Proto::Raw | Proto::Tmux => (None, 0),
            Proto::Generic => (self.target.out_first, self.target.out_skip),
        };
        loop {
            let socket = match &mut self.way {
                Way::Socket(socket) => socket,
                Way::Pty { pty, .. } => {
                    let mut bytes = BytesMut::with_capacity(32 << 10);
                    // An error means that the client has ended.
                    let more = pty.read_buf(&mut bytes).await.is_ok_and(|length| length > 0);
                    return Ok(more.then(|| bytes.freeze()));
                }
            };
            let frame = match socket.next().await {
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed) | Ok(Message::Close(_))) => {
                    return Ok(None);
                }
                Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(Message::Binary(frame))) => frame,
                Some(Ok(Message::Text(frame))) => frame.into(),
                Some(Ok(_)) => continue,
            };
            self.messages += 1;
            if first.is_none_or(|first| frame.first().copied().map(char::from) == Some(first)) {
                return Ok(Some(frame.slice(skip.min(frame.len())..)));
            }
        }
    }

    /// Reads until nothing has come for `quiet`, or `most` is over.
    pub(crate) async fn settle(&mut self, quiet: Duration, most: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < most {
            match timeout(quiet, self.recv()).await {
                Err(_) => break,
                Ok(frame) => frame?.context("the server closed at the beginning")?,
            };
        }
        Ok(())
    }
}

async fn handshake(target: &Target, buffer: Option<u32>) -> anyhow::Result<Way> {
    let stream = tcp(&target.url, buffer).await?;
    let mut request = target.url.as_str().into_client_request()?;
    let words = target.subproto.as_deref().or((target.proto == Proto::Ttyd).then_some("tty"));
    let bearer = target.bearer.as_ref().map(|token| format!("Bearer {token}"));
    for (name, value) in [
        ("sec-websocket-protocol", words),
        ("origin", target.origin.as_deref()),
        ("cookie", target.cookie.as_deref()),
        ("authorization", bearer.as_deref()),
    ] {
        if let Some(value) = value {
            request.headers_mut().insert(name, value.parse()?);
        }
    }
    // A thousand of these are in one process.
    let config = WebSocketConfig::default().read_buffer_size(16 << 10).max_message_size(None).max_frame_size(None);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    if target.proto == Proto::Ttyd {
        let hello = format!(r#"{{"AuthToken":"","columns":{},"rows":{}}}"#, target.cols, target.rows);
        socket.send(Message::binary(hello.into_bytes())).await?;
    }
    Ok(Way::Socket(Box::new(socket)))
}

/// A client of tmux, as anybody's at a terminal.
fn attach(target: &Target) -> anyhow::Result<Way> {
    let socket = target.socket.as_ref().context("--socket")?;
    let (pty, pts) = pty_process::open()?;
    pty.resize(Size::new(target.rows, target.cols))?;
    let tmux = Command::new("tmux").env_remove("TMUX").env("TERM", "xterm-256color").arg("-S").arg(socket);
    let tmux = tmux.args(["attach-session", "-f", "ignore-size", "-t"]).arg(format!("={}", target.url));
    let client = tmux.kill_on_drop(true).spawn(pts)?;
    Ok(Way::Pty { pty, _client: client })
}

/// A TCP connection to this machine; to no other.
async fn tcp(url: &str, buffer: Option<u32>) -> anyhow::Result<TcpStream> {
    let rest = url.strip_prefix("ws://").context("only ws:// (this machine, no TLS)")?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let address = lookup_host(host).await?.next().context("no address")?;
    if !address.ip().is_loopback() {
        bail!("{address} is not this machine; only that is loaded");
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Looks for a text that may come in pieces.
pub(crate) struct Finder {
    text: Vec<u8>,
    tail: Vec<u8>,
}

impl Finder {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.into(), tail: Vec::new() }
    }

    /// Whether it has come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.tail.extend_from_slice(bytes);
        let found = memchr::memmem::find(&self.tail, &self.text).is_some();
        let keep = self.tail.len().min(self.text.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        found
    }
}

pub(crate) fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

#[cfg(test)]
mod tests {
    use super::Finder;

    #[test]
    fn a_text_in_pieces_is_found_and_a_text_that_is_not_there_is_not() {
        let mut finder = Finder::new("THE_END");
        assert!(!finder.feed(b"echo THE''_END THE") && !finder.feed(b"_E") && finder.feed(b"ND"));
        assert!(!finder.feed(b"ND THE_E") && !finder.feed(b"N") && finder.feed(b"D"));
    }
}
