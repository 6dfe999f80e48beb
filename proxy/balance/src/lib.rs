//! Which endpoint is asked next: balancers, health, ejection, panic, limits.
//!
//! Pure: no sockets, no clock and no chance of its own; `now` and random numbers are passed in. What is decided is what
//! Envoy 1.40 decides with the same settings.
//!
//! ```text
//! cluster's endpoints (EDS)        ->  Hosts::update     one writer; the list is swapped whole in an Arc
//! answers to active checks         ->  Check::observe
//! outcomes of requests, a timer    ->  Ejection::report, Ejection::sweep
//!                                          |
//!                                      Host: flags and counts, relaxed atomics, one a process
//!                                          |
//! a request                        ->  Breakers::acquire, Picker::pick   one picker a thread, plain fields
//! ```
//!
//! A [`Host`] stays as long as its key stays in the cluster, and with it its health, its counts and its ejections. A
//! [`Picker`] holds its own view of who takes traffic and makes it anew when the list or the health of a host has
//! changed; on all other picks it reads one counter. Limits, health and ejection are of the process, as in Envoy; turns
//! of round robin are of the thread.
//!
//! # Whose field is whose
//! | Envoy | here | meaning |
//! | --- | --- | --- |
//! | `Cluster.lb_policy` `ROUND_ROBIN` | [`Policy::RoundRobin`] | in turn; by an EDF schedule where weights of those that take traffic differ |
//! | `RANDOM` | [`Policy::Random`] | evenly, whatever the weights |
//! | `LEAST_REQUEST`, `LeastRequestLbConfig.choice_count` | [`Policy::LeastRequest`] | the least busy of N draws, which may coincide; EDF by weight / (active + 1) where weights differ (`active_request_bias` 1) |
//! | `CommonLbConfig.healthy_panic_threshold` | [`Picker::new`] | below it all are called, even those that drain; never while 5 of 7 are available (overprovisioning 1.4), never at 0 |
//! | `CommonLbConfig.ignore_new_hosts_until_first_hc` | [`FirstCheck`] | hosts without a result count neither way |
//! | `LbEndpoint.load_balancing_weight` | [`Member::weight`] | |
//! | `LbEndpoint.health_status` | [`Member::reported`] | a draining host is not called and counts neither way; a degraded one is called where the healthy are too few |
//! | `RetryPolicy.retry_host_predicate` `previous_hosts`, `host_selection_retry_max_attempts` | [`Picker::pick_other`], [`Tried`] | picks again up to so many times, then takes what comes |
//! | `HealthCheck.healthy_threshold`, `unhealthy_threshold` | [`Checks`] | the first result of a host decides at once; an answer that says no does so always |
//! | `HealthCheck.interval`, `interval_jitter_percent`, `no_traffic_interval`, `no_traffic_healthy_interval` | [`Checks::delay`] | counted from the end of a check |
//! | `OutlierDetection.consecutive_5xx` | [`Ejection::consecutive_errors`] | failures to connect, resets and timeouts count as well |
//! | `interval`, `base_ejection_time`, `max_ejection_time` | [`Ejection`] | ejected for base x number of ejections, at most the maximum, until the sweep after; the number falls by one with each quiet interval |
//! | `max_ejection_percent`, `always_eject_one_host` | [`Ejection`] | of all hosts, those ejected already included |
//! | `failure_percentage_threshold`, `_minimum_hosts`, `_request_volume` | [`FailureShare`] | judged in each sweep |
//! | `Thresholds.max_connections`, `max_pending_requests`, `max_requests`, `max_retries`, `retry_budget` | [`Limits`] | of the default priority; the budget is of requests and pending requests |
//!
//! Not here, and so to be refused where a cluster asks for it: ring hash, Maglev, slow start, subsets, priorities and
//! locality; ejection by success rate or gateway failures, ejection jitter, local errors apart, enforcement by chance
//! (anything but 0 and 100 percent); edge and unhealthy intervals of checks; limits a host.

mod availability;
#[cfg(test)]
mod chance;
mod check;
mod cluster;
mod edf;
mod ejection;
mod host;
mod hosts;
mod limits;
mod picker;

pub use check::{Answer, Check, Checks, Transition};
pub use cluster::FirstCheck;
pub use ejection::{Ejection, FailureShare, Outcome, Swept, Verdict};
pub use host::{Flags, Health, Host, Reported};
pub use hosts::{HostIndex, Hosts, Member, Membership};
pub use limits::{Breakers, Limits, Resource, Retries};
pub use picker::{Picker, Policy, Tried};
