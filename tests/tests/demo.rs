//! The first command of the README: a whole mesh of real processes, judged by its own exit code.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{process::byrnie, tools};

fn demo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(byrnie()?);
    command.arg("demo").args(arguments).env("BYRNIE_ENVOY", tools::path("envoy")?).stdin(Stdio::null());
    Ok(command)
}

/// What a demo that ends by itself printed; it did its job.
fn succeeded(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// Requests over mTLS between two kinds of sidecar, as the summary has them.
fn requests(text: &str, from: &str, to: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{from} -> {to} ")))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The directory of the mesh, which the demo names in its first line.
fn directory(line: &str) -> Result<PathBuf> {
    Ok(line.trim().strip_prefix("the mesh is in ").with_context(|| format!("first line: {line:?}"))?.into())
}

/// Processes that were told of the directory.
fn processes_of(directory: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let command_lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let texts = command_lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|text| text.contains(directory)).collect()
}

fn wait(child: &mut Child, limit: Duration) -> Result<std::process::ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            anyhow::bail!("the demo did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_does_its_job_and_leaves_nothing_behind() -> Result<()> {
    let text = succeeded(&mut demo(&["--duration", "15s", "--plain"])?)?;
    ensure!(text.contains("the mesh did its job") && text.contains("split of cart"), "{text}");
    for (from, to) in [("micro", "micro"), ("micro", "envoy"), ("envoy", "micro"), ("envoy", "envoy")] {
        ensure!(requests(&text, from, to).is_some_and(|count| count > 0), "{from} to {to}:\n{text}");
    }
    let directory = directory(text.lines().next().unwrap_or_default())?;
    ensure!(!directory.exists(), "{} is still there", directory.display());
    ensure!(processes_of(&directory.to_string_lossy()).is_empty());
    Ok(())
}

#[test]
fn a_demo_of_micro_proxies_needs_no_envoy() -> Result<()> {
    let text = succeeded(demo(&["--proxy", "micro", "--duration", "4s", "--plain"])?.env("BYRNIE_ENVOY", "/nowhere"))?;
    ensure!(requests(&text, "micro", "micro").is_some_and(|count| count > 0), "{text}");
    ensure!(!text.contains("envoy"), "{text}");
    Ok(())
}

#[test]
fn a_signal_ends_the_demo_and_all_its_processes() -> Result<()> {
    let mut child = demo(&["--plain"])?.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
    let directory = directory(&lines.next().context("the demo said nothing")??)?;
    let flowing = lines.by_ref().map_while(Result::ok).any(|line| line.contains("traffic flows"));
    ensure!(flowing, "the demo ended before traffic flowed");
    ensure!(!processes_of(&directory.to_string_lossy()).is_empty(), "the control plane is told of the directory");
    ensure!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?.success());
    wait(&mut child, Duration::from_secs(20))?;
    ensure!(!directory.exists() && processes_of(&directory.to_string_lossy()).is_empty());
    Ok(())
}
