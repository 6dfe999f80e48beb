//! What processes have used, by the kernel's word (proc(5)).

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// CPU time of a tick in `stat`: `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust supports.
const TICK: f64 = 0.01;

/// CPU seconds.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// Of each thread by its id, by the scheduler's clock, which counts in nanoseconds.
    pub threads: BTreeMap<u32, f64>,
    /// In user mode and in the kernel, in ticks of 10 ms.
    pub user: f64,
    pub kernel: f64,
}

impl Cpu {
    /// Of one process so far.
    pub fn of(pid: u32) -> Result<Self> {
        let folder = format!("/proc/{pid}");
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The second field is the command in brackets, which may hold blanks and brackets itself.
        let behind = stat.rsplit_once(')').context("no command in stat")?.1;
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("no time in stat");
        Ok(Self { threads: threads(Path::new(&folder))?, user: ticks(11)? * TICK, kernel: ticks(12)? * TICK })
    }

    /// All threads together.
    pub fn seconds(&self) -> f64 {
        self.threads.values().sum()
    }

    /// What was used since `before`, by threads that are still there.
    pub fn since(&self, before: &Self) -> Self {
        let used = |(id, now): (&u32, &f64)| (*id, now - before.threads.get(id).unwrap_or(&0.0));
        Self {
            threads: self.threads.iter().map(used).collect(),
            user: self.user - before.user,
            kernel: self.kernel - before.kernel,
        }
    }

    /// Together with another process.
    pub fn and(mut self, other: &Self) -> Self {
        self.threads.extend(&other.threads);
        Self { threads: self.threads, user: self.user + other.user, kernel: self.kernel + other.kernel }
    }

    /// The share of user mode.
    pub fn user_share(&self) -> Option<f64> {
        let all = self.user + self.kernel;
        (all > 0.0).then(|| self.user / all)
    }
}

/// CPU seconds that the whole machine has worked so far, or others on its host in its place.
pub fn machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("no line in /proc/stat")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is contained in the first two.
    let busy = ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    Ok(busy.map(|(_, ticks)| ticks * TICK).sum())
}

fn threads(folder: &Path) -> Result<BTreeMap<u32, f64>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(folder.join("task"))? {
        let entry = entry?;
        let id = entry.file_name().to_string_lossy().parse().context("a thread without a number")?;
        // One that has just ended is none.
        let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
        let nanoseconds = nanoseconds.context("no time in schedstat: the kernel lacks CONFIG_SCHED_INFO")?;
        threads.insert(id, nanoseconds / 1e9);
    }
    Ok(threads)
}
