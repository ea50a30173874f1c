//! NVIDIA GPUs, as `nvidia-smi` lists them.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::process::Command;

use super::super::{Gpu, rules::GPUS};
use crate::clock::Stopwatch;

/// What is asked for; the order of the fields of a line.
const QUERY: &str = "--query-gpu=name,memory.used,memory.total,utilization.gpu,temperature.gpu";
const FORMAT: &str = "--format=csv,noheader,nounits";
/// How long the answer is waited for; a driver that hangs must not hold up what else is known.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a program that is not there, or does not work, is looked for.
const AGAIN: Duration = Duration::from_secs(60);
/// Asks for the GPUs, and remembers when there were none to ask.
pub(super) struct Gpus {
    program: PathBuf,
    failed: Option<Stopwatch>,
}

impl Default for Gpus {
    fn default() -> Self {
        Self { program: "nvidia-smi".into(), failed: None }
    }
}

impl Gpus {
    /// The GPUs now; none where they cannot be asked.
    pub(super) async fn read(&mut self) -> Vec<Gpu> {
        if self.failed.is_some_and(|watch| watch.elapsed() < AGAIN) {
            return Vec::new();
        }
        let said = self.ask().await;
        self.failed = said.is_none().then(Stopwatch::start);
        said.as_deref().map(gpus).unwrap_or_default()
    }

    /// What the program says; `None` when it is not there, fails, or takes too long.
    async fn ask(&self) -> Option<String> {
        let asked = Command::new(&self.program)
            .args([QUERY, FORMAT])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(ANSWER, asked).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// One GPU a line. A line that is not of five fields is no GPU.
fn gpus(text: &str) -> Vec<Gpu> {
    text.lines().filter_map(gpu).take(GPUS).collect()
}

fn gpu(line: &str) -> Option<Gpu> {
    // A name may hold a comma; a number does not.
    let mut fields = line.rsplitn(5, ',').map(str::trim);
    let (celsius, load, total, used) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let name: String = fields.next()?.chars().filter(|c| !c.is_control()).take(80).collect();
    // Without units memory is in MiB (nvidia-smi --help-query-gpu). What it does not know it says as `[N/A]`.
    let bytes = |field: &str| field.parse::<u64>().ok()?.checked_mul(1 << 20);
    Some(Gpu {
        name,
        memory_used: bytes(used),
        memory_total: bytes(total),
        load: number(load).map(|load| load.clamp(0.0, 100.0)),
        celsius: number(celsius),
    })
}

fn number(field: &str) -> Option<f32> {
    field.parse().ok().filter(|number: &f32| number.is_finite())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn each_line_is_a_gpu_and_what_it_does_not_say_is_unknown() {
        let text = "NVIDIA H100 80GB HBM3, 4, 81559, 0, 33\nTesla T4, 15360, 15360, 100, [N/A]\n\
                    NVIDIA GB10, [N/A], [N/A], [Not Supported], 41\nOdd, with a comma, 1024, 2048, 7, 50\n";
        let gpus = gpus(text);
        let gpu = |name: &str, used, total, load, celsius| Gpu {
            name: name.to_owned(),
            memory_used: used,
            memory_total: total,
            load,
            celsius,
        };
        assert_eq!(
            gpus,
            [
                gpu("NVIDIA H100 80GB HBM3", Some(4 << 20), Some(81_559 << 20), Some(0.0), Some(33.0)),
                gpu("Tesla T4", Some(15 * GIB), Some(15 * GIB), Some(100.0), None),
                gpu("NVIDIA GB10", None, None, None, Some(41.0)),
                gpu("Odd, with a comma", Some(GIB), Some(2 * GIB), Some(7.0), Some(50.0)),
            ]
        );
    }

    #[test]
    fn what_is_no_list_of_gpus_is_none() {
        for text in
            ["", "\n", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "a,b\n"]
        {
            assert_eq!(gpus(text), [], "{text:?}");
        }
        assert_eq!(number("nan"), None);
        assert_eq!(gpu("X, -1, 1e3, 250, inf"), gpu("X, , , 100, "), "numbers that none can be");
    }

    /// A program that stands in for the real one, and leaves a mark each time it is asked.
    fn program(folder: &std::path::Path, script: &str) -> std::io::Result<PathBuf> {
        let path = folder.join("nvidia-smi");
        std::fs::write(&path, format!("#!/bin/sh\necho \"$*\" >> '{}'\n{script}\n", folder.join("asked").display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    #[tokio::test]
    async fn a_program_that_works_is_asked_each_time() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut gpus = Gpus { program: program(folder.path(), "echo 'A, 1, 2, 3, 4'")?, failed: None };
        for _ in 0..2 {
            assert_eq!(gpus.read().await.len(), 1);
        }
        let asked = std::fs::read_to_string(folder.path().join("asked"))?;
        assert_eq!(asked, format!("{QUERY} {FORMAT}\n").repeat(2));
        Ok(())
    }

    #[tokio::test]
    async fn a_program_that_fails_or_hangs_is_left_alone_for_a_while() -> std::io::Result<()> {
        for script in ["exit 9", "exec sleep 60"] {
            let folder = tempfile::tempdir()?;
            let mut gpus = Gpus { program: program(folder.path(), script)?, failed: None };
            let watch = Stopwatch::start();
            for _ in 0..3 {
                assert_eq!(gpus.read().await, []);
            }
            assert!(watch.elapsed() < 3 * ANSWER, "{script}: {:?}", watch.elapsed());
            assert_eq!(std::fs::read_to_string(folder.path().join("asked"))?.lines().count(), 1, "{script}");
        }
        Ok(())
    }
}
