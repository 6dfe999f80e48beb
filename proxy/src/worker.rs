//! A worker: one thread, one event loop, everything that it owns in plain fields.

use std::{io, sync::Arc, thread::JoinHandle};

use mio::{Poll, Token, Waker};

use crate::shared::Shared;

/// The token of the waker.
const WAKER: Token = Token(usize::MAX);

/// A running worker.
pub struct Worker {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread. `index` counts from 0.
    ///
    /// # Errors
    /// Where the system has no more of what an event loop needs.
    pub fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || drop((poll, shared)))?;
        Ok(Self { waker, thread })
    }

    /// Has the worker look at the configuration and the stage.
    pub fn wake(&self) {
        // It fails only where the event loop is gone, and then there is nobody to wake.
        let _ = self.waker.wake();
    }

    /// Waits until it has ended: all its connections are closed, or the stage is `Ending`.
    pub fn join(self) {
        // A panic of a worker was printed where it happened.
        let _ = self.thread.join();
    }
}
