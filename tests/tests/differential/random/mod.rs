//! Random tables of routes and random requests: both data planes must answer each request alike, whatever the table.
//!
//! A batch of tables stands at Services of its own in a world of Envoys and in one of micro-proxies. A table is in force
//! once its marker, a redirect to a name of its own, is answered. A request that a weight decides on is sent again until
//! both worlds have shown the same outcomes. What fails is shrunk by taking rules, matches, filters and requests away as
//! long as it still fails.

mod request;
mod table;

use std::{collections::BTreeMap, env, fmt::Write as _, sync::Arc};

use anyhow::{Context, Result, bail};
use byrnie_tests::objects::http_route;
use proptest::{
    collection::vec,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
};

use self::{
    request::{Request, a_request},
    table::{BACKENDS, Table, a_table},
};
use crate::{
    AT_ONCE, BASELINE, TURN,
    backend::{Script, answer, http1},
    client::Ask,
    message::{Answer, Head},
    record::{Difference, Meant, Transcript, normal},
    scenarios::scenario,
    stage::Stage,
    world::{Place, Plan, Planes, World},
};

/// Tables of a batch, and requests to each.
const TABLES: usize = 50;
const REQUESTS: usize = 20;

/// The least likely backend of a table has one part of five: missing it so often by chance is 2e-8.
const TRIES: usize = 80;

/// Smaller cases that are tried.
const STEPS: usize = 200;

/// A table, and requests to it.
type Case = (Table, Vec<Request>);

/// The two worlds and the Services for tables.
struct Bench {
    stages: [Stage; 2],
    meant: Vec<Meant>,
}

/// A request that is not answered alike.
struct Mismatch {
    request: Request,
    told: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn random_routes_treat_random_requests_alike() -> Result<()> {
    let _turn = TURN.lock().await;
    let number = |name: &str, default: u64| env::var(name).map_or(Ok(default), |text| text.parse());
    let (cases, seed) = (number("BYRNIE_CASES", 1000)?, number("BYRNIE_SEED", 1)?);
    LocalSet::new().run_until(run(cases, seed)).await
}

async fn run(cases: u64, seed: u64) -> Result<()> {
    let bench = Arc::new(Bench::start().await?);
    let batches = cases.div_ceil((TABLES * REQUESTS) as u64);
    for batch in 0..batches {
        let mut runner = runner(seed.wrapping_add(batch));
        let strategy = (a_table(), vec(a_request(), REQUESTS));
        let mut trees = Vec::new();
        for _ in 0..TABLES {
            trees.push(strategy.new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?);
        }
        let all: Vec<Case> = trees.iter().map(ValueTree::current).collect();
        for (index, (table, _)) in all.iter().enumerate() {
            bench.write(index, table, &format!("{batch}"))?;
        }
        let Some((index, first)) = bench.first_mismatch(&all, batch).await? else { continue };
        let told = bench.shrink(index, &mut trees[index], batch).await?;
        let told = told.unwrap_or_else(|| format!("{}{first}\nwhich does not happen again", all[index].0.yaml()));
        bail!("BYRNIE_SEED={} finds, in table {index}:\n{told}", seed.wrapping_add(batch));
    }
    Ok(())
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

impl Bench {
    async fn start() -> Result<Self> {
        let other = crate::compared().pop().context("there is a world beside the baseline")?;
        let (first, second) = tokio::join!(Self::world(BASELINE), Self::world(other));
        Ok(Self { stages: [first?, second?], meant: Meant::all()? })
    }

    async fn world(planes: Planes) -> Result<Stage> {
        let scenario = Arc::new(scenario!("random", plan(), nothing));
        let (_, mut stages) = World::start(planes, vec![scenario]).await?;
        stages.pop().context("one scenario has one stage")
    }

    /// Puts a table into force at one of the Services, with a marker.
    fn write(&self, index: usize, table: &Table, marker: &str) -> Result<()> {
        let mut rules = table.yaml();
        write!(
            rules,
            "- matches: [{{path: {{type: Exact, value: /the-marker}}}}]\n  filters: [{{type: RequestRedirect, \
             requestRedirect: {{hostname: table-{marker}}}}}]\n"
        )?;
        let route = http_route("shop", &format!("$t{index}"), &format!("{{kind: Service, name: $t{index}}}"), &rules);
        self.stages.iter().try_for_each(|stage| stage.write(&format!("t{index}-route.yaml"), &route))
    }

    async fn until_in_force(&self, index: usize, marker: &str) -> Result<()> {
        for stage in &self.stages {
            let at = stage.at(&format!("t{index}"));
            let wanted = format!("http://table-{marker}/the-marker");
            let look = async |_: &byrnie_tests::mesh::Mesh| {
                Ok(Ask::get("/the-marker").send(at).await.header("location") == Some(&wanted))
            };
            stage.world.mesh.until(&format!("table {index} with marker {marker}"), look).await?;
        }
        Ok(())
    }

    /// The first table with a request that is not answered alike.
    async fn first_mismatch(self: &Arc<Self>, cases: &[Case], batch: u64) -> Result<Option<(usize, String)>> {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (index, (_, requests)) in cases.iter().cloned().enumerate() {
            let (bench, gate) = (Arc::clone(self), Arc::clone(&gate));
            tasks.spawn_local(async move {
                let _turn = gate.acquire_owned().await;
                bench.until_in_force(index, &format!("{batch}")).await?;
                anyhow::Ok(
                    bench
                        .mismatch(index, &requests)
                        .await
                        .map(|Mismatch { request, told }| (index, format!("{request}\n{told}"))),
                )
            });
        }
        let found = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().min())
    }

    /// The smallest case that still fails, in words; `None` where it does not fail again.
    async fn shrink(
        &self,
        index: usize,
        tree: &mut impl ValueTree<Value = Case>,
        batch: u64,
    ) -> Result<Option<String>> {
        let mut smallest = None;
        for step in 1..=STEPS {
            let (table, requests) = tree.current();
            let marker = format!("{batch}-{step}");
            self.write(index, &table, &marker)?;
            self.until_in_force(index, &marker).await?;
            let goes_on = match self.mismatch(index, &requests).await {
                Some(Mismatch { request, told }) => {
                    smallest = Some(format!("{}\n{request}\n{told}", table.yaml()));
                    tree.simplify()
                }
                None => tree.complicate(),
            };
            if !goes_on {
                break;
            }
        }
        Ok(smallest)
    }

    async fn mismatch(&self, index: usize, requests: &[Request]) -> Option<Mismatch> {
        for request in requests {
            if let Some(told) = self.differs(index, &request.ask()).await {
                return Some(Mismatch { request: request.clone(), told });
            }
        }
        None
    }

    /// How the two worlds differ for a request, or `None`.
    async fn differs(&self, index: usize, ask: &Ask) -> Option<String> {
        let mut seen = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..TRIES {
            for (stage, seen) in self.stages.iter().zip(&mut seen) {
                let answer = ask.send(stage.at(&format!("t{index}"))).await;
                seen.insert(chosen(&answer), shown(&answer));
            }
            let [first, second] = &seen;
            for (backend, expected) in first {
                let Some(found) = second.get(backend) else { continue };
                let mut differences = found.differences(expected);
                differences.retain(|one| !self.meant.iter().any(|meant| meant.covers("random", one)));
                if !differences.is_empty() {
                    let list = differences.iter().map(Difference::to_string).collect::<String>();
                    return Some(format!("{list}baseline:\n{expected}found:\n{found}"));
                }
            }
            if first.keys().eq(second.keys()) {
                return None;
            }
        }
        let told = |seen: BTreeMap<String, Transcript>| {
            seen.values().map(ToString::to_string).collect::<Vec<_>>().join("or\n")
        };
        let [first, second] = seen.map(told);
        Some(format!("baseline, over {TRIES} requests:\n{first}found:\n{second}"))
    }
}

/// Which backend answered, by its name in the first line of the body; else the status.
fn chosen(answer: &Answer) -> String {
    let text = answer.text();
    let first = text.lines().next().unwrap_or_default();
    if BACKENDS.contains(&first) { first.to_owned() } else { answer.status.to_string() }
}

fn shown(answer: &Answer) -> Transcript {
    let mut transcript = Transcript::default();
    let text = answer.text();
    let mut lines = text.lines();
    if !lines.next().is_some_and(|name| BACKENDS.contains(&name)) {
        transcript.answer("random", answer);
        return transcript;
    }
    // What the application received is told by its answer, line by line, so that its length says no more.
    let mut answer = Answer { body: Vec::new(), ..answer.clone() };
    answer.headers.retain(|(name, _)| name != "content-length");
    transcript.answer("random", &answer);
    transcript.note("random", "application: request", lines.next().unwrap_or_default());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        transcript.note("random", &format!("application: header {name}"), value);
    }
    transcript
}

fn plan() -> Plan {
    let backends = BACKENDS.into_iter().enumerate();
    let plan = backends.fold(Plan::new(), |plan, (index, name)| {
        // The last one stands outside the mesh.
        let place = if index + 1 == BACKENDS.len() { Place::Plain } else { Place::Mesh(index % 2) };
        plan.service(name, "http", vec![(place, http1(move |head, _| describe(name, head)))])
    });
    let tables = (0..TABLES).map(|index| format!("t{index}"));
    tables.fold(plan, |plan, name| plan.service(&name, "http", Vec::new()))
}

/// An answer that tells what was received.
fn describe(name: &str, head: &Head) -> Script {
    let mut fields = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in &head.headers {
        fields.entry(name).or_default().push(normal(name, value));
    }
    let mut text = format!("{name}\n{} {} {}\n", head.method, head.path, head.version);
    for (name, values) in fields {
        text.push_str(&format!("{name}: {}\n", values.join(" | ")));
    }
    answer(200, text).header("x-a", "app").header("x-b", "app").header("x-b", "more").header("server", "app")
}

async fn nothing(_: Arc<Stage>) -> Result<()> {
    Ok(())
}
