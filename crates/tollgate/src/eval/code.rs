//! Runs code that a model wrote, because the user said so (`--allow-code`): in a process of its own, in an empty folder,
//! without our environment, with bounds on time, memory, files and processes, and without a network where the system
//! lets us take it away (user namespaces on Linux).
//!
//! This is a fence against accidents and against a model that reaches for a file or the network; it is no wall against
//! an attacker who has a kernel exploit. The limits are set by `sh` before it becomes the program, since setting them
//! after a fork would need unsafe code.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::check::{Verdict, fenced, quoted};

/// Bytes of the program's output that are read.
const OUTPUT_BYTES: u64 = 64 * 1024;
/// Between two looks at the running program.
const LOOK: Duration = Duration::from_millis(10);
/// `$1` seconds of processor time, `$2` KiB of memory; then the program takes the shell's place. Files of at most
/// 10 MiB (blocks of 512 bytes), no core dumps.
const LIMITS: &str =
    r#"ulimit -t "$1" && ulimit -v "$2" && ulimit -f 20480 && ulimit -c 0 && shift 2 && exec "$@""#;

/// A user, network and process namespace of its own; all processes in it end with the first.
const FENCED: [&str; 5] = ["-r", "-n", "-p", "-f", "--kill-child"];

/// How to run the code of an answer, and what must hold of it.
#[derive(Debug)]
pub struct Program {
    /// Appended to the answer's code.
    pub tests: String,
    /// The program and its arguments; it reads the code on standard input.
    pub run: Vec<String>,
    /// Bound on wall-clock and processor time.
    pub seconds: Duration,
    /// Bound on address space.
    pub memory_mb: u64,
}

/// Whether the program's network can be taken away here.
pub fn can_cut_network() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let probe = Command::new("unshare").args(FENCED).arg("true").stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    })
}

impl Program {
    /// Runs the answer's first fenced block (or all of it), then the tests. Passes when the program ends with status 0.
    pub fn run(&self, answer: &str) -> Verdict {
        let source = format!("{}\n{}\n", fenced(answer).unwrap_or(answer), self.tests);
        match self.spawn_and_wait(&source) {
            Ok(verdict) => verdict,
            Err(e) => Verdict::Fail(format!("the code could not be run: {e}")),
        }
    }

    fn spawn_and_wait(&self, source: &str) -> std::io::Result<Verdict> {
        let folder = Folder::new()?;
        let mut child = self.command(&folder).spawn()?;
        let (mut stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
        // A program that does not read its input, or floods its output, must not block us.
        let source = source.to_owned();
        let writer = std::thread::spawn(move || {
            if let Some(stdin) = &mut stdin {
                // It may end before it has read everything.
                let _ = stdin.write_all(source.as_bytes());
            }
        });
        let reader = std::thread::spawn(move || {
            let mut said = Vec::new();
            if let Some(stderr) = &mut stderr {
                let _ = stderr.take(OUTPUT_BYTES).read_to_end(&mut said);
            }
            String::from_utf8_lossy(&said).into_owned()
        });
        let ended = self.wait(&mut child)?;
        let _ = writer.join();
        let said = reader.join().unwrap_or_default();
        Ok(match ended {
            None => Verdict::Fail(format!("the code ran longer than {} s", self.seconds.as_secs())),
            Some(status) if status.success() => Verdict::Pass,
            Some(status) => {
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
                Verdict::Fail(format!("the code ended with {status}: {}", quoted(last)))
            }
        })
    }

    fn command(&self, folder: &Folder) -> Command {
        let mut command = if can_cut_network() {
            let mut command = Command::new("unshare");
            command.args(FENCED).arg("sh");
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", LIMITS, "sh"]);
        command.arg(self.seconds.as_secs().to_string());
        command.arg(self.memory_mb.saturating_mul(1024).to_string());
        command.args(&self.run);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &folder.0).env("TMPDIR", &folder.0).current_dir(&folder.0);
        // A group of its own, so that what it started ends with it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Waits for the end, `None` when the time ran out. Whatever is left of its group is killed either way.
    fn wait(&self, child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
        let until = Instant::now() + self.seconds;
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= until {
                break None;
            }
            std::thread::sleep(LOOK);
        };
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // An error means that nobody is left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        if ended.is_none() {
            child.wait()?;
        }
        Ok(ended)
    }
}

/// An empty folder that is gone afterwards.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tollgate-code-{}", gateway::app::new_id()));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(tests: &str) -> Program {
        Program {
            tests: tests.to_owned(),
            run: vec!["sh".to_owned(), "-s".to_owned()],
            seconds: Duration::from_secs(2),
            memory_mb: 256,
        }
    }

    #[test]
    fn tests_decide() {
        let answer = "Sure:\n```sh\ndouble() { echo $(($1 * 2)); }\n```\nDone.";
        assert_eq!(shell("[ \"$(double 4)\" = 8 ]").run(answer), Verdict::Pass);
        let Verdict::Fail(why) =
            shell("[ \"$(double 4)\" = 9 ] || { echo not nine >&2; exit 1; }").run(answer)
        else {
            panic!("it fails")
        };
        assert!(why.contains("not nine"), "{why}");
    }

    #[test]
    fn bounds_hold() {
        let Verdict::Fail(why) = shell("sleep 60 & sleep 60").run("") else { panic!("it is ended") };
        assert!(why.contains("longer than 2 s"), "{why}");
        assert!(matches!(shell("head -c 20000000 /dev/zero > big && true").run(""), Verdict::Fail(_)));
        assert!(matches!(shell("[ -z \"$USER$LOGNAME$CARGO\" ]").run(""), Verdict::Pass), "no environment");
        if can_cut_network() {
            let up = "grep -q . /proc/net/route && [ $(wc -l < /proc/net/route) -gt 1 ]";
            assert!(matches!(shell(up).run(""), Verdict::Fail(_)), "no way out");
        }
    }

    #[test]
    fn a_program_that_is_not_there_fails_the_check() {
        let mut program = shell("");
        program.run = vec!["no-such-program-anywhere".to_owned()];
        assert!(matches!(program.run("x"), Verdict::Fail(_)));
    }
}
