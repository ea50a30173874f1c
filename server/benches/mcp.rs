//! What the MCP door costs beside a bare echo of the same SDK, on the same machine in the same run: both are served by a
//! process of their own, in turns, and the processor time is read from the kernel.
//!
//! `cargo xtask bench` runs it against the program that ships, which `CENTRAL_MCP_BIN` names, and judges what it prints: a line
//! of JSON for each figure.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures time and prints what it found")]

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, routing::any_service};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Connections at once, rounds of each server, and how long a round lasts.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
/// The first message of a handshake revision.
const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
/// Tokens that share the idle sockets.
const TOKENS: usize = 16;
/// Idle sockets that are held for the memory budget.
const IDLE: usize = 1_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve-echo") => serve_echo().await,
        _ => drive().await,
    }
}

struct Echo;

impl ServerHandler for Echo {
    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text("hello world")]).into())
    }
}

async fn serve_echo() -> anyhow::Result<()> {
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let sessions = std::sync::Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Echo), sessions, config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, Router::new().route("/mcp", any_service(service))).await?)
}

/// One server in a process of its own.
struct Server {
    process: Child,
    /// Kept open: it may say more.
    _output: Lines<BufReader<ChildStdout>>,
    port: u16,
    /// Several: one alone may not hold a thousand connections.
    tokens: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// The bare echo: this program again.
    fn echo() -> anyhow::Result<Self> {
        let process = Command::new(std::env::current_exe()?).arg("serve-echo").stdout(Stdio::piped()).spawn()?;
        Self::of(process, vec!["none".into()])
    }

    /// The program that ships, on a fresh folder, with its log as it is by default.
    fn hub(program: &str, folder: &Path) -> anyhow::Result<Self> {
        let process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder)
            // The limit is not what is measured.
            .env("CENTRAL_MCP_CALLS_PER_MINUTE", u32::MAX.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self::of(process, Vec::new())?;
        for n in 0..TOKENS {
            let name = format!("bench-{n}");
            let said = Command::new(program)
                .args(["token", "create", "--role", "agent", "--name", &name, "--agent", &name, "--outside", "--data"])
                .arg(folder)
                .output()?;
            anyhow::ensure!(said.status.success(), "no token: {}", String::from_utf8_lossy(&said.stderr));
            server.tokens.push(String::from_utf8(said.stdout)?.trim().to_owned());
        }
        Ok(server)
    }

    /// Waits until the process has printed an address with its port.
    fn of(mut process: Child, tokens: Vec<String>) -> anyhow::Result<Self> {
        let mut lines = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        while let Some(line) = lines.next() {
            let port = line?.split_once("http://").and_then(|(_, rest)| {
                let digits = rest.split_once(':')?.1;
                digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            });
            if let Some(port) = port {
                return Ok(Self { process, port, tokens, _output: lines });
            }
        }
        anyhow::bail!("it ended before it said where it listens")
    }

    /// Processor time used so far, in microseconds; the kernel counts in hundredths of a second.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("its stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        (fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime")) * 10_000.0
    }

    /// Resident memory in KiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    fn request(&self, headers: &str, body: &str) -> String {
        format!(
            "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nauthorization: Bearer {}\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.port,
            self.tokens[0],
            body.len()
        )
    }

    /// A tool call of 2026-07-28.
    fn call(&self, tool: &str) -> String {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        let headers = format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n");
        self.request(&headers, &body)
    }
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request and reads the whole answer.
    async fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                anyhow::bail!("the server closed the connection");
            }
            let text = String::from_utf8_lossy(&self.buffer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .and_then(|length| length.parse::<usize>().ok());
            let whole = match length {
                Some(length) => body.len() >= length,
                None => head.contains(" 202 ") || body.ends_with("0\r\n\r\n"),
            };
            if whole {
                return Ok(text.into_owned());
            }
        }
    }
}

/// What one round gave.
struct Round {
    calls: usize,
    processor: f64,
    millis: Vec<f64>,
}

async fn round(server: &Server, tool: &str) -> anyhow::Result<Round> {
    let before = server.processor();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (port, request) = (server.port, server.call(tool));
        tasks.spawn(async move {
            let mut connection = Connection::open(port).await?;
            let (start, mut millis) = (Instant::now(), Vec::new());
            while start.elapsed() < ROUND {
                let one = Instant::now();
                let answer = connection.ask(&request).await?;
                anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                millis.push(one.elapsed().as_secs_f64() * 1e3);
            }
            Ok(millis)
        });
    }
    let mut millis = Vec::new();
    while let Some(done) = tasks.join_next().await {
        millis.extend(done??);
    }
    Ok(Round { calls: millis.len(), processor: (server.processor() - before) / millis.len() as f64, millis })
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}

async fn drive() -> anyhow::Result<()> {
    let program = std::env::var("CENTRAL_MCP_BIN").context("CENTRAL_MCP_BIN names the program to measure")?;
    let folder = tempfile::tempdir()?;
    let (hub, echo) = (Server::hub(&program, folder.path())?, Server::echo()?);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    round(&hub, "whoami").await?;
    round(&echo, "echo").await?;
    for n in 0..ROUNDS {
        // In turns, and each begins as often as the other.
        if n % 2 == 0 {
            ours.push(round(&hub, "whoami").await?);
            bare.push(round(&echo, "echo").await?);
        } else {
            bare.push(round(&echo, "echo").await?);
            ours.push(round(&hub, "whoami").await?);
        }
    }
    let processor = quantile(&mut ours.iter().map(|round| round.processor).collect::<Vec<_>>(), 0.5);
    let theirs = quantile(&mut bare.iter().map(|round| round.processor).collect::<Vec<_>>(), 0.5);
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours.calls as f64 / bare.calls as f64);
    let ratio = quantile(&mut ratios.collect::<Vec<_>>(), 0.5);
    let p99 = quantile(&mut ours.iter().flat_map(|round| round.millis.clone()).collect::<Vec<_>>(), 0.99);
    let sse = streamed(&hub).await?;
    let idle = idle(&hub).await?;
    // Without a budget it is there to compare with.
    let say = |what: &str, measured: f64, budget: Option<f64>, unit: &str| {
        println!("{}", serde_json::json!({ "what": what, "measured": measured, "budget": budget, "unit": unit }));
    };
    say("MCP whoami: processor time a call", processor, Some(150.0), "µs");
    say("MCP bare echo of the same SDK: processor time a call", theirs, None, "µs");
    say("MCP whoami: calls a second, the bare echo against it", 1.0 / ratio, Some(2.5), "×");
    say("MCP whoami: p99 at 16 connections", p99, Some(5.0), "ms");
    say("MCP whoami as an event stream: p50", sse, Some(5.0), "ms");
    say("MCP an idle socket of 1,000: memory", idle, Some(100.0), "KiB");
    Ok(())
}

/// The median of calls in a session, whose answers are event streams.
async fn streamed(server: &Server) -> anyhow::Result<f64> {
    let mut connection = Connection::open(server.port).await?;
    let answer = connection.ask(&server.request("", HELLO)).await?;
    let session = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").to_owned();
    let headers = format!("mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
    let mut millis = Vec::new();
    for n in 2..500 {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"whoami","arguments":{{}}}}}}"#
        );
        let one = Instant::now();
        let answer = connection.ask(&server.request(&headers, &body)).await?;
        anyhow::ensure!(answer.contains("text/event-stream") && answer.contains("structuredContent"), "{answer}");
        millis.push(one.elapsed().as_secs_f64() * 1e3);
    }
    Ok(quantile(&mut millis, 0.5))
}

/// Memory of one idle socket.
async fn idle(server: &Server) -> anyhow::Result<f64> {
    let before = server.memory();
    let upgrade = |token: &str| {
        format!(
            "GET /mcp HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: mcp\r\n\r\n",
            server.port, token
        )
    };
    let mut held = Vec::new();
    for n in 0..IDLE {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
        stream.write_all(upgrade(&server.tokens[n % server.tokens.len()]).as_bytes()).await?;
        let mut head = [0; 512];
        let read = stream.read(&mut head).await?;
        anyhow::ensure!(head[..read].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head[..read]));
        stream.write_all(&frame(HELLO)?).await?;
        let read = stream.read(&mut head).await?;
        anyhow::ensure!(read > 0, "no answer to initialize");
        stream.write_all(&frame(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?).await?;
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((server.memory() - before) / IDLE as f64)
}

/// A text frame from a client. A mask of zeros is a mask.
fn frame(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len())?.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    Ok(frame)
}
