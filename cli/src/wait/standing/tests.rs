use serde_json::json;

use super::*;

fn condition(kind: &str, status: &str, generation: i64, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "observedGeneration": generation, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn accepted(generation: i64) -> Value {
    condition("Accepted", "True", generation, "Accepted", "governs port 80")
}

fn policy(generation: i64, conditions: &[Value]) -> Standing {
    of(&json!({
        "kind": "TrafficPolicy",
        "metadata": {"generation": generation},
        "spec": {"targetRef": {"name": "cart"}},
        "status": {"conditions": conditions},
    }))
}

fn pending(text: &str) -> Standing {
    Standing::Pending(text.to_owned())
}

fn failed(text: &str) -> Standing {
    Standing::Failed(text.to_owned())
}

fn live(text: &str) -> Standing {
    Standing::Programmed(text.to_owned())
}

const UNSEEN: &str = "no control plane has told of generation 2 yet";

#[test]
fn a_policy_is_live_when_its_present_generation_is_programmed() {
    let programmed = |status, generation, reason, message| condition("Programmed", status, generation, reason, message);
    let all = programmed("True", 2, "Programmed", "12/12 proxies");
    assert_eq!(policy(2, &[accepted(2), all.clone()]), live("12/12 proxies"));
    assert_eq!(policy(1, &[all]), live("12/12 proxies"), "a later one was seen");
    let old = programmed("True", 1, "Programmed", "12/12 proxies");
    assert_eq!(policy(2, &[accepted(2), old]), pending(UNSEEN));
    assert_eq!(policy(2, &[accepted(2), programmed("Unknown", 2, "Pending", "7/12")]), pending("Pending: 7/12"));
    assert_eq!(policy(2, &[programmed("False", 2, "Refused", "web-1: no")]), failed("Refused: web-1: no"));
    assert_eq!(policy(2, &[programmed("False", 1, "Refused", "web-1: no")]), pending(UNSEEN));
    assert_eq!(policy(2, &[]), pending(UNSEEN));
    assert_eq!(of(&json!({"metadata": {"generation": 2}, "spec": {}})), pending(UNSEEN));
}

#[test]
fn what_is_not_accepted_is_not_waited_for() {
    let refused = condition("Accepted", "False", 2, "NoMatchingParent", "Service shop/cart does not exist");
    let unknown = condition("Programmed", "Unknown", 2, "Pending", "0/0 proxies");
    let told = failed("NoMatchingParent: Service shop/cart does not exist");
    assert_eq!(policy(2, &[refused.clone(), unknown]), told);
    assert_eq!(policy(3, &[refused]), pending("no control plane has told of generation 3 yet"));
}

/// A route of generation 2 with these parentRefs, and what is told of some.
fn route(parents: &[Value], told: &[(&str, Value, &[Value])]) -> Standing {
    let told = told.iter().map(|(controller, parent, conditions)| {
        json!({"controllerName": controller, "parentRef": parent, "conditions": conditions})
    });
    of(&json!({
        "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": "cart", "generation": 2},
        "spec": {"parentRefs": parents},
        "status": {"parents": told.collect::<Vec<_>>()},
    }))
}

fn service(name: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": name})
}

#[test]
fn a_route_is_live_when_it_is_at_all_parents_that_are_ours() {
    let all = [accepted(2), condition("Programmed", "True", 2, "Programmed", "3/3 proxies")];
    let some = [accepted(2), condition("Programmed", "Unknown", 2, "Pending", "1/3 proxies")];
    let none = [accepted(2), condition("Programmed", "False", 2, "Refused", "shop/web-1 refused RDS x: no")];
    let (cart, gateway) = (service("cart"), json!({"name": "edge"}));
    let named = json!({"group": "", "kind": "Service", "name": "cart", "namespace": "shop", "port": 80});
    let numbered = json!({"group": "", "kind": "Service", "name": "cart", "port": 80});
    assert_eq!(
        route(
            &[gateway.clone(), cart.clone()],
            &[("example.com/gateway", gateway.clone(), &none), (CONTROLLER, cart.clone(), &all)]
        ),
        live("3/3 proxies"),
        "a Gateway is another's"
    );
    let both = [cart.clone(), named];
    assert_eq!(
        route(&both, &[(CONTROLLER, cart.clone(), &all), (CONTROLLER, numbered.clone(), &some)]),
        pending("Service/shop/cart:80: Pending: 1/3 proxies")
    );
    assert_eq!(
        route(&both, &[(CONTROLLER, cart.clone(), &none), (CONTROLLER, numbered.clone(), &some)]),
        failed("Service/shop/cart: Refused: shop/web-1 refused RDS x: no")
    );
    assert_eq!(route(&both, &[(CONTROLLER, numbered, &all)]), pending(&format!("Service/shop/cart: {UNSEEN}")));
    assert_eq!(route(std::slice::from_ref(&cart), &[("other.io/mesh", cart.clone(), &all)]), pending(UNSEEN));
    assert!(matches!(route(&[gateway], &[]), Standing::Failed(text) if text.contains("names a Service")));
}
