//! The whole path between Pods whose traffic is redirected: real rules, real sidecars, real applications, each Pod a
//! network namespace.

mod calls;
mod cells;
mod ground;
mod names;
mod pod;

use anyhow::{Result, ensure};
use byrnie_tests::{netns::isolated, sidecar::Proxy, wait::until};

use crate::{
    calls::{NONE, SOMEBODY, Speech, answer_of, call},
    cells::{Cells, from_outside, from_the_mesh, to_itself},
    ground::{Family, Ground},
    names::{APART, HTTP},
    pod::{APPLICATION, OTHER, PROXY, Pod},
};

/// As programs' names go: Debian's, and those of `scripts/iptables`.
const NEEDED: [&str; 3] = ["ip", "iptables-nft-restore", "iptables-legacy-restore"];
const FROM: &str =
    "`python3 scripts/iptables ensure` fetches iptables, which scripts/test puts on PATH; ip is of iproute2";
const BACKENDS: [&str; 2] = ["nft", "legacy"];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

const MICRO_CALLER: (&str, Option<Proxy>) = ("web-micro", Some(Proxy::Micro));
const ENVOY_CALLER: (&str, Option<Proxy>) = ("web-envoy", Some(Proxy::Envoy));
const MICRO: (&str, Option<Proxy>) = ("cart-micro", Some(Proxy::Micro));
const ENVOY: (&str, Option<Proxy>) = ("cart-envoy", Some(Proxy::Envoy));
const OUTSIDE: (&str, Option<Proxy>) = ("web-out", None);

fn in_a_ground(test: &str, body: impl Future<Output = Result<()>>) -> Result<()> {
    isolated(test, &NEEDED, FROM, body)
}

#[test]
fn every_call_is_led_to_the_sidecars_and_answered() -> Result<()> {
    in_a_ground("every_call_is_led_to_the_sidecars_and_answered", async {
        let all = [MICRO_CALLER, ENVOY_CALLER, MICRO, ENVOY, OUTSIDE, ("cart-out", None)];
        let ground = Ground::build(&all, "--backend nft").await?;
        let mut cells = Cells::default();
        for backend in BACKENDS {
            for pod in ground.pods.iter().filter(|pod| pod.proxy().is_some()) {
                pod.init(&format!("--backend {backend} --no-check"))?;
            }
            for family in FAMILIES {
                for server in [MICRO.0, ENVOY.0, "cart-out"] {
                    let server = ground.pod(server)?;
                    for caller in [MICRO_CALLER.0, ENVOY_CALLER.0] {
                        from_the_mesh(&mut cells, backend, family, ground.pod(caller)?, server);
                    }
                    from_outside(&mut cells, backend, family, ground.pod(OUTSIDE.0)?, server);
                    to_itself(&mut cells, backend, family, server);
                }
            }
        }
        cells.finish(400);
        Ok(())
    })
}

#[test]
fn what_is_excluded_goes_round_the_sidecar() -> Result<()> {
    in_a_ground("what_is_excluded_goes_round_the_sidecar", async {
        let ground = Ground::build(&[MICRO_CALLER, ENVOY_CALLER, MICRO, ENVOY, OUTSIDE], "--backend nft").await?;
        let mut cells = Cells::default();
        for backend in BACKENDS {
            for family in FAMILIES {
                for caller in [MICRO_CALLER, ENVOY_CALLER] {
                    let (caller, server) = (ground.pod(caller.0)?, ground.pod(MICRO.0)?);
                    excluded_outbound(&mut cells, backend, family, caller, [server, ground.pod(ENVOY.0)?])?;
                }
                for server in [MICRO, ENVOY] {
                    excluded_inbound(&mut cells, backend, family, ground.pod(OUTSIDE.0)?, ground.pod(server.0)?)?;
                }
            }
        }
        for server in [MICRO, ENVOY] {
            excluded_for_callers(&ground, ground.pod(server.0)?).await?;
        }
        cells.finish(80);
        Ok(())
    })
}

/// Where the Pod says so, callers of its Service know that no sidecar takes the call.
async fn excluded_for_callers(ground: &Ground, server: &Pod) -> Result<()> {
    server.init(&format!("--no-check --exclude-inbound-ports {HTTP}"))?;
    let annotation = format!(", byrnie.io/exclude-inbound-ports: '{HTTP}'");
    ground.mesh.write(&format!("{}.yaml", server.name()), &server.objects(&annotation))?;
    let expected = answer_of(server, SOMEBODY, Speech::Http);
    for family in FAMILIES {
        for caller in [MICRO_CALLER, ENVOY_CALLER] {
            let (what, caller) = (format!("{family:?}, {} to {}", caller.0, server.name()), ground.pod(caller.0)?);
            for to in [server.service(family, 80), server.at(family, HTTP)] {
                let answered = async |_: &_| {
                    let found = call(caller, APPLICATION, to, Speech::Http);
                    ensure!(found == expected, "{found:?}, not {expected:?}");
                    Ok(true)
                };
                ground.mesh.until(&what, answered).await?;
            }
        }
    }
    Ok(())
}

/// The port takes plain text too, so that the application can tell.
fn excluded_outbound(
    cells: &mut Cells,
    backend: &str,
    family: Family,
    caller: &Pod,
    [server, other]: [&Pod; 2],
) -> Result<()> {
    let address = server.at(family, APART).ip();
    for (exclusion, user, is_led) in [
        (String::new(), APPLICATION, true),
        // Whoever has the sidecar's user is one to the rules.
        (String::new(), PROXY, false),
        (format!("--exclude-outbound-ports {APART}"), APPLICATION, false),
        (format!("--exclude-outbound-ports {HTTP}"), APPLICATION, true),
        (format!("--exclude-outbound-cidrs {address}"), APPLICATION, false),
        (format!("--exclude-uids {OTHER}"), OTHER, false),
        (format!("--exclude-uids {OTHER}"), APPLICATION, true),
        ("--exclude-interfaces eth0".to_owned(), APPLICATION, false),
    ] {
        caller.init(&format!("--backend {backend} --no-check {exclusion}"))?;
        let found = call(caller, user, server.at(family, APART), Speech::Http);
        let who = if is_led { caller.name() } else { SOMEBODY };
        let what = format!("{backend}, {family:?}, {}, user {user}, {exclusion:?}", caller.name());
        cells.check(&what, &found, &answer_of(server, who, Speech::Http));
        if exclusion.contains("cidrs") {
            let found = call(caller, user, other.at(family, APART), Speech::Http);
            cells.check(&format!("{what}, to another"), &found, &answer_of(other, caller.name(), Speech::Http));
        }
    }
    caller.init(&format!("--backend {backend} --no-check"))?;
    Ok(())
}

/// The port is closed to plain text, but by the sidecar alone.
fn excluded_inbound(cells: &mut Cells, backend: &str, family: Family, caller: &Pod, server: &Pod) -> Result<()> {
    for (exclusion, expected) in [
        (String::new(), NONE.to_owned()),
        (format!("--exclude-inbound-ports {HTTP}"), answer_of(server, SOMEBODY, Speech::Http)),
        (format!("--exclude-inbound-ports {APART}"), NONE.to_owned()),
        ("--exclude-interfaces eth0".to_owned(), answer_of(server, SOMEBODY, Speech::Http)),
    ] {
        server.init(&format!("--backend {backend} --no-check {exclusion}"))?;
        let found = call(caller, APPLICATION, server.at(family, HTTP), Speech::Http);
        cells.check(&format!("{backend}, {family:?}, to {}, {exclusion:?}", server.name()), &found, &expected);
    }
    server.init(&format!("--backend {backend} --no-check"))?;
    Ok(())
}

#[test]
fn rules_may_be_applied_again_and_be_taken_away() -> Result<()> {
    in_a_ground("rules_may_be_applied_again_and_be_taken_away", async {
        let ground = Ground::build(&[MICRO_CALLER, MICRO, OUTSIDE], "").await?;
        let (web, cart, outside) = (ground.pod(MICRO_CALLER.0)?, ground.pod(MICRO.0)?, ground.pod(OUTSIDE.0)?);
        let mut cells = Cells::default();
        for backend in BACKENDS {
            for pod in [web, cart] {
                pod.init(&format!("--backend {backend} --no-check"))?;
                let first = pod.rules(backend)?;
                assert!(first.contains("BYRNIE_OUTPUT"), "{first}");
                pod.init("--no-check")?;
                assert_eq!(pod.rules(backend)?, first);
            }
            for family in FAMILIES {
                let what = format!("{backend}, {family:?}");
                let mut see = |what: &str, caller, to, expected: &str| {
                    cells.check(what, &call(caller, APPLICATION, to, Speech::Http), expected);
                };
                let by_service = cart.service(family, 80);
                see(&what, web, by_service, &answer_of(cart, web.name(), Speech::Http));
                see(&what, outside, cart.at(family, HTTP), NONE);
                cart.init("--clean")?;
                let open = answer_of(cart, SOMEBODY, Speech::Http);
                see(&format!("{what}, server without rules"), outside, cart.at(family, HTTP), &open);
                web.init("--clean")?;
                see(&format!("{what}, both without rules"), web, cart.at(family, HTTP), &open);
                see(&format!("{what}, both without rules"), web, by_service, NONE);
                for pod in [web, cart] {
                    assert_eq!(pod.rules(backend)?, "", "{what}, {}", pod.name());
                    pod.init(&format!("--backend {backend} --no-check"))?;
                }
                see(&format!("{what}, anew"), web, by_service, &answer_of(cart, web.name(), Speech::Http));
            }
        }
        cells.finish(24);
        Ok(())
    })
}

#[test]
fn a_sidecar_that_was_restarted_takes_the_traffic_again() -> Result<()> {
    in_a_ground("a_sidecar_that_was_restarted_takes_the_traffic_again", async {
        let mut ground = Ground::build(&[MICRO_CALLER, ENVOY_CALLER, MICRO, ENVOY], "").await?;
        let xds = ground.mesh.xds();
        let pairs = [(MICRO_CALLER.0, MICRO.0), (ENVOY_CALLER.0, ENVOY.0)];
        let mut cells = Cells::default();
        let mut see = |ground: &Ground, what: &str, caller: &str, server: &str, is_answered: bool| {
            let (caller, server) = (ground.pod(caller)?, ground.pod(server)?);
            for family in FAMILIES {
                let found = call(caller, APPLICATION, server.service(family, 80), Speech::Http);
                let answer = answer_of(server, caller.name(), Speech::Http);
                let expected = if is_answered { &answer } else { NONE };
                cells.check(&format!("{what}, {family:?}, {} to {}", caller.name(), server.name()), &found, expected);
            }
            anyhow::Ok(())
        };
        for (caller, server) in pairs {
            see(&ground, "before", caller, server, true)?;
        }
        see(&ground, "before", MICRO.0, MICRO.0, true)?;
        // A micro-proxy needs no control plane for that, once it has kept what it was told.
        for caller in [MICRO_CALLER, MICRO] {
            for family in FAMILIES {
                let used = format!("out/{}", ground.pod(MICRO.0)?.service(family, 80));
                ground.pod(caller.0)?.until_kept(&used).await?;
            }
        }
        ground.mesh.kill();
        for (caller, server) in pairs {
            if caller == ENVOY_CALLER.0 {
                ground.mesh.restart().await?;
            }
            for restarted in [server, caller] {
                ground.pod_mut(restarted)?.kill_sidecar();
                see(&ground, &format!("{restarted} without a sidecar"), caller, server, false)?;
                ground.pod_mut(restarted)?.restart_sidecar(xds).await?;
                see(&ground, &format!("{restarted} restarted"), caller, server, true)?;
            }
        }
        cells.finish(22);
        Ok(())
    })
}

#[test]
fn while_the_control_plane_is_away_a_pod_waits_behind_its_rules_and_goes_on_by_itself() -> Result<()> {
    in_a_ground("while_the_control_plane_is_away_a_pod_waits_behind_its_rules_and_goes_on_by_itself", async {
        let mut ground = Ground::prepare(&[MICRO_CALLER, ENVOY_CALLER]).await?;
        let xds = ground.mesh.xds();
        ground.mesh.kill();
        let mut inits = Vec::new();
        for pod in &mut ground.pods {
            let mut init = pod.start(xds, "--backend nft")?;
            pod.until_health(503).await?;
            let redirected = async || Ok(pod.rules("nft")?.contains("--to-ports 15001"));
            until("its traffic is redirected", redirected).await?;
            init.check()?;
            inits.push(init);
        }
        ground.mesh.restart().await?;
        for (pod, init) in ground.pods.iter().zip(inits) {
            pod.started(init).await?;
        }
        let mut cells = Cells::default();
        for family in FAMILIES {
            from_the_mesh(&mut cells, "nft", family, ground.pod(MICRO_CALLER.0)?, ground.pod(ENVOY_CALLER.0)?);
        }
        cells.finish(20);
        Ok(())
    })
}
