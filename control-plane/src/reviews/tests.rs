use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use tokio::{task::JoinSet, time::advance};

use super::*;

/// An API server that takes its time; it refuses `bad`, and the number is how many seconds a token has left.
#[derive(Clone, Default)]
struct Server {
    asked: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

/// When all of this happens.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[async_trait]
impl Review for Server {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.most_at_once.fetch_max(self.at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let Some((pod, left)) = token.split_once(' ') else {
            return Err(ReviewError::Refused(token.to_owned()));
        };
        let left = left.parse().ok().map(Duration::from_secs);
        Ok(Reviewed {
            namespace: "shop".into(),
            account: "cart".into(),
            pod: pod.into(),
            pod_uid: "u-1".into(),
            node: None,
            expires: left.map(|left| now() + left),
        })
    }
}

fn reviews() -> (Server, Arc<Reviews>) {
    let server = Server::default();
    (server.clone(), Arc::new(Reviews::new(server, Arc::new(now))))
}

#[tokio::test(start_paused = true)]
async fn a_review_serves_for_a_minute_and_never_past_the_end_of_the_token() {
    for (token, holds) in [("cart-1 3600", 60), ("cart-1 20", 20)] {
        let (server, reviews) = reviews();
        assert_eq!(&*reviews.review(token).await.unwrap().pod, "cart-1");
        advance(Duration::from_secs(holds - 1)).await;
        reviews.review(token).await.unwrap();
        assert_eq!(server.asked.load(Ordering::SeqCst), 1, "{token}");
        advance(Duration::from_secs(1)).await;
        reviews.review(token).await.unwrap();
        assert_eq!(server.asked.load(Ordering::SeqCst), 2, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_or_does_not_say_when_it_ends_is_asked_again() {
    for token in ["bad", "cart-1 never", "cart-1 0"] {
        let (server, reviews) = reviews();
        let (first, second) = (reviews.review(token).await, reviews.review(token).await);
        assert_eq!((first.is_ok(), second.is_ok()), (token != "bad", token != "bad"));
        assert_eq!(server.asked.load(Ordering::SeqCst), 2, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_one_token_at_once_shares_a_review_and_not_so_many_run_at_once() {
    let (server, reviews) = reviews();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let reviews = Arc::clone(&reviews);
        tasks.spawn(async move { reviews.review(&format!("cart-{} 60", n % 50)).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(server.asked.load(Ordering::SeqCst), 50);
    assert_eq!(server.most_at_once.load(Ordering::SeqCst), MOST_ASKED);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_during_a_review_takes_nothing_from_others() {
    let (server, reviews) = reviews();
    let mut first = JoinSet::new();
    let asked = Arc::clone(&reviews);
    first.spawn(async move { asked.review("cart-1 60").await });
    tokio::task::yield_now().await;
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    let second = async {
        first.abort_all();
        reviews.review("cart-1 60").await
    };
    assert!(second.await.is_ok());
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded_and_makes_room_for_what_is_new() {
    let (_, reviews) = reviews();
    let slots: Vec<_> = (0..MOST_KNOWN + 10).map(|n| reviews.slot(&n.to_string())).collect();
    assert_eq!(reviews.known().len(), MOST_KNOWN);
    drop(slots);
    reviews.review("cart-1 60").await.unwrap();
    assert_eq!(reviews.known().len(), 1, "reviews that nobody waits for any more are forgotten");
    advance(Duration::from_secs(60)).await;
    (0..MOST_KNOWN).for_each(|n| drop(reviews.slot(&n.to_string())));
    assert!(reviews.known().len() < MOST_KNOWN);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_too_long_is_not_sent_anywhere() {
    let (server, reviews) = reviews();
    let refused = reviews.review(&"x".repeat(MOST_BYTES + 1)).await.unwrap_err();
    assert!(refused.to_string().contains("8193 bytes"), "{refused}");
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}
