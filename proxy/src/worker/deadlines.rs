//! Until when something has to have happened.

use std::time::Instant;

use byrnie_balance::Outcome;

use super::{
    Loop, SWEEP,
    exchange::{Exchange, Up},
    keys::Key,
    reason::Reason,
    retry::Failure,
};

impl Loop {
    /// `per_try_timeout`: from when the whole request is there and has a connection.
    pub fn limit_try(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(time) = exchange.retry().and_then(|retry| retry.per_try_timeout)
            && exchange.request.ended
            && !exchange.reply.started
            && matches!(exchange.up, Up::Sent { .. })
        {
            exchange.deadlines.attempt = Some(self.now + time);
            self.watch(key);
        }
    }

    /// Has the deadlines of an exchange looked at.
    pub fn watch(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let deadlines = &mut exchange.deadlines;
        let Some(soonest) = deadlines.soonest() else { return };
        let at = soonest.max(self.now + SWEEP);
        if self.watched == 0 || at < self.sweeps_at {
            self.sweeps_at = at;
        }
        if !std::mem::replace(&mut deadlines.watched, true) {
            self.watched += 1;
        }
    }

    /// Looks at all deadlines of exchanges.
    pub fn sweep(&mut self) {
        let now = self.now;
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        for key in self.exchanges.keys() {
            let Some(exchange) = self.exchanges.get(key) else { continue };
            let deadlines = exchange.deadlines;
            if passed(deadlines.response) {
                self.timed_out(key, Reason::Timeout);
            } else if passed(deadlines.stream) {
                self.timed_out(key, Reason::Deadline);
            } else if passed(deadlines.attempt) {
                self.try_failed(key, Failure::Timeout);
            } else if passed(deadlines.idle.map(|(at, _)| at)) {
                self.timed_out(key, Reason::Idle);
            }
        }
        // What is silent meanwhile is late by as much as it takes to look at all, and no request wakes the worker.
        let soonest = self.exchanges.iter().filter_map(|exchange| exchange.deadlines.soonest()).min();
        self.sweeps_at = soonest.unwrap_or(now).max(now + SWEEP);
    }

    pub fn timed_out(&mut self, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (up, started) = (exchange.up, exchange.reply.started);
        if let Up::Sent { endpoint, .. } = up
            && reason == Reason::Timeout
        {
            self.report(endpoint, Outcome::Timeout);
        }
        self.end_try(key);
        match started {
            true => self.break_off(key, reason),
            false => self.reply(key, reason),
        }
    }
}

impl Exchange {
    /// How long a stream may be silent is counted from its last octet.
    pub fn touch(&mut self, now: Instant) {
        if let Some((at, time)) = &mut self.deadlines.idle {
            *at = now + *time;
        }
    }
}
