//! The texts that Linux writes about itself: `/proc/stat`, `/proc/meminfo` (proc(5)), `/etc/os-release` (os-release(5)).

/// What the processors did since the machine started, in ticks of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    /// Processors.
    pub(super) cpus: u32,
    busy: u64,
    all: u64,
}

impl Ticks {
    /// How busy the processors were since `before`, in percent; `None` when no time has passed.
    pub(super) fn busy_since(self, before: Self) -> Option<f32> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let busy = self.busy.saturating_sub(before.busy);
        Some((busy as f32 / all as f32 * 100.0).min(100.0))
    }
}

/// Of `/proc/stat`. A guest's time is counted in its host's user time already, so only the first eight numbers count.
pub(super) fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let [_user, _nice, _system, idle, waiting, ..] = numbers[..] else { return None };
    let all = numbers.iter().sum::<u64>();
    let one = |line: &str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cpus = u32::try_from(stat.lines().filter(|line| one(line)).count()).ok()?;
    Some(Ticks { cpus, busy: all - idle - waiting, all })
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    /// What programs could get without swapping.
    pub(super) available: u64,
}

/// Of `/proc/meminfo`.
pub(super) fn memory(meminfo: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total: kib("MemTotal")?, available: kib("MemAvailable")? })
}

impl Memory {
    /// As a container is let have it: `max` and `current` are its `memory.max` and `memory.current`, `stat` its `memory.stat`
    /// (cgroup-v2.rst). Files that it has read and that can be dropped are available.
    pub(super) fn within(self, max: &str, current: &str, stat: &str) -> Self {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let (Some(max), Some(current)) = (number(max), number(current)) else { return self };
        if max >= self.total {
            return self;
        }
        let dropped = stat.lines().find_map(|line| number(line.strip_prefix("inactive_file ")?)).unwrap_or(0);
        let free = max.saturating_sub(current.saturating_sub(dropped));
        Self { total: max, available: free.min(self.available) }
    }
}

/// The name for people in `/etc/os-release`.
pub(super) fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 40 800 50 0 0 0 7 0\ncpu0 50 5 20 400 25 0 0 0 7 0\n\
                        cpu1 50 5 20 400 25 0 0 0 0 0\nintr 1 2 3\nctxt 5\n";

    #[test]
    fn processors_are_as_busy_as_what_is_not_idle_nor_waiting() {
        let before = ticks(STAT).expect("it is as Linux writes it");
        assert_eq!(before, Ticks { cpus: 2, busy: 150, all: 1000 });
        let later = Ticks { busy: 175, all: 1100, ..before };
        assert_eq!(later.busy_since(before), Some(25.0));
        assert_eq!(before.busy_since(before), None, "no time has passed");
        assert_eq!(before.busy_since(later), None, "the machine started anew");
        for bad in ["", "cpu \n", "cpu 1 2 x 4 5\n", "cpu0 1 2 3 4 5\n"] {
            assert_eq!(ticks(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn memory_is_in_bytes_and_both_lines_are_needed() {
        let text = "MemTotal:       16303428 kB\nMemFree:          300000 kB\nMemAvailable:    8000000 kB\n";
        assert_eq!(memory(text), Some(Memory { total: 16_303_428 * 1024, available: 8_000_000 * 1024 }));
        for bad in ["", "MemTotal: 16303428 kB\n", "MemTotal: many kB\nMemAvailable: 1 kB\n"] {
            assert_eq!(memory(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_container_has_what_it_is_let_have() {
        let machine = Memory { total: 1_000, available: 600 };
        let stat = "anon 50\nfile 150\ninactive_file 100\nactive_file 50\n";
        assert_eq!(machine.within("400\n", "300\n", stat), Memory { total: 400, available: 200 });
        assert_eq!(machine.within("400\n", "300\n", ""), Memory { total: 400, available: 100 });
        // The machine itself may have less left.
        assert_eq!(Memory { available: 20, ..machine }.within("400", "0", ""), Memory { total: 400, available: 20 });
        for (max, current) in [("max\n", "300"), ("", ""), ("2000", "300"), ("400", "many")] {
            assert_eq!(machine.within(max, current, stat), machine, "{max:?} {current:?}");
        }
    }

    #[test]
    fn a_system_says_its_name_for_people() {
        let debian = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
        assert_eq!(pretty_name(debian).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(pretty_name("PRETTY_NAME=Alpine\n").as_deref(), Some("Alpine"));
        assert_eq!(pretty_name("PRETTY_NAME=\"\"\n"), None);
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
