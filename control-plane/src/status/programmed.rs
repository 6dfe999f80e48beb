//! Whether an object is in force everywhere: `Programmed`.

use byrnie_ads::Refusal;

use super::desired::{Condition, Desired, Holds, Said};
use crate::fleet::Sum;

/// How many refusals are told.
const TOLD: usize = 3;

/// The condition, of what was accepted already.
pub fn condition(sum: &Sum) -> Condition {
    let Sum { needing, accepted, refusals, missing } = sum;
    let of = format!("{accepted}/{needing} proxies");
    let (status, reason, message) = if !refusals.is_empty() {
        let told: Vec<String> = refusals.iter().take(TOLD).map(refusal).collect();
        let more = match refusals.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        (Holds::False, "Refused", format!("{of}; {}{more}", told.join("; ")))
    } else if !missing.is_empty() {
        let message = format!("{of}; nothing is known yet from {}", missing.join(", "));
        (Holds::Unknown, "Pending", message)
    } else if accepted < needing {
        (Holds::Unknown, "Pending", of)
    } else {
        (Holds::True, "Programmed", of)
    };
    Condition { kind: "Programmed", status, reason, message }
}

fn refusal(refusal: &Refusal) -> String {
    let Refusal { client, kind, resource, text } = refusal;
    format!("{client} refused {} {resource}: {}", kind.short(), text.trim())
}

/// Adds the condition wherever an object is accepted, and says where it is not that it is not in force.
pub fn add(desired: &mut Desired, condition: &Condition) {
    let add = |conditions: &mut Vec<Condition>| {
        let is_accepted = |c: &Condition| c.kind == "Accepted" && c.status == Holds::True;
        let condition = match conditions.iter().any(is_accepted) {
            true => condition.clone(),
            false => Condition {
                kind: "Programmed",
                status: Holds::False,
                reason: "NotAccepted",
                message: "Accepted says why it is not in force".to_owned(),
            },
        };
        conditions.push(condition);
    };
    match &mut desired.said {
        Said::Parents(parents) => parents.iter_mut().for_each(|(_, conditions)| add(conditions)),
        Said::EveryParent(conditions) | Said::Object(conditions) => add(conditions),
    }
}

#[cfg(test)]
mod tests {
    use byrnie_model::WorkloadName;
    use byrnie_proto::Kind;

    use super::*;

    fn told(sum: Sum) -> String {
        let Condition { status, reason, message, .. } = condition(&sum);
        format!("{}/{reason}: {message}", status.as_str())
    }

    #[test]
    fn it_says_how_many_proxies_have_it() {
        let some = Sum { needing: 12, accepted: 7, ..Sum::default() };
        assert_eq!(told(some), "Unknown/Pending: 7/12 proxies");
        let all = Sum { needing: 12, accepted: 12, ..Sum::default() };
        assert_eq!(told(all), "True/Programmed: 12/12 proxies");
        assert_eq!(told(Sum::default()), "True/Programmed: 0/0 proxies");
    }

    #[test]
    fn a_refusal_goes_before_all_else_and_few_are_told() {
        let refusal = |n: u32| Refusal {
            client: WorkloadName::new("shop", format!("web-{n}")),
            kind: Kind::Cluster,
            resource: "shop/cart:80".into(),
            text: "bad\n".into(),
        };
        let refusals = (1..=5).map(refusal).collect();
        let sum = Sum { needing: 12, accepted: 7, refusals, missing: vec!["b".to_owned()] };
        assert_eq!(
            told(sum),
            "False/Refused: 7/12 proxies; shop/web-1 refused CDS shop/cart:80: bad; shop/web-2 refused CDS \
             shop/cart:80: bad; shop/web-3 refused CDS shop/cart:80: bad; and 2 more"
        );
    }

    #[test]
    fn a_replica_that_has_not_told_leaves_it_open() {
        let sum = Sum { needing: 4, accepted: 4, missing: vec!["byrnie-control-plane-2".to_owned()], ..Sum::default() };
        assert_eq!(told(sum), "Unknown/Pending: 4/4 proxies; nothing is known yet from byrnie-control-plane-2");
    }

    #[test]
    fn what_is_not_accepted_is_not_programmed() {
        let accepted = |status| Condition { kind: "Accepted", status, reason: "r", message: String::new() };
        let parents = vec![(0, vec![accepted(Holds::True)]), (1, vec![accepted(Holds::False)])];
        let mut desired = Desired { generation: 1, said: Said::Parents(parents) };
        add(&mut desired, &condition(&Sum::default()));
        let Said::Parents(parents) = desired.said else { panic!() };
        let reasons: Vec<_> = parents.iter().map(|(_, conditions)| conditions[1].reason).collect();
        assert_eq!(reasons, ["Programmed", "NotAccepted"]);
    }
}
