//! `byrnie stat` over what a real Envoy reports.

use anyhow::Result;
use byrnie_tests::{
    app::{App, reply},
    pair::Pair,
};
use serde_json::Value;

/// The rows that `byrnie stat ARGUMENTS` shows.
fn rows(pair: &Pair, arguments: &[&str]) -> Result<Vec<Value>> {
    let shown = pair.mesh.cli(&[&["stat", "-o", "json"], arguments].concat())?;
    Ok(serde_json::from_str(&shown)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_envoy_calls_is_shown_by_pair_and_by_service() -> Result<()> {
    let app = App::http1(|asked| reply(if asked.uri == "/bad" { 500 } else { 200 }, "")).await?;
    let pair = Pair::start("http", app.address()).await?;
    // Envoy counts from the moment at which it was asked to.
    pair.mesh
        .until("calls are reported", async |_| {
            for path in ["/", "/", "/", "/bad"] {
                pair.get(path).await?;
            }
            Ok(!rows(&pair, &[])?.is_empty())
        })
        .await?;
    let shown = rows(&pair, &[])?;
    assert_eq!(shown.len(), 1, "what is no Service is not counted: {shown:?}");
    let row = &shown[0];
    assert_eq!((&row["source"], &row["destination"]), (&"shop/web-1".into(), &"shop/cart:80".into()));
    assert_eq!(row["proxies"], Value::from(vec!["envoy"]));
    let rate = row["successRate"].as_f64().unwrap();
    assert!((0.6..0.9).contains(&rate), "{row}");
    assert!(row["requestsPerSecond"].as_f64().unwrap() > 0.0 && row["requests"].as_u64().unwrap() > 0, "{row}");
    assert!(row["p50Ms"].is_null(), "Envoy reports no latency");

    let by_service = rows(&pair, &["--by", "service", "shop/cart"])?;
    assert_eq!((&by_service[0]["destination"], &by_service[0]["clients"]), (&"shop/cart:80".into(), &1.into()));
    assert!(rows(&pair, &["shop/cart-1"])?.is_empty(), "the server calls nobody");
    assert_eq!(rows(&pair, &["shop/web-1"])?.len(), 1);

    let table = pair.mesh.cli(&["stat"])?;
    assert!(table.starts_with("SOURCE      DESTINATION   SUCCESS"), "{table}");
    let yaml = pair.mesh.cli(&["stat", "-o", "yaml"])?;
    assert!(yaml.contains("destination: \"shop/cart:80\"") || yaml.contains("destination: shop/cart:80"), "{yaml}");
    assert!(pair.mesh.cli(&["stat", "cart"]).unwrap_err().to_string().contains("NAMESPACE/NAME is accepted"));
    assert!(pair.mesh.debug("/debug/stat?by=pod").await.unwrap_err().to_string().contains("accepted: pair, service"));

    let metrics = byrnie_tests::http::get(pair.mesh.admin(), "localhost", "/metrics").await?.body;
    let reports = metrics.lines().find_map(|line| line.strip_prefix("byrnie_load_reports_total ")).unwrap_or("0");
    assert_ne!(reports, "0");
    Ok(())
}
