use anyhow::{Context, Result};
use byrnie_control_plane::stat;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    output::{self, Format},
    remote::{Admin, Answer},
};

/// `byrnie stat`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what this workload calls, and who calls this Service: NAMESPACE/NAME
    #[arg(value_name = "NAMESPACE/NAME", value_parser = name)]
    of: Option<String>,
    /// What a row stands for
    #[arg(long, value_enum, default_value_t)]
    by: By,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    admin: Admin,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum By {
    /// A workload and what it calls.
    #[default]
    Pair,
    /// What is called, by whomever.
    Service,
}

/// Prints what was called within the last minute, and how it went.
pub async fn run(args: &Args) -> Result<()> {
    let (by, first) = match args.by {
        By::Pair => (stat::By::Pair, "source"),
        By::Service => (stat::By::Service, "clients"),
    };
    let answers = args.admin.control_plane().await?.all("/debug/loads").await?;
    let rows = rows(&answers, by, args.of.as_deref())?;
    output::print(args.output, &rows, |rows| table(rows, first));
    Ok(())
}

/// What all replicas were told, summed: each proxy reports to one of them.
fn rows(answers: &[Answer], by: stat::By, of: Option<&str>) -> Result<Value> {
    let read = |answer: &Answer| {
        stat::read(&answer.document).context("the control plane is of another version: it does not tell its loads")
    };
    let loads: Vec<_> = answers.iter().map(read).collect::<Result<_>>()?;
    Ok(stat::rows(&loads.concat(), by, of))
}

fn table(rows: &Value, first: &str) -> String {
    let rows: Vec<Value> = rows.as_array().into_iter().flatten().map(|row| for_people(row, first)).collect();
    if rows.is_empty() {
        return "nothing was called within the last 60s: proxies report it every 5s\n".to_owned();
    }
    let columns = match first {
        "clients" => ["destination", first],
        _ => [first, "destination"],
    };
    output::table(&rows, &[&columns[..], &["success", "rps", "active", "p50", "p95", "p99"]].concat())
}

fn for_people(row: &Value, first: &str) -> Value {
    let number = |field: &str| row[field].as_f64();
    json!({
        first: row[first],
        "destination": row["destination"],
        "success": number("successRate").map(|rate| format!("{:.2}%", rate * 100.0)),
        "rps": number("requestsPerSecond").map(|rate| format!("{rate:.1}")),
        "active": row["active"],
        "p50": number("p50Ms").map(time),
        "p95": number("p95Ms").map(time),
        "p99": number("p99Ms").map(time),
    })
}

/// Milliseconds as `0.6ms`, `12ms`, `1.5s`; beyond the last bucket nothing is known.
fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms if ms < 1_000.0 => format!("{ms:.0}ms"),
        ms if ms < 10_000.0 => format!("{:.1}s", ms / 1_000.0),
        _ => ">10s".to_owned(),
    }
}

fn name(text: &str) -> Result<String, String> {
    match stat::is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} names no workload and no Service: NAMESPACE/NAME is accepted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_adds_up_what_all_replicas_were_told() {
        let load = |client: &str, errors: u64| {
            let buckets = [[10, 0, 0].as_slice(), &[0; 11]].concat();
            json!([{
                "client": client, "proxy": "byrnie-proxy", "cluster": "shop/cart:80", "successes": 10 - errors,
                "errors": errors, "latencies": buckets, "requestsPerSecond": 2.0, "active": 1,
            }])
        };
        let answer = |document| Answer { replica: Some("one".to_owned()), document };
        let answers = [answer(load("shop/web-1", 0)), answer(load("shop/web-2", 1)), answer(load("shop/web-1", 0))];
        let pairs = rows(&answers, stat::By::Pair, None).unwrap();
        let figures = |row: &Value| [row["requests"].clone(), row["requestsPerSecond"].clone(), row["p99Ms"].clone()];
        assert_eq!(figures(&pairs[0]), [json!(20), json!(4.0), json!(0.99)]);
        assert_eq!(figures(&pairs[1]), [json!(10), json!(2.0), json!(0.99)]);
        let services = rows(&answers, stat::By::Service, Some("shop/cart")).unwrap();
        assert_eq!(figures(&services[0]), [json!(30), json!(6.0), json!(0.99)]);
        assert_eq!((&services[0]["clients"], &services[0]["active"]), (&json!(2), &json!(3)));
        assert!(rows(&[answer(json!({}))], stat::By::Pair, None).unwrap_err().to_string().contains("another version"));
    }

    #[test]
    fn figures_are_short_and_what_nobody_told_is_a_dash() {
        let rows = json!([
            {"source": "shop/web-1", "destination": "shop/cart:80", "successRate": 0.995, "requestsPerSecond": 12.34,
             "active": 3, "p50Ms": 0.625, "p95Ms": 87.4, "p99Ms": 1500.0},
            {"source": "shop/web-2", "destination": "shop/cart:80", "successRate": null, "requestsPerSecond": 0.0,
             "active": 0, "p50Ms": null, "p95Ms": null, "p99Ms": null},
        ]);
        let lines = [
            "SOURCE      DESTINATION   SUCCESS  RPS   ACTIVE  P50    P95   P99",
            "shop/web-1  shop/cart:80  99.50%   12.3  3       0.6ms  87ms  1.5s",
            "shop/web-2  shop/cart:80  -        0.0   0       -      -     -",
        ];
        assert_eq!(table(&rows, "source").lines().collect::<Vec<_>>(), lines);
        assert!(table(&json!([]), "source").contains("nothing was called"));
        assert_eq!(time(10_000.0), ">10s");
    }
}
