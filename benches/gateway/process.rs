//! The processes under measurement: started on a core of their own, read through /proc.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The core of what is measured, and that of everything else.
pub const SUBJECT: usize = 1;
pub const REST: usize = 0;

/// A process group of one; killed when dropped.
pub struct Process {
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts `command` on the subject's core, its output in `log`.
    pub fn start(command: &[&str], log: &Path) -> Result<Self> {
        let file = fs::File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", &SUBJECT.to_string()])
            .args(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("taskset")?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Fails when the process has ended, with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended with {status}: {}", fs::read_to_string(&self.log).unwrap_or_default());
        }
        Ok(())
    }

    /// CPU time of the process and its children, user and system.
    pub fn cpu(&self) -> Result<Duration> {
        let ticks_a_second = rustix::param::clock_ticks_per_second();
        let mut ticks = 0;
        for pid in self.family()? {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name in parentheses may hold anything; utime and stime are the 14th and 15th fields.
            let after = stat.rsplit(')').next().unwrap_or_default();
            let fields: Vec<u64> = after.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
            ticks += fields.iter().sum::<u64>();
        }
        Ok(Duration::from_millis(ticks * 1_000 / ticks_a_second))
    }

    /// Resident bytes of the process and its children.
    pub fn rss(&self) -> Result<u64> {
        let mut pages = 0;
        for pid in self.family()? {
            let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
            pages += statm.split_whitespace().nth(1).context("statm")?.parse::<u64>()?;
        }
        Ok(pages * rustix::param::page_size() as u64)
    }

    fn family(&self) -> Result<Vec<u32>> {
        let mut all = vec![self.child.id()];
        let mut next = 0;
        while let Some(&pid) = all.get(next) {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let children = fs::read_to_string(task?.path().join("children"))?;
                all.extend(children.split_whitespace().flat_map(str::parse::<u32>));
            }
            next += 1;
        }
        Ok(all)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: nginx's master takes its worker along.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            for _ in 0..50 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Binds this thread, and those that it starts, to the core of everything else.
pub fn pin_rest() -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(REST);
    rustix::thread::sched_setaffinity(None, &set)?;
    Ok(())
}
