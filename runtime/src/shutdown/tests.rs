use std::{
    future::{pending, ready},
    process::Command,
};

use tokio::sync::oneshot;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn draining_waits_for_the_tasks_to_finish_by_themselves() {
    let drain = Drain::new();
    let watch = drain.watch();
    let (finish_request, request) = oneshot::channel::<()>();
    let connection = drain.watch().spawn(async move {
        request.await.unwrap();
        "answered"
    });
    let accept_loop = watch.clone();
    watch.spawn(async move {
        accept_loop.draining().await;
        finish_request.send(()).unwrap();
    });
    assert_eq!(drain.finish(LIMIT, pending::<()>()).await, Drained::Finished);
    assert_eq!(connection.await.unwrap(), Some("answered"));
}

#[tokio::test(start_paused = true)]
async fn the_limit_forces_what_still_runs() {
    let drain = Drain::new();
    let watch = drain.watch();
    let stuck = drain.watch().spawn(pending::<()>());
    let started = tokio::time::Instant::now();
    assert_eq!(drain.finish(LIMIT, pending::<()>()).await, Drained::Forced { left: 0 });
    assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    assert_eq!(stuck.await.unwrap(), None);
    assert_eq!(watch.stage(), Stage::Forced);
}

#[tokio::test(start_paused = true)]
async fn a_hurry_forces_at_once() {
    let drain = Drain::new();
    drain.watch().spawn(pending::<()>());
    let started = tokio::time::Instant::now();
    assert_eq!(drain.finish(LIMIT, ready(())).await, Drained::Forced { left: 0 });
    assert!(started.elapsed() < FORCED_GRACE);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_the_force_is_counted_and_not_waited_for() {
    let drain = Drain::new();
    drain.spawn(pending::<()>());
    assert_eq!(drain.finish(LIMIT, pending::<()>()).await, Drained::Forced { left: 1 });
}

#[tokio::test]
async fn the_stages_come_in_order_and_a_late_watcher_sees_them() {
    let drain = Drain::new();
    let early = drain.watch();
    assert_eq!(early.stage(), Stage::Running);
    let (observed, stage) = oneshot::channel();
    let watch = drain.watch();
    drain.spawn(async move {
        watch.draining().await;
        observed.send(watch.clone().stage()).unwrap();
    });
    assert_eq!(drain.finish(LIMIT, pending::<()>()).await, Drained::Finished);
    assert_eq!(stage.await.unwrap(), Stage::Draining);
}

#[tokio::test]
async fn a_dropped_owner_forces_the_end() {
    let drain = Drain::new();
    let watch = drain.watch();
    let task = watch.spawn(pending::<()>());
    drop(drain);
    assert_eq!(task.await.unwrap(), None);
    watch.draining().await;
    assert_eq!(watch.stage(), Stage::Forced);
}

#[tokio::test]
async fn each_signal_is_told_by_name() {
    let mut signals = Signals::register().unwrap();
    for (option, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
        let sent = Command::new("kill").args([option, &std::process::id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(signals.next().await, name);
    }
}
