use super::*;

fn traffic(attempts: u32, on: &[RetryOn]) -> Retry {
    Retry { attempts, on: on.to_vec(), per_try_timeout: None, backoff: None }
}

fn word(word: &str) -> RetryOn {
    RetryOn::Condition(word.into())
}

fn route(codes: &[u16], attempts: Option<u32>) -> RouteRetry {
    RouteRetry { codes: codes.to_vec(), attempts, backoff: None }
}

#[test]
fn with_no_object_at_all_only_what_the_application_never_saw_is_tried_again_elsewhere() {
    let policy = policy(None, None, None).unwrap();
    assert_eq!(policy.retry_on, "connect-failure,refused-stream,reset-before-request,retriable-headers");
    assert_eq!(policy.num_retries, pack::number(2));
    assert_eq!(policy.retriable_headers[0].name, "x-byrnie-undelivered");
    assert_eq!(policy.retry_host_predicate.len(), 1);
    assert!(policy.host_selection_retry_max_attempts > 1);
    assert_eq!(policy.per_try_timeout, None);
}

#[test]
fn the_routes_word_wins_over_the_policy() {
    let policy = policy(Some(&route(&[503], None)), Some(&traffic(9, &[word("5xx")])), None).unwrap();
    assert_eq!(policy.retry_on, "connect-failure,refused-stream,reset,retriable-headers,retriable-status-codes");
    assert_eq!(policy.retriable_status_codes, [503]);
    assert_eq!(policy.num_retries, pack::number(2));
}

#[test]
fn words_and_codes_of_a_policy_replace_the_defaults_but_not_the_mark() {
    let on = [word("gateway-error"), RetryOn::Status(409), word("retriable-headers"), word("unavailable")];
    let policy = policy(None, Some(&traffic(5, &on)), None).unwrap();
    assert_eq!(policy.retry_on, "gateway-error,unavailable,retriable-headers,retriable-status-codes");
    assert_eq!(policy.retriable_status_codes, [409]);
    assert_eq!(policy.num_retries, pack::number(5));
}

#[test]
fn no_attempts_turn_retries_off_and_keep_the_limit_of_the_one_try() {
    let off = traffic(0, &[word("5xx")]);
    assert_eq!(policy(None, Some(&off), None), None);
    assert_eq!(policy(None, Some(&off), Some(Duration::ZERO)), None);
    let limited = policy(None, Some(&off), Some(Duration::from_secs(1))).unwrap();
    assert_eq!((limited.num_retries, limited.retry_on), (pack::number(0), String::new()));
    assert_eq!(limited.per_try_timeout, Some(pack::duration(Duration::from_secs(1))));
    assert_eq!(policy(Some(&route(&[], Some(0))), None, None), None);
}

#[test]
fn a_rules_limit_of_a_try_wins_over_the_policys() {
    let limited = Retry { per_try_timeout: Some(Duration::from_secs(9)), ..traffic(1, &[]) };
    let of = |limit| policy(None, Some(&limited), limit).unwrap().per_try_timeout;
    assert_eq!(of(Some(Duration::from_secs(1))), Some(pack::duration(Duration::from_secs(1))));
    assert_eq!(of(None), Some(pack::duration(Duration::from_secs(9))));
    assert_eq!(of(Some(Duration::ZERO)), None, "0 is no limit, as the rule says");
}

#[test]
fn a_backoff_is_one_that_envoy_takes() {
    let pause = |base, max| {
        let backoff = Backoff { base: Duration::from_millis(base), max: Some(Duration::from_millis(max)) };
        policy(None, Some(&Retry { backoff: Some(backoff), ..traffic(1, &[]) }), None).unwrap().retry_back_off
    };
    let millis = |ms| Some(pack::duration(Duration::from_millis(ms)));
    assert_eq!(pause(0, 10), None);
    let raised = pause(20, 10).unwrap();
    assert_eq!((raised.base_interval, raised.max_interval), (millis(20), millis(20)));
}

#[test]
fn grpc_gets_only_words_that_it_knows_and_nothing_by_default() {
    assert_eq!(grpc(None, None), None);
    assert_eq!(grpc(Some(&route(&[503], Some(3))), None), None);
    let policy = grpc(None, Some(&traffic(3, &[word("5xx"), word("unavailable"), word("cancelled")]))).unwrap();
    assert_eq!(policy.retry_on, "unavailable,cancelled");
    assert_eq!(policy.num_retries, pack::number(3));
    assert!(policy.retry_host_predicate.is_empty());
}
