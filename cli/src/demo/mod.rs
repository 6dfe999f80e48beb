//! `byrnie demo`: a small mesh of real processes on this machine, with traffic, watched in the terminal.
//!
//! The floors: `run` here; [`watch`] over the running whole; [`fleet`] starts it; [`sidecar`], [`process`], [`load`],
//! [`apps`] are its parts, [`counts`], [`endpoints`], [`standing`] what these tell; [`board`] is the picture that [`view`]
//! draws on [`screen`] and [`summary`] judges.
//!
//! What is shown of traffic comes from the applications and from the identities in what they received: no sidecar is
//! asked how well it did.

mod apps;
mod board;
mod counts;
mod endpoints;
mod envoy;
mod events;
mod faults;
mod fleet;
mod http_client;
mod kind;
mod load;
mod mesh;
mod micro;
mod process;
mod screen;
mod sidecar;
mod split;
mod standing;
mod summary;
mod view;
mod watch;

use std::{
    io::{self, IsTerminal, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use self::{
    fleet::Fleet,
    kind::{Choice, Kind},
    load::Load,
    mesh::{CLIENT, Objects, ROUTE_FILE},
    screen::Screen,
    summary::Facts,
    watch::{EndedBy, Output, Watch},
};

/// `byrnie demo`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// End after this time with a summary; the exit code is 1 if the mesh did not do its job. Such as `20s`, `2m`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Where the objects of the demo go and stay; what an earlier demo left there is used as it is. Without it they go
    /// to a temporary directory, which is removed at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Which sidecars the Pods have; `micro` needs no Envoy.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    proxy: Choice,
    /// Requests a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// Print lines instead of the live view, as where there is no terminal.
    #[arg(long)]
    plain: bool,
}

/// `byrnie demo-app`: what the demo's own processes run; not for people.
#[derive(Debug, clap::Args)]
pub struct AppArgs {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// Be one of the applications.
    Serve(apps::Application),
    /// Be the micro-proxy.
    Proxy(byrnie_proxy::settings::Arguments),
    /// Run a program that ends with the demo.
    Tied(process::Tied),
}

/// How a run of the demo ended.
enum End {
    /// By itself: the facts are judged.
    Over(Facts),
    /// By the reader.
    Stopped(Option<Facts>),
}

/// Runs the demo. Whatever way it ends, its processes and what it wrote are gone afterwards.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Bootstraps hold join tokens.
    let owner_only = std::fs::Permissions::from_mode(0o700);
    let private = tempfile::Builder::new().prefix("byrnie-demo-state-").permissions(owner_only).tempdir();
    let private = private.context("no temporary directory could be made")?;
    let objects = Objects::prepare(args.dir.as_deref(), args.proxy)?;
    let mut fleet = Fleet::new(private.path());
    let played = play(&args, &objects, &mut fleet, private.path()).await;
    fleet.stop().await;
    match played? {
        End::Over(facts) => {
            say(&facts.text())?;
            let findings = facts.findings();
            for finding in &findings {
                say(&format!("NOT GOOD: {finding}"))?;
            }
            if findings.is_empty() {
                say("the mesh did its job")?;
            }
            Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        End::Stopped(facts) => {
            if let Some(facts) = facts {
                say(&facts.text())?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs one of the demo's own processes.
pub fn app(args: AppArgs) -> anyhow::Result<()> {
    match args.role {
        Role::Serve(application) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(application.serve())
        }
        Role::Proxy(arguments) => micro::run(arguments),
        Role::Tied(tied) => tied.run(),
    }
}

async fn play(args: &Args, objects: &Objects, fleet: &mut Fleet, private: &std::path::Path) -> anyhow::Result<End> {
    let (interrupt, mut interrupted) = tokio::sync::watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<io::Result<Vec<_>>>()
        .context("signals cannot be received")?;
    for mut signal in signals.drain(..) {
        let interrupt = interrupt.clone();
        tasks.spawn(async move {
            signal.recv().await;
            interrupt.send_replace(true);
        });
    }
    tokio::select! {
        started = start(objects, fleet, private) => started?,
        Ok(_) = interrupted.wait_for(|quit| *quit) => return Ok(End::Stopped(None)),
    }
    let (_, target) = objects.net.calls(CLIENT).into_iter().next().context("the client calls nobody")?;
    let load = Load::start(target, args.rate, &mut tasks);
    let output = if args.plain || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        Output::Lines { printed: None, events: 0 }
    } else {
        Output::Screen(Screen::take().context("the terminal cannot be used; --plain does without")?)
    };
    let (facts, ended_by) = Watch::new(objects, fleet, load).run(args.duration, output, interrupted).await?;
    Ok(if ended_by == EndedBy::Reader { End::Stopped(Some(facts)) } else { End::Over(facts) })
}

async fn start(objects: &Objects, fleet: &mut Fleet, private: &std::path::Path) -> anyhow::Result<()> {
    let kinds = objects.kinds()?;
    let envoy = if kinds.values().any(|kind| *kind == Kind::Envoy) { Some(envoy::find(private).await?) } else { None };
    say(&format!("the mesh is in {}", objects.path.display()))?;
    say(&format!("  edit {}/{ROUTE_FILE} and watch", objects.path.display()))?;
    say("starting the control plane")?;
    fleet.start_control_plane(objects).await?;
    say(&format!("  ask it: byrnie proxy-status --admin-address {}", objects.net.control_plane_admin()))?;
    say("starting the applications and their sidecars")?;
    fleet.start_applications(objects)?;
    fleet.start_sidecars(envoy.as_deref(), &kinds, objects).await?;
    say("all sidecars are ready, traffic flows")
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush()).context("standard output is closed")
}

/// `20s`, `2m`, `1500ms`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: a number with ms, s, m or h is accepted, such as 20s");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "1d", "0s", "99999999999999999999h"] {
            assert!(duration(wrong).unwrap_err().contains("such as 20s"), "{wrong}");
        }
    }
}
