//! Which core runs what: the proxies have one, or two, for themselves; all else shares another.

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where things run.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Those that this process may use, in order.
    all: Vec<usize>,
}

impl Cores {
    /// Takes the last core of this process for the load, the application and the control plane: for this process and
    /// what it starts.
    pub fn claim() -> Result<Self> {
        let set = sched_getaffinity(None)?;
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
        ensure!(all.len() >= 2, "two cores are needed, one of them for the proxies");
        let cores = Self { all };
        cores.rest()?;
        Ok(cores)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Does something, such as starting a process, on the first so many cores: those of the proxies.
    pub fn proxies<T>(&self, wanted: usize, start: impl FnOnce() -> Result<T>) -> Result<T> {
        run_on(&self.all[..wanted.min(self.all.len())])?;
        let started = start();
        self.rest()?;
        started
    }

    /// Lets this thread run on the cores that two workers leave, and where they leave none on those of `workers`.
    pub fn beside(&self, workers: usize) -> Result<()> {
        run_on(if self.all.len() > 2 { &self.all[2..] } else { &self.all[..workers] })
    }

    /// Brings this thread back to its core.
    pub fn rest(&self) -> Result<()> {
        run_on(&self.all[self.all.len() - 1..])
    }
}

fn run_on(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).context("cannot choose cores")
}
