use proptest::prelude::*;

use super::*;

fn turned(text: &str) -> String {
    Exposition::read(text).unwrap().into_text()
}

#[test]
fn text_of_prometheus_stays_as_it_is() {
    let text = "# HELP http_requests_total The number.
# TYPE http_requests_total counter
http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000
http_requests_total{path=\"C:\\\\DIR\\\\} \\\"x\\\" # {\"} +Inf
# TYPE rpc summary
rpc{quantile=\"0.5\"} 4773
rpc_sum 1.7560473e+07
rpc_count 2693
plain NaN
";
    assert_eq!(turned(text), text);
    assert_eq!(turned("# a comment\n\nup 1\n"), "up 1\n");
    assert_eq!(turned("up  { } 1"), "up{ } 1\n");
}

#[test]
fn openmetrics_becomes_text_of_prometheus() {
    let text = "# HELP foo The foo.
# TYPE foo counter
# UNIT foo seconds
foo_total{a=\"b # {\"} 17.0 1520879607.789 # {trace_id=\"x\"} 0.5
# TYPE build info
build_info{v=\"1\"} 1
# TYPE late gauge
# HELP late After its type.
late 1
# TYPE odd unknown
odd 2
# TYPE lat histogram
lat_bucket{le=\"+Inf\"} 3 # {trace_id=\"x\"} 0.5 1520879607.789
lat_count 3
# EOF
";
    let wanted = "# HELP foo_total The foo.
# TYPE foo_total counter
foo_total{a=\"b # {\"} 17.0 1520879607789
# TYPE build_info gauge
build_info{v=\"1\"} 1
# TYPE late gauge
# HELP late After its type.
late 1
# TYPE odd untyped
odd 2
# TYPE lat histogram
lat_bucket{le=\"+Inf\"} 3
lat_count 3
";
    assert_eq!(turned(text), wanted);
    assert_eq!(turned("# EOF\n"), "");
}

#[test]
fn what_is_no_metric_is_told_by_its_line() {
    for wrong in [
        "<html>",
        "a",
        "a b",
        "a 1 2 3",
        "1a 1",
        "{\"a\"} 1",
        "a{b=\"c} 1",
        "a 1 soon",
        "a 1 1.5",
        "a-b 1",
        "a{b=\"c\"}",
    ] {
        let read = Exposition::read(&format!("up 1\n{wrong}\n"));
        assert_eq!(read.err(), Some(Unreadable::Line(2)), "{wrong}");
    }
}

#[test]
fn the_first_that_has_a_name_keeps_it() {
    let mut metrics =
        Exposition::read("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 7\nx_sum 1\n").unwrap();
    let own = "# HELP process_cpu_seconds Time.
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 9
# HELP x The x.
# TYPE x histogram
x_sum 5
x_count 5
# TYPE own gauge
own 1
# EOF
";
    metrics.add_missing(own).unwrap();
    metrics.add_missing("own 2\nnext 3\n").unwrap();
    assert_eq!(metrics.add_missing("other 4\n<html>"), Err(Unreadable::Line(2)));
    let wanted = "# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 7
x_sum 1
# HELP x The x.
# TYPE x histogram
x_count 5
# TYPE own gauge
own 1
next 3
";
    assert_eq!(metrics.into_text(), wanted);
}

#[test]
fn the_metrics_of_this_process_can_be_turned() {
    let metrics = byrnie_runtime::metrics::Metrics::new();
    metrics.counter("byrnie_x_total", "One").inc();
    metrics.histogram("byrnie_y_seconds", "Two", &[1.0]).observe(0.5);
    let text = turned(&metrics.encode());
    assert!(text.contains("# HELP byrnie_x_total One.\n# TYPE byrnie_x_total counter\nbyrnie_x_total 1\n"), "{text}");
    assert!(text.contains("# TYPE byrnie_y_seconds histogram\nbyrnie_y_seconds_sum 0.5\n"), "{text}");
    assert_eq!(turned(&text), text);
}

proptest! {
    #[test]
    fn what_was_turned_is_turned_to_itself(text in "([a-c_]{0,4}(\\{[a\"=\\\\},]{0,6}\\})?[ #0-9.TYPEHELPcounter\n]{0,12}){0,6}(\n# EOF)?") {
        if let Ok(once) = Exposition::read(&text) {
            let once = once.into_text();
            prop_assert_eq!(turned(&once), once);
        }
    }
}
