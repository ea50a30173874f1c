//! Terminals and those who watch them, measured by the load client in `end2end/termload`; beside ttyd where it is installed.
//!
//! Every measurement has a hub and a tmux server of its own, so that none inherits what another left in memory.

use std::fmt::Display;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::hub::{self, Folder, Hub};
use super::{Table, paths};
use crate::cmd::{cargo, command, read, run, say, which};

mod ttyd;

use ttyd::Ttyd;

/// What ttyd took where the reference was measured; stands in where ttyd is not installed.
const TTYD_CAT: f64 = 3.60;
const TTYD_CPU: f64 = 0.77;
/// The 100 MB.
const LINES: usize = 1_250_000;
const ROUNDS: usize = 3;
const SHELL: [&str; 2] = ["bash", "--norc"];
/// Comes out of `echo THE''_END`, and does not stand in it.
const END: &str = "THE_END";
/// The words on a hub's socket.
const WORDS: [&str; 8] = ["--proto", "generic", "--out-first", "0", "--out-skip", "1", "--in-prefix", "0"];

/// Measures all of it.
pub(super) fn terminals(program: &Path, table: &mut Table) -> Result<()> {
    let termload = build()?;
    let bench = Bench { program, termload: &termload };
    let ttyd = which("ttyd").is_some();
    if !ttyd {
        println!("    ttyd is not installed: its figures are those of the reference, measured on another day");
    }
    bench.cat(ttyd, table)?;
    bench.echo(table)?;
    bench.fifty(ttyd, table)?;
    bench.thousand(table)?;
    bench.sleeper(table)?;
    bench.unwatched(table)
}

fn build() -> Result<PathBuf> {
    say("Terminals: building the load client");
    let target = paths::target().join("termload");
    let home = paths::root().join("end2end/termload");
    run(cargo().current_dir(home).args(["build", "--quiet", "--release", "--locked", "--target-dir"]).arg(&target))?;
    Ok(target.join("release/termload"))
}

/// What is measured, and what measures it.
#[derive(Clone, Copy)]
struct Bench<'a> {
    program: &'a Path,
    termload: &'a Path,
}

/// A hub and a token for it.
struct Scene<'a> {
    bench: Bench<'a>,
    hub: Hub,
    token: String,
    folder: Folder,
}

impl<'a> Scene<'a> {
    fn new(bench: Bench<'a>, name: &str) -> Result<Self> {
        let folder = Folder::new(name)?;
        let hub = Hub::start_alone(bench.program, &folder)?;
        let token = hub::token(bench.program, &folder)?;
        Ok(Self { bench, hub, token, folder })
    }

    /// Starts a session.
    fn session(&self, name: &str, argv: &[&str]) -> Result<()> {
        let mut start = hub::bare(self.bench.program);
        start.args(["terminal", "start", name, "--data"]).arg(self.folder.path()).arg("--").args(argv);
        read(&mut start).map(drop)
    }

    /// Ends one, so that it takes nothing from what is measured next.
    fn stop(&self, name: &str) -> Result<()> {
        read(hub::bare(self.bench.program).args(["terminal", "stop", name, "--data"]).arg(self.folder.path())).map(drop)
    }

    /// Starts a session that shows an agent at work until the file, which it returns, appears.
    fn agent(&self, name: &str) -> Result<PathBuf> {
        let curtain = self.folder.path().join(format!("{name}.end"));
        let argv = painter(self.bench.termload, &curtain);
        self.session(name, &argv.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(curtain)
    }

    fn url(&self, name: &str) -> String {
        format!("ws://127.0.0.1:{}/terminals/{name}/ws", self.hub.port)
    }

    /// Runs the load client on a session, watching hub and tmux.
    fn load(&self, mode: &str, session: &str, more: &[&dyn Display]) -> Result<Said> {
        let mut args: Vec<String> = vec!["--url".into(), self.url(session), "--bearer".into(), self.token.clone()];
        args.extend(WORDS.map(String::from));
        args.extend(more.iter().map(ToString::to_string));
        self.bench.load(mode, self.hub.pid(), &self.folder.tmux(), &args)
    }

    /// The same by a client of tmux itself, without the hub.
    fn bare(&self, mode: &str, session: &str, more: &[&dyn Display]) -> Result<Said> {
        let socket = self.folder.tmux();
        let mut args: Vec<String> = vec!["--url".into(), session.into(), "--socket".into()];
        args.extend([socket.display().to_string(), "--proto".into(), "tmux".into()]);
        args.extend(more.iter().map(ToString::to_string));
        self.bench.load(mode, self.hub.pid(), &socket, &args)
    }
}

/// The command that shows an agent at work.
fn painter(termload: &Path, curtain: &Path) -> [String; 6] {
    let text = |path: &Path| path.display().to_string();
    [text(termload), "paint".into(), "--curtain".into(), text(curtain), "--marker".into(), END.into()]
}

impl Bench<'_> {
    /// Runs the load client while it watches a server with all its children, and the tmux at `socket`.
    fn load(self, mode: &str, server: u32, socket: &Path, args: &[String]) -> Result<Said> {
        let tmux = read(hub::tmux(socket).args(["display-message", "-p", "#{pid}"]))?;
        let mut load = command(self.termload);
        load.args([mode, "--tree", &format!("server={server}"), "--alone", &format!("tmux={}", tmux.trim())])
            .args(args);
        let said = read(&mut load)?;
        println!("    {}", said.trim());
        Ok(Said(serde_json::from_str(&said).with_context(|| format!("the load client said: {said}"))?))
    }

    /// The end of a long flood, in turns with ttyd.
    fn cat(self, ttyd: bool, table: &mut Table) -> Result<()> {
        say("Terminals: 100 MB through tmux");
        let scene = Scene::new(self, "cat")?;
        scene.session("cat", &SHELL)?;
        let file = scene.folder.path().join("long.txt");
        let mut text = BufWriter::new(fs::File::create(&file)?);
        for line in 0..LINES {
            // 80 bytes with its end.
            writeln!(
                text,
                "{line:>9} the quick brown fox jumps over the lazy dog, and over the next line {}",
                line % 10
            )?;
        }
        text.flush()?;
        let half = END.split_at(3);
        let shown = format!("cat {}; echo {}''{}", file.display(), half.0, half.1);
        let other = if ttyd { Some(Ttyd::start(self, &scene.folder, &SHELL)?) } else { None };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let args: [&dyn Display; 4] = [&"--command", &shown, &"--marker", &END];
            let said = scene.load("throughput", "cat", &args)?;
            ours.push(said.done()?.number("secs")?);
            if let Some(ttyd) = &other {
                theirs.push(ttyd.load("throughput", &args)?.done()?.number("secs")?);
            }
        }
        let budget = if ttyd { middle(theirs)? } else { TTYD_CAT };
        table.add("terminal: end of a 100 MB cat, against ttyd", middle(ours)?, budget, "s");
        Ok(())
    }

    /// From a key to its echo, through the hub and in turns by tmux's own client, which is as fast as it can be.
    fn echo(self, table: &mut Table) -> Result<()> {
        say("Terminals: 300 keys, alone and while another session floods");
        for (when, flooded) in [("alone", false), ("while another session floods", true)] {
            let scene = Scene::new(self, "echo")?;
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                for (by_hub, times) in [(true, &mut ours), (false, &mut bare)] {
                    scene.session("keys", &SHELL)?;
                    scene.session("flood", &SHELL)?;
                    let url = if by_hub { scene.url("flood") } else { "flood".into() };
                    let more: &[&dyn Display] = &[&"--flood-url", &url, &"--flood", &"yes"];
                    let more = if flooded { more } else { &[] };
                    let said =
                        if by_hub { scene.load("echo", "keys", more) } else { scene.bare("echo", "keys", more) }?;
                    if said.number("lost")? > 0.0 {
                        bail!("{} keys had no echo", said.number("lost")?);
                    }
                    times.push((said.number("p50_ms")?, said.number("p99_ms")?));
                    scene.stop("keys")?;
                    scene.stop("flood")?;
                }
            }
            let (p50, p99): (Vec<_>, Vec<_>) = ours.into_iter().unzip();
            table.add(&format!("terminal: key to echo {when}, p50"), middle(p50)?, 0.6, "ms");
            table.add(&format!("terminal: key to echo {when}, p99"), middle(p99)?, 2.0, "ms");
            let (p50, p99): (Vec<_>, Vec<_>) = bare.into_iter().unzip();
            table.add(&format!("terminal: {when}, by tmux's own client, p50"), middle(p50)?, None, "ms");
            table.add(&format!("terminal: {when}, by tmux's own client, p99"), middle(p99)?, None, "ms");
        }
        Ok(())
    }

    /// Fifty viewers of one agent.
    fn fifty(self, ttyd: bool, table: &mut Table) -> Result<()> {
        say("Terminals: 50 viewers of an agent, 20 updates a second, 10 s");
        let scene = Scene::new(self, "fifty")?;
        let curtain = scene.agent("agent")?;
        // Idle is what it is after its start.
        std::thread::sleep(Duration::from_secs(3));
        let said =
            scene.load("viewers", "agent", &[&"-n", &50, &"--curtain", &curtain.display(), &"--marker", &END])?;
        let mut budget = TTYD_CPU;
        if ttyd {
            let folder = Folder::new("ttyd")?;
            let curtain = folder.path().join("end");
            let argv = painter(self.termload, &curtain);
            let ttyd = Ttyd::start(self, &folder, &argv.iter().map(String::as_str).collect::<Vec<_>>())?;
            let args: [&dyn Display; 6] = [&"-n", &50, &"--curtain", &curtain.display(), &"--marker", &END];
            budget = ttyd.load("viewers", &args)?.cpu()?;
        }
        let growth = said.growth("joined")? / 1e6;
        table.add("terminal: 50 viewers, memory over idle", growth, 15.0, "MB");
        table.add("terminal: 50 viewers, CPU with tmux in 10 s, half of ttyd's", said.cpu()?, budget / 2.0, "s");
        table.add("terminal: first picture for a joining viewer, p50", said.number("join_p50_ms")?, 1.0, "ms");
        said.all_saw(&scene, 50)
    }

    /// A thousand.
    fn thousand(self, table: &mut Table) -> Result<()> {
        say("Terminals: 1,000 viewers of an agent, 20 updates a second, 10 s");
        let scene = Scene::new(self, "thousand")?;
        let curtain = scene.agent("agent")?;
        std::thread::sleep(Duration::from_secs(3));
        let args: [&dyn Display; 8] =
            [&"-n", &1_000, &"--gap", &0.005, &"--curtain", &curtain.display(), &"--marker", &END];
        let said = scene.load("viewers", "agent", &args)?;
        let (joined, watched) = (said.growth("joined")?, said.growth("after")?);
        table.add("terminal: one of 1,000 viewers, memory", joined.max(watched) / 1024.0 / 1_000.0, 24.0, "KiB");
        table.add("terminal: 1,000 viewers, processor of the hub", said.number("server.cpu_percent")?, 100.0, "%");
        table.add("terminal: 1,000 viewers, until all see the end", said.number("last_saw_s")?, None, "s");
        said.all_saw(&scene, 1_000)
    }

    /// A viewer who never reads.
    fn sleeper(self, table: &mut Table) -> Result<()> {
        say("Terminals: a viewer who never reads for 15 s of flood");
        let scene = Scene::new(self, "sleeper")?;
        scene.session("flood", &SHELL)?;
        // Every letter of the screen, 200 times a second: far more than the kernel keeps for a socket.
        let curtain = scene.folder.path().join("end").display().to_string();
        let flood = format!("{} paint --full --rate 200 --curtain {curtain} --marker {END}", self.termload.display());
        let said = scene.load("slow", "flood", &[&"--flood", &flood])?;
        let growth = said.number("peak_growth_kib")? * 1024.0 / 1e6;
        table.add("terminal: a viewer who never reads, growth of hub and tmux", growth, 20.0, "MB");
        let old = said.number("sleeper_got_old_mb")?;
        table.add("terminal: what that viewer, who reads again, is sent of the past", old, None, "MB");
        let silent = said.number("reader_silent_s")?;
        table.add("terminal: seconds of 15 in which another viewer saw nothing", silent, 0.0, "s");
        Ok(())
    }

    /// Sessions at work, and nobody looks.
    fn unwatched(self, table: &mut Table) -> Result<()> {
        say("Terminals: 5 agents at work and nobody watches, 10 s");
        let scene = Scene::new(self, "unwatched")?;
        for name in ["a", "b", "c", "d", "e"] {
            scene.agent(name)?;
        }
        std::thread::sleep(Duration::from_secs(5));
        let said = self.load("rest", scene.hub.pid(), &scene.folder.tmux(), &["--secs".into(), "10".into()])?;
        table.add("terminal: 5 sessions unwatched, processor of the hub", said.number("server.cpu_percent")?, 0.5, "%");
        Ok(())
    }
}

/// What the load client said.
struct Said(Value);

impl Said {
    fn number(&self, name: &str) -> Result<f64> {
        self.0[name].as_f64().with_context(|| format!("the load client said nothing of {name}"))
    }

    /// Only if the end was seen.
    fn done(&self) -> Result<&Self> {
        if self.0["done"] != true {
            bail!("the end was not seen within {} s", self.number("secs")?);
        }
        Ok(self)
    }

    /// Seconds that server and tmux used.
    fn cpu(&self) -> Result<f64> {
        Ok(self.number("server.cpu_s")? + self.number("tmux.cpu_s")?)
    }

    /// Bytes that the server takes more than before.
    fn growth(&self, when: &str) -> Result<f64> {
        let rss = |when: &str| self.number(&format!("{when}.server.rss_kib"));
        Ok((rss(when)? - rss("before")?) * 1024.0)
    }

    /// Fails unless all viewers saw the end, and those with an emulator show what tmux says is on the screen.
    fn all_saw(&self, scene: &Scene<'_>, viewers: usize) -> Result<()> {
        let saw = self.number("saw_marker")?;
        if saw < viewers as f64 {
            bail!("only {saw} of {viewers} viewers saw the end: {}", self.0["errors"]);
        }
        let truth = read(hub::tmux(&scene.folder.tmux()).args(["capture-pane", "-p", "-t", "=agent:"]))?;
        let screens = self.0["screens"].as_array().context("no screens")?;
        let same = |screen: &Value| screen.as_str().is_some_and(|screen| screen.trim_end() == truth.trim_end());
        match screens.as_slice() {
            [screen] if same(screen) => Ok(()),
            _ => bail!("the viewers' last screens are {screens:?}, and tmux's is {truth:?}"),
        }
    }
}

fn middle(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("nothing was measured")
}
