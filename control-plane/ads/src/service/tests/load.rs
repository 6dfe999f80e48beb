//! Load reports over a real connection.

use byrnie_proto::envoy::envoy::{
    config::{
        core::v3::Node,
        endpoint::v3::{ClusterStats, UpstreamLocalityStats},
    },
    service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse},
};
use byrnie_snapshot::{Dialect, Snapshot};
use tonic::Code;

use super::fixture::{Fixture, Line, PATIENCE};

const LRS: &str = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

type Reports = Line<LoadStatsRequest, LoadStatsResponse>;

fn entering(id: &str) -> LoadStatsRequest {
    let node = Node { id: id.into(), user_agent_name: "byrnie-proxy".into(), ..Node::default() };
    LoadStatsRequest { node: Some(node), ..LoadStatsRequest::default() }
}

fn report(successes: u64, active: u64) -> LoadStatsRequest {
    let locality = UpstreamLocalityStats {
        total_successful_requests: successes,
        total_requests_in_progress: active,
        ..UpstreamLocalityStats::default()
    };
    let cluster = ClusterStats {
        cluster_name: "shop/cart:80".into(),
        upstream_locality_stats: vec![locality],
        ..ClusterStats::default()
    };
    LoadStatsRequest { cluster_stats: vec![cluster], ..LoadStatsRequest::default() }
}

#[tokio::test]
async fn a_client_is_told_how_often_to_report_what_and_its_figures_are_kept_until_it_is_gone() {
    let fixture = Fixture::start(Snapshot::default()).await;
    let mut line = Reports::open(fixture.channel().await, LRS, None).await;
    line.say(entering("shop/cart-1")).await;
    let wanted = line.hear().await.unwrap();
    assert!(wanted.send_all_clusters && wanted.clusters.is_empty());
    assert_eq!(wanted.load_reporting_interval.unwrap().seconds, 5);
    line.say(report(3, 1)).await;
    line.say(report(4, 2)).await;
    fixture.until("both reports", |hub| hub.figures().load_reports == 3).await;
    let loads = fixture.loads.list();
    assert_eq!((loads.len(), loads[0].dialect), (1, Dialect::Micro));
    assert_eq!((loads[0].counts.successes, loads[0].active), (7, 2));
    drop(line);
    let gone = async {
        while fixture.loads.list()[0].active > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the stream does not end");
    assert_eq!(fixture.loads.list()[0].counts.successes, 7);
}

#[tokio::test]
async fn who_may_not_discover_may_not_report() {
    let fixture = Fixture::start(Snapshot::default()).await;
    for (id, code) in [("nowhere/cart-1", Code::PermissionDenied), ("cart-1", Code::InvalidArgument)] {
        let mut line = Reports::open(fixture.channel().await, LRS, None).await;
        line.say(entering(id)).await;
        assert_eq!(line.hear().await.unwrap_err().code(), code);
    }
    assert_eq!(fixture.hub.figures().refused_streams, 2);
    assert_eq!(fixture.loads.list(), []);
}
