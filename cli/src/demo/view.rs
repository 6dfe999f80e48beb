//! The picture as lines of text: coloured for a terminal, one plain line for a file.

use std::{collections::BTreeMap, time::Duration};

use super::{
    apps::Proof,
    board::{Board, Edge, Endpoint},
    counts::Latency,
    endpoints::Health,
    kind::Kind,
    mesh::{CLIENT, ROUTE_FILE, VERSIONED},
    split::{Seen, Wanted},
};

const BAR: usize = 24;

/// A colour of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// As the terminal has it.
    #[default]
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Good.
    Green,
    /// Worth a look.
    Yellow,
    /// Bad.
    Red,
}

/// A line of coloured pieces.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The pieces.
    pub pieces: Vec<(Ink, String)>,
}

impl Line {
    fn with(mut self, ink: Ink, text: impl Into<String>) -> Self {
        self.pieces.push((ink, text.into()));
        self
    }

    /// Its text alone.
    #[cfg(test)]
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Of a picture that is too high, identities give way: they never change.
const LEAST_EVENTS: usize = 3;

/// The whole picture; of the events as many of the newest as `rows` have room for.
pub fn lines(board: &Board, directory: &str, events: &[&str], rows: usize) -> Vec<Line> {
    let blank = Line::default;
    let mut lines = vec![title(board), invitation(directory), blank(), heading()];
    lines.extend(board.edges.iter().map(edge));
    lines.push(blank());
    lines.extend(sidecars(board));
    lines.extend([blank(), split(board.split, board.wanted), blank()]);
    lines.extend(endpoints(board));
    let identities = identities(board);
    if lines.len() + identities.len() + 4 + LEAST_EVENTS <= rows {
        let heading = "IDENTITIES, as the sidecars proved them, spiffe://";
        lines.extend([blank(), Line::default().with(Ink::Bold, heading)]);
        lines.extend(identities);
    }
    lines.extend([blank(), Line::default().with(Ink::Bold, "EVENTS")]);
    let room = rows.saturating_sub(lines.len());
    let newest = events.iter().skip(events.len().saturating_sub(room));
    lines.extend(newest.map(|event| Line::default().with(Ink::Plain, *event)));
    lines
}

/// The picture in one line.
pub fn plain(board: &Board) -> String {
    let (succeeded, failed) = board.load;
    let first = board.edges.iter().find(|edge| edge.caller == CLIENT.name);
    let (rate, latency) = (first.map_or(0.0, |edge| edge.per_second), first.and_then(|edge| edge.recent));
    let retries: u64 = board.edges.iter().map(|edge| edge.retries).sum();
    let split = board.split.percent().map_or("-".to_owned(), |[v1, v2]| format!("{v1:.0}/{v2:.0}"));
    let out = board.endpoints.iter().filter(|endpoint| endpoint.health != Health::Healthy);
    let out: Vec<_> = out.map(|endpoint| format!("{} of {}", endpoint.name, endpoint.caller)).collect();
    let out = if out.is_empty() { "none".to_owned() } else { out.join(", ") };
    format!(
        "{:>5}  {rate:5.1} req/s  ok {succeeded}  failed {failed}  retries {retries}  p50/p99 {}/{}  cart v1/v2 {split}  out of use: {out}",
        clock(board.elapsed),
        millis(latency.map(|latency| latency.p50)),
        millis(latency.map(|latency| latency.p99)),
    )
}

fn title(board: &Board) -> Line {
    let (answering, all) = board.sidecars;
    let ink = if answering == all { Ink::Green } else { Ink::Red };
    Line::default()
        .with(Ink::Bold, "byrnie demo")
        .with(Ink::Plain, format!("  {}  ", clock(board.elapsed)))
        .with(ink, format!("{answering} of {all} sidecars answer"))
        .with(Ink::Dim, "  q ends")
}

fn invitation(directory: &str) -> Line {
    Line::default()
        .with(Ink::Plain, "edit ")
        .with(Ink::Bold, format!("{directory}/{ROUTE_FILE}"))
        .with(Ink::Plain, " and watch")
}

fn heading() -> Line {
    let text = format!(
        "{:<20}{:>8}{:>8}{:>10}{:>8}{:>8}{:>8}  mTLS",
        "CALLS", "req/s", "total", "success", "retries", "p50", "p99"
    );
    Line::default().with(Ink::Bold, text)
}

fn edge(edge: &Edge) -> Line {
    let latency = edge.recent;
    let success = edge.success.map_or("-".to_owned(), |percent| format!("{percent:.1} %"));
    let ink = match edge.success {
        Some(percent) if percent < 99.0 => Ink::Red,
        Some(percent) if percent < 100.0 => Ink::Yellow,
        Some(_) => Ink::Green,
        None => Ink::Dim,
    };
    let (tls_ink, tls) = if edge.is_proved() { (Ink::Green, "yes") } else { (Ink::Red, "NO") };
    Line::default()
        .with(Ink::Plain, format!("{:<20}{:>8.1}{:>8}", name(edge), edge.per_second, edge.answered))
        .with(ink, format!("{success:>10}"))
        .with(if edge.retries > 0 { Ink::Yellow } else { Ink::Plain }, format!("{:>8}", edge.retries))
        .with(Ink::Plain, format!("{:>8}{:>8}  ", millis(latency.map(p50)), millis(latency.map(p99))))
        .with(tls_ink, tls)
}

fn split(seen: Seen, wanted: Option<Wanted>) -> Line {
    let line = Line::default().with(Ink::Bold, "SPLIT OF CART  ");
    let Some([v1, v2]) = seen.percent() else { return line.with(Ink::Dim, "no answers") };
    let filled = ((v1 / 100.0 * BAR as f64).round() as usize).min(BAR);
    let wanted = wanted.map(Wanted::percent);
    line.with(Ink::Plain, format!("v1 {v1:5.1} % "))
        .with(Ink::Green, "█".repeat(filled))
        .with(Ink::Yellow, "█".repeat(BAR - filled))
        .with(Ink::Plain, format!(" {v2:5.1} % v2  "))
        .with(Ink::Dim, wanted.map_or(String::new(), |[v1, v2]| format!("wanted {v1:.0}/{v2:.0}")))
}

/// Which Pods have which kind, and what flows from each kind to each over mTLS.
fn sidecars(board: &Board) -> Vec<Line> {
    let mut pods: BTreeMap<Kind, Vec<&str>> = BTreeMap::new();
    board.kinds.iter().for_each(|(pod, kind)| pods.entry(*kind).or_default().push(pod));
    let pods: BTreeMap<Kind, String> = pods.into_iter().map(|(kind, pods)| (kind, pods.join(" "))).collect();
    let heading = "SIDECARS, req/s over mTLS";
    let width = pods.values().map(|pods| 7 + pods.len()).max().unwrap_or_default().max(heading.len());
    let columns: String = pods.keys().map(|kind| format!("{:>9}", format!("to {kind}"))).collect();
    let mut lines = vec![Line::default().with(Ink::Bold, format!("{heading:<width$}{columns}"))];
    for (from, names) in &pods {
        let mut line = Line::default().with(Ink::Plain, format!("{:<width$}", format!("{from:<7}{names}")));
        for to in pods.keys() {
            line = match board.flows.get(&(*from, *to)) {
                Some(flow) if flow.total > 0 => line.with(Ink::Green, format!("{:>9.1}", flow.per_second)),
                Some(_) => line.with(Ink::Red, format!("{:>9}", "none")),
                None => line.with(Ink::Dim, format!("{:>9}", "-")),
            };
        }
        lines.push(line);
    }
    lines
}

/// The endpoints among which a caller chooses, and what is out of use. Those of cart are chosen by the split.
fn endpoints(board: &Board) -> Vec<Line> {
    let mut groups: Vec<(&str, &str, Vec<&Endpoint>)> = Vec::new();
    for endpoint in &board.endpoints {
        match groups.last_mut() {
            Some((caller, service, group)) if *caller == endpoint.caller && *service == endpoint.service => {
                group.push(endpoint);
            }
            _ => groups.push((endpoint.caller, &endpoint.service, vec![endpoint])),
        }
    }
    groups.retain(|(_, service, group)| {
        (group.len() > 1 && *service != VERSIONED) || group.iter().any(|one| one.health != Health::Healthy)
    });
    let mut lines = vec![Line::default().with(Ink::Bold, "ENDPOINTS, as their callers see them")];
    for (caller, service, group) in groups {
        let mut line = Line::default().with(Ink::Plain, format!("{:<17}", format!("{caller} -> {service}")));
        for endpoint in group {
            let (ink, mark) = match endpoint.health {
                Health::Healthy => (Ink::Green, "ok"),
                Health::Ejected => (Ink::Red, "EJECTED"),
                Health::Unhealthy => (Ink::Red, "UNHEALTHY"),
            };
            line = line.with(Ink::Plain, format!("  {} ", endpoint.name)).with(ink, mark);
        }
        lines.push(line);
    }
    lines
}

/// Each pair once: Pods of a service have one account.
fn identities(board: &Board) -> Vec<Line> {
    let mut pairs: Vec<&Proof> = board.edges.iter().filter_map(|edge| edge.hops.proof.as_ref()).collect();
    pairs.sort();
    pairs.dedup();
    pairs
        .into_iter()
        .map(|proof| Line::default().with(Ink::Plain, format!("{} -> {}", bare(&proof.caller), bare(&proof.callee))))
        .collect()
}

fn bare(identity: &str) -> &str {
    identity.strip_prefix("spiffe://").unwrap_or(identity)
}

fn name(edge: &Edge) -> String {
    format!("{} -> {}", edge.caller, edge.callee)
}

fn p50(latency: Latency) -> f64 {
    latency.p50
}

fn p99(latency: Latency) -> f64 {
    latency.p99
}

/// To two digits.
pub fn millis(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 9.95 => format!("{value:.1} ms"),
        Some(value) => format!("{value:.0} ms"),
    }
}

/// `75 s` -> `1:15`
pub fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{board::Flow, load::Hops, mesh::APPLICATIONS};

    fn board() -> Board {
        let proof = Proof { caller: "spiffe://a".to_owned(), callee: "spiffe://b".to_owned() };
        let edge = |callee, proved, success| Edge {
            caller: "client",
            callee,
            per_second: 40.0,
            success,
            answered: 481,
            retries: 23,
            ejections: 1,
            recent: Some(Latency { p50: 0.46, p99: 29.4 }),
            overall: None,
            hops: Hops { proved, unproved: 0, proof: Some(proof.clone()) },
        };
        let endpoint = |name: &str, health| {
            let (caller, service) = ("web-1", "catalog".to_owned());
            Endpoint { caller, service, name: name.to_owned(), health }
        };
        let flow = |total| Flow { total, per_second: 20.06 };
        let (micro, envoy) = (Kind::Micro, Kind::Envoy);
        Board {
            elapsed: Duration::from_secs(75),
            load: (480, 1),
            kinds: vec![("client", micro), ("web-1", micro), ("web-2", envoy)],
            edges: vec![edge("web", 2, Some(100.0)), edge("cart", 0, None)],
            flows: [((micro, micro), flow(9)), ((micro, envoy), flow(0)), ((envoy, micro), flow(1))].into(),
            wanted: Wanted::read(include_str!("mesh/cart-route.yaml")),
            split: Seen { v1: 90, v2: 10 },
            endpoints: vec![endpoint("catalog-1", Health::Healthy), endpoint("catalog-3", Health::Ejected)],
            sidecars: (8, 8),
        }
    }

    #[test]
    fn the_picture_names_all_that_the_reader_asks_for() {
        let lines = lines(&board(), "/tmp/x", &["oldest", "old", "older", "cart-route.yaml changed"], 23);
        let text: Vec<String> = lines.iter().map(Line::text).collect();
        let expect = |line: &str| assert!(text.iter().any(|shown| shown == line), "{line:?} is not in {text:#?}");
        expect("byrnie demo  1:15  8 of 8 sidecars answer  q ends");
        expect("edit /tmp/x/cart-route.yaml and watch");
        expect("client -> web           40.0     481   100.0 %      23  0.5 ms   29 ms  yes");
        expect("client -> cart          40.0     481         -      23  0.5 ms   29 ms  NO");
        expect("SIDECARS, req/s over mTLS to micro to envoy");
        expect("micro  client web-1           20.1     none");
        expect("envoy  web-2                  20.1        -");
        expect(&format!("SPLIT OF CART  v1  90.0 % {}  10.0 % v2  wanted 90/10", "█".repeat(BAR)));
        expect("web-1 -> catalog   catalog-1 ok  catalog-3 EJECTED");
        assert_eq!(text.iter().filter(|line| *line == "a -> b").count(), 1, "two edges, one pair");
        assert!(text.iter().all(|line| line.chars().count() <= 80), "80 columns hold it: {text:#?}");
        assert_eq!(text.last().unwrap(), "cart-route.yaml changed");
        assert_eq!(text.len(), 23, "the oldest event gives way: {text:#?}");
    }

    #[test]
    fn identities_give_way_where_there_are_few_rows() {
        let lines = lines(&board(), "/tmp/x", &["one", "two", "three"], 22);
        let text: Vec<String> = lines.iter().map(Line::text).collect();
        assert!(!text.iter().any(|line| line.starts_with("IDENTITIES")), "{text:#?}");
        assert_eq!(text.last().unwrap(), "three");
    }

    #[test]
    fn eighty_columns_hold_the_sidecars_of_one_kind() {
        let pods = [CLIENT].into_iter().chain(APPLICATIONS);
        let board = Board { kinds: pods.map(|pod| (pod.name, Kind::Micro)).collect(), ..board() };
        assert!(sidecars(&board).iter().all(|line| line.text().chars().count() <= 80));
    }

    #[test]
    fn without_a_terminal_the_picture_is_one_line() {
        assert_eq!(
            plain(&board()),
            " 1:15   40.0 req/s  ok 480  failed 1  retries 46  p50/p99 0.5 ms/29 ms  cart v1/v2 90/10  out of use: catalog-3 of web-1"
        );
    }

    #[test]
    fn an_empty_picture_can_be_drawn() {
        let text: Vec<String> = lines(&Board::default(), "/x", &[], 24).iter().map(Line::text).collect();
        assert!(text.iter().any(|line| line.contains("no answers")), "{text:?}");
        assert!(plain(&Board::default()).contains("cart v1/v2 -"));
    }
}
