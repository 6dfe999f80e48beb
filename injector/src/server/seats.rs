//! How many connections there are at once. Where all seats are taken, a new one gets that of the one that has rested longest:
//! who keeps many open and asks for nothing keeps nobody out.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// For a connection on which nothing runs to end, once it is told to.
pub const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// The seats of all connections.
#[derive(Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    resting: Mutex<Resting>,
    /// One came to rest.
    news: Notify,
}

/// Those that rest, in the order in which they came to.
#[derive(Debug, Default)]
struct Resting {
    next: u64,
    by_turn: BTreeMap<u64, Arc<Notify>>,
}

/// The seat of one connection. It rests when its first work is done, and after each that follows.
#[derive(Debug)]
pub struct Seat {
    all: Arc<Seats>,
    state: Mutex<State>,
    /// Somebody else is to have it.
    wanted: Arc<Notify>,
    _taken: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct State {
    works: usize,
    turn: Option<u64>,
}

/// Something that runs on a connection.
#[derive(Debug)]
pub struct Work(Arc<Seat>);

impl Seats {
    /// So many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), resting: Mutex::default(), news: Notify::new() })
    }

    /// A seat. Where none is free, it waits for one of those that rest, or for the first that will.
    pub async fn take(self: &Arc<Self>) -> Arc<Seat> {
        let mut free = pin!(Arc::clone(&self.free).acquire_owned());
        let taken = loop {
            tokio::select! {
                biased;
                taken = &mut free => break taken,
                // It takes one that rests without a wait in between.
                () = self.want_longest() => {}
            }
            // It may have begun to work before it was told, and goes on then until that is done.
            if let Ok(taken) = timeout(LEAVE_LIMIT, &mut free).await {
                break taken;
            }
        };
        let (state, wanted) = (Mutex::default(), Arc::default());
        let taken = taken.expect("the semaphore is never closed");
        Arc::new(Seat { all: Arc::clone(self), state, wanted, _taken: taken })
    }

    async fn want_longest(&self) {
        loop {
            let longest = self.resting().by_turn.pop_first();
            match longest {
                Some((_, wanted)) => return wanted.notify_one(),
                None => self.news.notified().await,
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resting {
    fn add(&mut self, wanted: Arc<Notify>) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.by_turn.insert(turn, wanted);
        turn
    }
}

impl Seat {
    /// Something begins to run, and does until this is dropped.
    pub fn work(self: &Arc<Self>) -> Work {
        let mut state = self.state();
        state.works += 1;
        if let Some(turn) = state.turn.take() {
            self.all.resting().by_turn.remove(&turn);
        }
        Work(Arc::clone(self))
    }

    /// Ready when somebody else is to have the seat.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Which rest this is, of all rests of all seats; none while something runs.
    pub fn rest(&self) -> Option<u64> {
        self.state().turn
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(turn) = self.rest() {
            self.all.resting().by_turn.remove(&turn);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.works -= 1;
        if state.works == 0 {
            state.turn = Some(self.0.all.resting().add(Arc::clone(&self.0.wanted)));
            self.0.all.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::time::Instant;

    use super::*;

    /// A seat whose connection is there.
    async fn rested(seats: &Arc<Seats>) -> Arc<Seat> {
        let seat = seats.take().await;
        drop(seat.work());
        seat
    }

    async fn is_ready(future: impl Future) -> bool {
        timeout(Duration::ZERO, future).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_rested_longest_is_wanted_and_none_while_a_seat_is_free() {
        let seats = Seats::new(3);
        let [first, second] = [rested(&seats).await, rested(&seats).await];
        drop(first.work());
        let third = rested(&seats).await;
        for seat in [&first, &second, &third] {
            assert!(!is_ready(seat.wanted()).await);
        }
        let leaving = async {
            second.wanted().await;
            assert!(!is_ready(first.wanted()).await && !is_ready(third.wanted()).await);
            drop(second);
        };
        let begun = Instant::now();
        let (fourth, ()) = tokio::join!(seats.take(), leaving);
        assert!(begun.elapsed() < LEAVE_LIMIT, "it is not waited for longer than it takes");
        assert_eq!(fourth.rest(), None, "a handshake is no rest");
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_work_is_not_wanted_until_it_rests() {
        let seats = Seats::new(1);
        let seat = rested(&seats).await;
        let works = [seat.work(), seat.work()];
        assert!(!is_ready(seats.take()).await && !is_ready(seat.wanted()).await);
        let [one, other] = works;
        drop(one);
        assert!(!is_ready(seats.take()).await && !is_ready(seat.wanted()).await);
        drop(other);
        assert!(!is_ready(seats.take()).await && is_ready(seat.wanted()).await);
        drop(seat);
        assert!(is_ready(seats.take()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_begins_to_work_when_it_is_wanted_is_passed_over() {
        let seats = Seats::new(2);
        let [busy, idle] = [rested(&seats).await, rested(&seats).await];
        let leaving = async {
            busy.wanted().await;
            let work = busy.work();
            idle.wanted().await;
            drop(idle);
            drop(work);
        };
        let (_seat, ()) = tokio::join!(seats.take(), leaving);
        assert!(busy.rest().is_some());
    }
}
