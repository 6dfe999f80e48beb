//! The running demo, watched: samples twice a second, drawn or printed, until it ends.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    board::{Board, History, Sample},
    counts::Counts,
    endpoints::Endpoints,
    events::Events,
    fleet::Fleet,
    load::Load,
    mesh::{CLIENT, Objects, ROUTE_FILE},
    screen::Screen,
    split::{Seen, Wanted},
    summary::Facts,
    view,
};

const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Every fourth sample, which may come a little early.
const PRINT_EVERY: Duration = Duration::from_millis(1750);
const EVENTS_SHOWN: usize = 8;
/// After an edit of the route, answers of the old one are still on the way.
const EDIT_SETTLES: Duration = Duration::from_secs(1);

/// The watch over a running demo.
pub struct Watch<'a> {
    objects: &'a Objects,
    fleet: &'a mut Fleet,
    load: Load,
    events: Events,
    history: History,
    wanted: Option<Wanted>,
    split_from: SplitFrom,
    since: Instant,
    board: Board,
}

/// From when on answers count for the verdict on the split.
enum SplitFrom {
    /// Since this many answers.
    Count(Seen),
    /// When the edit has settled.
    Moment(Instant),
}

/// Who ended the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The time was over, or a process ended.
    Itself,
    /// The reader quit.
    Reader,
}

/// How the pictures reach the reader.
pub enum Output {
    /// On the terminal.
    Screen(Screen),
    /// As lines.
    Lines {
        /// When the last was printed.
        printed: Option<Instant>,
        /// How many events were printed.
        events: u64,
    },
}

impl<'a> Watch<'a> {
    /// Watches a load that has just been started.
    pub fn new(objects: &'a Objects, fleet: &'a mut Fleet, load: Load) -> Self {
        let wanted = objects.read(ROUTE_FILE).and_then(|route| Wanted::read(&route));
        let events = Events::new(objects, &fleet.control_plane_log());
        Self {
            objects,
            fleet,
            load,
            events,
            history: History::default(),
            wanted,
            split_from: SplitFrom::Count(Seen::default()),
            since: Instant::now(),
            board: Board::default(),
        }
    }

    /// Runs until the duration is over, the reader quits, or a process ends by itself.
    pub async fn run(
        mut self,
        duration: Option<Duration>,
        mut output: Output,
        mut interrupted: watch::Receiver<bool>,
    ) -> anyhow::Result<(Facts, EndedBy)> {
        let mut quit = match &output {
            Output::Screen(screen) => screen.quit(),
            Output::Lines { .. } => interrupted.clone(),
        };
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = duration.map(|duration| self.since + duration);
        let ended_by = loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = until(deadline) => break EndedBy::Itself,
                // An error means that nobody can quit any more; the other ways to end stay.
                Ok(_) = quit.wait_for(|quit| *quit) => break EndedBy::Reader,
                Ok(_) = interrupted.wait_for(|quit| *quit) => break EndedBy::Reader,
            }
            self.sample().await;
            output.show(&self.board, &self.events, &self.objects.path)?;
            if !self.fleet.ended().is_empty() {
                break EndedBy::Itself;
            }
        };
        // What is counted from here on stands still, so that the counts of all agree.
        self.load.stop();
        self.sample().await;
        drop(output);
        Ok((self.facts().await, ended_by))
    }

    async fn sample(&mut self) {
        if self.events.look_at_files(self.objects).iter().any(|file| file == ROUTE_FILE) {
            self.wanted = self.objects.read(ROUTE_FILE).and_then(|route| Wanted::read(&route));
            self.split_from = SplitFrom::Moment(Instant::now() + EDIT_SETTLES);
        }
        self.events.look_at_log();
        self.events.look_at_answers(self.fleet.answers(self.objects).await);
        let endpoints = self.endpoints().await;
        let mut counts = self.fleet.counts(self.objects).await;
        let tally = self.load.tally();
        let calls = CLIENT.calls().iter().map(|called| ((*called).to_owned(), tally.calls.clone())).collect();
        counts.insert(CLIENT.name, Counts { calls, ..Counts::default() });
        self.events.look_at_failures(&tally);
        if let SplitFrom::Moment(moment) = self.split_from
            && Instant::now() >= moment
        {
            self.split_from = SplitFrom::Count(tally.split);
            self.history.restart_split(tally.split);
        }
        let kinds = self.fleet.sidecars().iter().map(|sidecar| (sidecar.pod, sidecar.kind)).collect();
        let sample = Sample { at: self.since.elapsed(), tally, counts, endpoints, kinds };
        self.board = self.history.board(sample, self.wanted, |address| self.objects.net.pod_at(address));
    }

    /// Of the sidecars that answer.
    async fn endpoints(&mut self) -> BTreeMap<&'static str, Endpoints> {
        let mut asked = JoinSet::new();
        for sidecar in self.fleet.sidecars().iter().cloned() {
            asked.spawn(async move { (sidecar.pod, sidecar.endpoints().await) });
        }
        let mut endpoints = BTreeMap::new();
        for (pod, answer) in asked.join_all().await {
            match answer {
                Ok(answer) => drop(endpoints.insert(pod, answer)),
                Err(error) => self.events.note(format!("{error:#}")),
            }
        }
        endpoints
    }

    async fn facts(self) -> Facts {
        let tally = self.load.tally();
        let split = match self.split_from {
            SplitFrom::Count(earlier) => tally.split.since(earlier),
            SplitFrom::Moment(_) => Seen::default(),
        };
        let ended = self.fleet.ended();
        let counts = self.fleet.counts(self.objects).await;
        let failing = counts.into_values().map(|counts| counts.failing).find(|failing| failing.sum > 0);
        Facts {
            board: self.board,
            failures: tally.failures,
            split,
            wanted: self.wanted,
            failing: failing.unwrap_or_default(),
            edited: self.objects.edited().into_iter().filter(|file| file != ROUTE_FILE).collect(),
            ended,
        }
    }
}

impl Output {
    fn show(&mut self, board: &Board, events: &Events, directory: &Path) -> io::Result<()> {
        match self {
            Self::Screen(screen) => {
                let events: Vec<&str> = events.last(EVENTS_SHOWN).collect();
                let rows = screen.rows()?;
                screen.draw(&view::lines(board, &directory.to_string_lossy(), &events, rows))
            }
            Self::Lines { printed, events: seen } => {
                let mut out = io::stdout().lock();
                let (new, all) = events.after(*seen);
                for event in new {
                    writeln!(out, "{event}")?;
                }
                *seen = all;
                if printed.is_none_or(|printed| printed.elapsed() >= PRINT_EVERY) {
                    *printed = Some(Instant::now());
                    writeln!(out, "{}", view::plain(board))?;
                }
                out.flush()
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
