//! Network namespaces of a test's own: machines that have addresses, processes and rules of their own.
//!
//! A test runs itself again in namespaces for network, mounts and processes. All that it makes there, programs that it
//! has started included, ends with that process, however it ends.

use std::{
    env, fs,
    os::fd::AsFd as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use tokio::runtime::{Handle, Runtime};

use crate::process::Process;

const INSIDE: &str = "BYRNIE_TEST_INSIDE";
const APART: [&str; 7] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];

/// Runs the body of the test of this name in a process of its own. Where this machine does not let it, it says so and
/// passes. `needed` are programs, each of which answers `-V`, and `from` says where they come from.
pub fn isolated(test: &str, needed: &[&str], from: &str, body: impl Future<Output = Result<()>>) -> Result<()> {
    if env::var(INSIDE).is_ok_and(|inside| inside == test) {
        // `ip netns` writes there.
        run("mount", "-t tmpfs -o mode=755 tmpfs /run")?;
        run("ip", "link set lo up")?;
        return Runtime::new()?.block_on(body);
    }
    let unshare = || Command::new("unshare").args(APART).arg("true").output();
    if !geteuid().is_root() || !unshare().is_ok_and(|output| output.status.success()) {
        eprintln!("{test} was not run: it needs root, and leave to make network namespaces");
        return Ok(());
    }
    for program in needed {
        let found = Command::new(program).arg("-V").output().is_ok_and(|output| output.status.success());
        ensure!(found, "{program} is not there: {from}");
    }
    let mut command = Command::new("unshare");
    command.args(APART).arg(env::current_exe()?).args([test, "--exact", "--nocapture"]).env(INSIDE, test);
    let output = command.stdin(Stdio::null()).output()?;
    let told = [&output.stdout, &output.stderr].map(|octets| String::from_utf8_lossy(octets).into_owned());
    ensure!(output.status.success(), "{}", told.concat());
    ensure!(told[0].contains("1 passed"), "{test} is no name of a test: {}", told[0]);
    Ok(())
}

/// A machine.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: fs::File,
}

impl Namespace {
    /// Makes one with nothing but loopback.
    pub fn make(name: &str) -> Result<Self> {
        run("ip", &format!("netns add {name}"))?;
        run("ip", &format!("-n {name} link set lo up"))?;
        Ok(Self { name: name.to_owned(), file: fs::File::open(format!("/run/netns/{name}"))? })
    }

    /// Its name, as `ip -n` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `act` in it as a user (and a group of the same number). Sockets that it makes are the machine's and the user's
    /// as long as they are there, and so are programs that it starts.
    pub fn within<T: Send>(&self, user: u32, act: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.file.as_fd(), network).expect("root may");
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            set_thread_groups(&[]).expect("root may");
            set_thread_res_gid(gid, gid, gid).expect("root may");
            set_thread_res_uid(uid, uid, uid).expect("root may");
            act()
        };
        // A thread has a network and a user; both end with it.
        thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The same for what waits. What it spawns goes on with the test's own runtime.
    pub fn run<T: Send>(&self, user: u32, act: impl Future<Output = T> + Send) -> T {
        let runtime = Handle::current();
        self.within(user, move || runtime.block_on(act))
    }

    /// Starts a program in it, as a user.
    pub fn start(&self, user: u32, name: &str, command: &mut Command) -> Result<Process> {
        self.within(user, || Process::start(name, command))
    }
}

/// Runs a program that has to succeed, with arguments that are separated by spaces, and gives what it prints.
pub fn run(program: &str, arguments: &str) -> Result<String> {
    succeeded(Command::new(program).args(arguments.split_ascii_whitespace()))
}

/// What a program prints, which has to succeed.
pub fn succeeded(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
