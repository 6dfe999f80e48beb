//! What Envoy and gRPC clients demand of an xDS server, rule by rule, from a scripted client's side.
//!
//! The numbers in the names of tests, after the xDS protocol document, gRFC A27 and A46, and what real clients were
//! seen to do:
//!
//! 1. State is per stream and type, never per node.
//! 3. A nonce is fresh and dies with its stream; a version is of the content and outlives it.
//! 4. `error_detail` alone makes a NACK.
//! 5. A NACK does not mean that nothing changed, and gets no repetition of the same data.
//! 6. Never one name twice in a response (checked in every test).
//! 7. A subscription to what is missing is kept.
//! 8. What did not change is not sent, but for rules 15, 18 and 21.
//! 9. Subscriptions on a NACK count.
//! 11. An empty list is a wildcard only if no name was ever given.
//! 12. State of the world: clusters and listeners are complete, omission deletes.
//! 13. The other types may be partial.
//! 14. A stale nonce gets no response; a new stream always, but for a pure wildcard that has everything.
//! 15. A name that is added is sent, even if it was sent before.
//! 17. Delta: a stale nonce discards no subscription.
//! 18. Every name that is subscribed to is answered.
//! 19. What is missing is removed, and stays subscribed.
//! 20. Phantom unsubscriptions are nothing; under a wildcard the resource or its removal is sent.
//! 21. A client that comes back gets changes and removals.

mod footing;
mod model;
mod nacks;
mod order;
mod peer;
mod rules;
mod wildcard;
