//! What clients reported of their calls, for `byrnie stat`, `/debug/stat` and `/debug/loads`.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use byrnie_ads::{Counts, Load};
use byrnie_model::{ServiceName, WorkloadName};
use byrnie_proto::latency;
use byrnie_snapshot::{Dialect, names};
use serde_json::{Map, Value, json};

/// What a row stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// A workload, and a port of a Service (or a pod) that it calls.
    #[default]
    Pair,
    /// A port of a Service (or a pod), whoever calls it.
    Service,
}

/// A word that is no [`By`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("by is {0:?}; accepted: pair, service")]
pub struct UnknownBy(String);

/// The requests of one row.
#[derive(Default)]
struct Sum<'a> {
    clients: BTreeSet<&'a WorkloadName>,
    proxies: BTreeSet<String>,
    counts: Counts,
    per_second: f64,
    active: u64,
}

/// One object a row, by source and destination. `of` leaves those whose source or destination it names, as
/// `NAMESPACE/NAME`.
pub fn rows(loads: &[Load], by: By, of: Option<&str>) -> Value {
    let mut sums: BTreeMap<(Option<&WorkloadName>, &str), Sum<'_>> = BTreeMap::new();
    for load in loads {
        // Others are not taken in.
        let Some(destination) = names::destination(&load.cluster) else { continue };
        let source = (by == By::Pair).then_some(&load.client);
        if of.is_some_and(|of| !concerns(of, source, destination)) {
            continue;
        }
        let sum = sums.entry((source, destination)).or_default();
        sum.clients.insert(&load.client);
        sum.proxies.insert(load.dialect.to_string());
        sum.counts += &load.counts;
        sum.per_second += load.per_second;
        sum.active = sum.active.saturating_add(load.active);
    }
    sums.into_iter().map(|((source, destination), sum)| row(source, destination, &sum)).collect()
}

/// What clients reported, unsummed: reports that several control planes were told can be put together by [`read`].
pub fn raw(loads: &[Load]) -> Value {
    let one = |load: &Load| {
        json!({
            "client": load.client.to_string(),
            "proxy": load.dialect.to_string(),
            "cluster": &*load.cluster,
            "successes": load.counts.successes,
            "errors": load.counts.errors,
            "latencies": load.counts.latencies.as_ref().map(|latencies| latencies.as_slice()),
            "requestsPerSecond": load.per_second,
            "active": load.active,
        })
    };
    loads.iter().map(one).collect()
}

/// What [`raw`] wrote; `None` where it did not.
pub fn read(raw: &Value) -> Option<Vec<Load>> {
    raw.as_array()?.iter().map(read_one).collect()
}

fn read_one(load: &Value) -> Option<Load> {
    let dialects = [Dialect::Envoy, Dialect::Micro, Dialect::Grpc];
    let latencies = match &load["latencies"] {
        Value::Null => None,
        latencies => {
            let counts: Option<Vec<u64>> = latencies.as_array()?.iter().map(Value::as_u64).collect();
            Some(counts?.into_boxed_slice().try_into().ok()?)
        }
    };
    Some(Load {
        client: load["client"].as_str()?.parse().ok()?,
        dialect: dialects.into_iter().find(|dialect| load["proxy"] == dialect.to_string())?,
        cluster: load["cluster"].as_str()?.into(),
        counts: Counts { successes: load["successes"].as_u64()?, errors: load["errors"].as_u64()?, latencies },
        per_second: load["requestsPerSecond"].as_f64()?,
        active: load["active"].as_u64()?,
    })
}

fn concerns(of: &str, source: Option<&WorkloadName>, destination: &str) -> bool {
    let service = destination.rsplit_once(':').map_or(destination, |(service, _)| service);
    service == of || source.is_some_and(|source| source.to_string() == of)
}

fn row(source: Option<&WorkloadName>, destination: &str, sum: &Sum<'_>) -> Value {
    let Counts { successes, errors, latencies } = &sum.counts;
    let ended = successes.saturating_add(*errors);
    let percentile = |share: f64| latencies.as_ref().and_then(|latencies| percentile(&**latencies, share));
    let mut fields = Map::new();
    match source {
        Some(source) => fields.insert("source".to_owned(), json!(source.to_string())),
        None => fields.insert("clients".to_owned(), json!(sum.clients.len())),
    };
    let more = json!({
        "destination": destination,
        "proxies": sum.proxies,
        "requests": ended,
        "successRate": (ended > 0).then(|| *successes as f64 / ended as f64),
        "requestsPerSecond": sum.per_second,
        "active": sum.active,
        "p50Ms": percentile(0.5),
        "p95Ms": percentile(0.95),
        "p99Ms": percentile(0.99),
    });
    fields.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(fields)
}

/// The latency in milliseconds that `share` of the requests did not exceed, as if they lay evenly in their bucket. What is
/// beyond the last bound is said to lie on it.
fn percentile(buckets: &[u64], share: f64) -> Option<f64> {
    let total: f64 = buckets.iter().map(|count| *count as f64).sum();
    let rank = total * share;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, upper) in buckets.iter().zip(latency::BOUNDS_MS) {
        let count = *count as f64;
        let upper = f64::from(upper);
        if count > 0.0 && below + count >= rank {
            return Some(lower + (upper - lower) * (rank - below) / count);
        }
        below += count;
        lower = upper;
    }
    (total > 0.0).then_some(lower)
}

impl FromStr for By {
    type Err = UnknownBy;

    fn from_str(text: &str) -> Result<Self, UnknownBy> {
        match text {
            "pair" => Ok(Self::Pair),
            "service" => Ok(Self::Service),
            other => Err(UnknownBy(other.to_owned())),
        }
    }
}

/// Whether a text may name a workload or a Service.
pub fn is_name(text: &str) -> bool {
    text.parse::<ServiceName>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(client: &str, dialect: Dialect, cluster: &str, latencies: Option<&[(usize, u64)]>) -> Load {
        let latencies = latencies.map(|latencies| {
            let mut buckets = Box::new([0; latency::BUCKETS]);
            latencies.iter().for_each(|(bucket, count)| buckets[*bucket] = *count);
            buckets
        });
        Load {
            client: client.parse().unwrap(),
            dialect,
            cluster: cluster.into(),
            counts: Counts { successes: 9, errors: 1, latencies },
            per_second: 2.0,
            active: 1,
        }
    }

    fn loads() -> Vec<Load> {
        vec![
            load("shop/web-1", Dialect::Micro, "shop/cart:80", Some(&[(0, 8), (3, 2)])),
            load("shop/web-1", Dialect::Micro, "direct/shop/db:5432/shop/db", None),
            load("shop/web-1", Dialect::Micro, "out/10.1.2.3:8080", None),
            load("shop/web-2", Dialect::Envoy, "shop/cart:80", None),
        ]
    }

    fn texts(rows: &Value, field: &str) -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_row_is_a_pair_and_latencies_are_of_those_who_tell_them() {
        let rows = rows(&loads(), By::Pair, None);
        assert_eq!(texts(&rows, "destination"), ["10.1.2.3:8080", "shop/cart:80", "shop/db:5432", "shop/cart:80"]);
        let cart = &rows[1];
        assert_eq!(
            (&cart["successRate"], &cart["requestsPerSecond"], &cart["active"]),
            (&json!(0.9), &json!(2.0), &json!(1))
        );
        assert_eq!((&cart["p50Ms"], &cart["p95Ms"]), (&json!(0.625), &json!(8.75)));
        assert_eq!((&rows[3]["source"], &rows[3]["p50Ms"]), (&json!("shop/web-2"), &Value::Null));
    }

    #[test]
    fn a_row_by_service_adds_up_its_clients() {
        let rows = rows(&loads(), By::Service, None);
        assert_eq!(texts(&rows, "destination"), ["10.1.2.3:8080", "shop/cart:80", "shop/db:5432"]);
        let cart = &rows[1];
        assert_eq!(
            (&cart["clients"], &cart["requests"], &cart["requestsPerSecond"]),
            (&json!(2), &json!(20), &json!(4.0))
        );
        assert_eq!(cart["proxies"], json!(["byrnie-proxy", "envoy"]));
        assert!(cart["p99Ms"].is_number());
    }

    #[test]
    fn what_two_control_planes_were_told_adds_up() {
        let read = |loads: &[Load]| read(&raw(loads)).unwrap();
        assert_eq!(read(&loads()), loads());
        let moved = [load("shop/web-1", Dialect::Micro, "shop/cart:80", Some(&[(0, 1), (3, 9)]))];
        let rows = rows(&[read(&loads()), read(&moved)].concat(), By::Pair, Some("shop/cart"));
        assert_eq!(texts(&rows, "source"), ["shop/web-1", "shop/web-2"]);
        assert_eq!((&rows[0]["requests"], &rows[0]["requestsPerSecond"]), (&json!(20), &json!(4.0)));
        assert_eq!(rows[0]["p50Ms"], json!(5.0 + 5.0 / 11.0), "9 are below 5 ms, 11 below 10 ms");
    }

    #[test]
    fn a_document_of_another_form_is_not_read() {
        for other in [json!({}), json!([{}]), json!([{"latencies": [1]}])] {
            assert_eq!(read(&other), None, "{other}");
        }
        let mut short = raw(&loads());
        short[0]["latencies"] = json!([1, 2]);
        assert_eq!(read(&short), None);
    }

    #[test]
    fn a_name_leaves_the_rows_of_that_workload_or_service() {
        let count = |by, of| rows(&loads(), by, Some(of)).as_array().unwrap().len();
        assert_eq!(count(By::Pair, "shop/cart"), 2);
        assert_eq!(count(By::Pair, "shop/web-1"), 3);
        assert_eq!(count(By::Service, "shop/cart"), 1);
        assert_eq!(count(By::Service, "shop/web-1"), 0);
        assert_eq!(count(By::Pair, "shop/car"), 0);
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let mut buckets = [0; latency::BUCKETS];
        assert_eq!(percentile(&buckets, 0.5), None);
        buckets[latency::BUCKETS - 1] = 1;
        assert_eq!(percentile(&buckets, 0.5), Some(10_000.0));
        buckets[1] = 99;
        assert_eq!(percentile(&buckets, 0.99), Some(2.0));
        assert_eq!(percentile(&buckets, 0.0), Some(1.0));
    }
}
