"""Tests of scripts/cluster: python3 -m unittest discover scripts. What kubectl says is made up."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("cluster", str(Path(__file__).with_name("cluster")))
    cluster = importlib.util.module_from_spec(importlib.util.spec_from_loader("cluster", loader))
    loader.exec_module(cluster)
    from trial import load, objects
    from trial.ground import ROOT, Failure, Ground, images
    from trial.installation import Installation
    from trial.mesh import Mesh
    from trial.story import Story

IMAGES = {name: f"x/{name}:1" for name in ("byrnie-example", "byrnie-proxy", "envoy")}


class Told:
    """A ground on which kubectl says what the longest beginning of its arguments has for an answer."""

    space = "trial"

    def __init__(self, **says):
        self.says = {name.replace("_", " "): text for name, text in says.items()}
        self.asked = []

    def kubectl(self, *arguments, check=True, **_):
        line = " ".join(arguments)
        self.asked.append(line)
        found = max((name for name in self.says if line.startswith(name)), key=len, default=None)
        return self.says.get(found, "")

    def api(self, _):
        return '{"gitVersion": "v1.36.3"}'


class Objects(unittest.TestCase):
    def test_a_pod_has_the_sidecar_that_its_name_asks_for(self):
        pods = {name: objects.pod("trial", name, IMAGES) for name in (*objects.SERVERS, *objects.CALLERS, "outside")}
        images = {name: [one["image"] for one in pod["spec"]["containers"]] for name, pod in pods.items()}
        app, micro, envoy = "x/byrnie-example:1", "x/byrnie-proxy:1", "x/envoy:1"
        self.assertEqual(images["cart-1"], [app, micro])
        self.assertEqual(images["web-envoy"], [app, envoy])
        self.assertEqual((images["cart-3"], images["outside"]), ([app], [app]))
        annotations = {name: pod["metadata"].get("annotations", {}) for name, pod in pods.items()}
        self.assertEqual(annotations["cart-2"], {"byrnie.io/inbound": "0.0.0.0:8080=127.0.0.1:8081"})
        self.assertEqual(annotations["web-micro"], {"byrnie.io/upstreams": "127.0.0.1:9080=cart.trial:80"})
        self.assertEqual(annotations["cart-3"], {})
        self.assertIn("trial/web-micro", pods["web-micro"]["spec"]["containers"][1]["args"])

    def test_a_container_keeps_to_the_standard_that_the_namespace_enforces(self):
        labels = objects.namespace("trial")["metadata"]["labels"]
        self.assertEqual(labels["pod-security.kubernetes.io/enforce"], "restricted")
        for name in (*objects.SERVERS, *objects.CALLERS):
            for one in objects.pod("trial", name, IMAGES)["spec"]["containers"]:
                self.assertEqual(one["securityContext"]["capabilities"], {"drop": ["ALL"]}, name)
                self.assertTrue(one["securityContext"]["runAsNonRoot"], name)


class Places(unittest.TestCase):
    def test_a_cluster_that_has_a_byrnie_is_left_alone(self):
        self.assertEqual(Installation(Told()).alone(), "Kubernetes v1.36.3")
        for there in ("namespace byrnie-system", "clusterrole byrnie-control-plane", "crd meshconfigs.mesh.byrnie.io"):
            ground = Told(**{f"get {there}": "there\n"})
            with self.assertRaisesRegex(Failure, f"{there} is there"):
                Installation(ground).alone()
            self.assertTrue(all(line.startswith("get") for line in ground.asked), ground.asked)

    def test_definitions_that_were_there_stay(self):
        there = "customresourcedefinition.apiextensions.k8s.io/httproutes.gateway.networking.k8s.io\n"
        ground = Told(get_crd=there)
        installation = Installation(ground)
        self.assertEqual(installation.definitions(), "Gateway API was there")
        self.assertEqual(installation.remove(), "")
        removed = [line.removeprefix("delete ") for line in ground.asked if line.startswith("delete")]
        self.assertEqual([line.split(" --")[0] for line in removed], [
            "mutatingwebhookconfiguration byrnie-injector",
            "namespace trial trial-shop trial-story byrnie-system",
            "clusterrole,clusterrolebinding byrnie-control-plane byrnie-injector",
            "crd trafficpolicies.mesh.byrnie.io peerpolicies.mesh.byrnie.io meshconfigs.mesh.byrnie.io",
        ])
        other = Told(get_crd=there.replace("httproutes", "gateways"))
        with self.assertRaisesRegex(Failure, "left alone, but no httproutes"):
            Installation(other).definitions()

    def test_a_cluster_that_cannot_be_asked_is_told_in_a_line_and_nothing_is_removed(self):
        out, err = io.StringIO(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            kubectl = Path(folder) / "kubectl"
            kubectl.write_text('#!/bin/sh\necho "$@" >> "$0.asked"\necho no cluster >&2\nexit 1\n')
            kubectl.chmod(0o755)
            with mock.patch.dict("os.environ", PATH=folder, BYRNIE_CACHE=folder, PYTHONDONTWRITEBYTECODE="1"):
                code = cluster.main(["--load", "true", "--helm", "none", "--context", "east"])
            asked = Path(f"{kubectl}.asked").read_text()
        self.assertEqual((code, out.getvalue()), (1, ""))
        self.assertIn("cluster: error: kubectl --context east get namespace byrnie-system", err.getvalue())
        self.assertIn("no cluster", err.getvalue())
        self.assertEqual(len(asked.splitlines()), 1)


class Shares(unittest.TestCase):
    """A route that sends a tenth to cart-2."""

    def mesh(self, first, second):
        names = {"cart-1": first, "cart-2": second}
        by = {f"{name} spiffe://cluster.local/ns/trial/sa/web": count for name, count in names.items()}
        ground = Told(exec=json.dumps({"asked": 1000, "failed": 1000 - first - second, "by": by, "failures": {}}))
        ground.apply = lambda *_: None
        ground.byrnie = lambda *_: "live: 2/2 proxies\n"
        condition = {"type": "Programmed", "status": "True", "observedGeneration": 3}
        status = {"parents": [{"conditions": [condition]}]}
        ground.get = lambda *_: {"metadata": {"generation": 3}, "status": status}
        return Mesh(ground)

    def test_a_tenth_is_a_tenth_within_five_standard_deviations(self):
        self.assertIn("web-envoy 10.0 %", self.mesh(900, 100).route())
        self.assertIn("14.7 %", self.mesh(853, 147).route())
        for first, second in ((852, 148), (950, 50), (900, 99), (1000, 0)):
            with self.assertRaisesRegex(Failure, "not a tenth"):
                self.mesh(first, second).route()

    def test_a_status_of_another_generation_is_not_good(self):
        mesh = self.mesh(900, 100)
        mesh.ground.get = lambda *_: {
            "metadata": {"generation": 4},
            "status": {"conditions": [{"type": "Programmed", "status": "True", "observedGeneration": 3}]},
        }
        with self.assertRaisesRegex(Failure, "at generation 4"):
            mesh.programmed("trafficpolicy/cart")


class Stories(unittest.TestCase):
    """What the sidecar of web and the answers tell of cart's Pods."""

    HEALTH = "trial-story/cart-v1:80::10.0.0.{}:8080::health_flags::{}\n"

    def story(self, first, health, failed=0):
        by = {f"cart-v1-{name} spiffe://cluster.local/ns/trial-story/sa/web": 45 for name in first}
        by["cart-v2-a spiffe://cluster.local/ns/trial-story/sa/web"] = 10
        asked = sum(by.values()) + failed
        story = Story(Told(exec=json.dumps({"asked": asked, "failed": failed, "by": by, "failures": {}})))
        other = "trial-story/cart-v2:80::10.0.0.9:8080::health_flags::healthy\ntrial-story/cart-v1:80::version::1\n"
        story.admin = lambda _: other + "".join(self.HEALTH.format(*one) for one in enumerate(health))
        return story

    def test_a_pod_is_ejected_when_its_caller_says_so_and_it_answers_nothing(self):
        out, well = ["healthy", "/failed_active_hc", "healthy"], ["healthy"] * 3
        for first, health, failed, is_out in (
            ("bc", out, 0, True), ("abc", out, 0, False), ("bc", well, 0, False), ("bc", out, 1, False)
        ):
            found, said = self.story(first, health, failed).ejected("cart-v1-a")
            self.assertEqual(said, is_out, found)
        self.assertTrue(self.story("abc", well).called("cart-v1-a")[1])
        self.assertFalse(self.story("bc", well).called("cart-v1-a")[1])
        self.assertFalse(self.story("abc", out).called("cart-v1-a")[1])

    def test_the_application_of_the_examples_is_of_this_version(self):
        lines = (ROOT / "examples/shop/app.yaml").read_text().splitlines()
        found = [line.split()[1] for line in lines if line.strip().startswith("image:")]
        self.assertEqual(found, [f"ghcr.io/byrnie/byrnie-example:{images.version()}"] * 3)

    def test_an_example_is_applied_as_it_stands_but_for_its_image(self):
        story, applied = Story(Told()), []
        story.ground.image = lambda name: f"x/{name}:1"
        story.ground.kubectl = lambda *_, given: applied.append(given)
        story.apply("app")
        own = f"ghcr.io/byrnie/byrnie-example:{images.version()}"
        self.assertEqual(applied[0].replace("x/byrnie-example:1", own), (ROOT / "examples/shop/app.yaml").read_text())


LOAD = """
import json, select, sys
say = lambda asked, slowest: print(json.dumps({"asked": asked, "failed": 0, "slowest_ms": slowest}), flush=True)
say(100, 7); say(200, 3)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    say(300, 1)
say(400, 1)
"""


class Loads(unittest.TestCase):
    def test_a_load_tells_how_it_stands_and_ends_with_its_input(self):
        ground = Told()
        ground.command = lambda *_, interactive: [sys.executable, "-c", LOAD]
        running = load.Load(ground, load.Asking("trial", "web", "cart:80"), 100)
        self.addCleanup(running.kill)
        while running.lines.qsize() < 2:
            pass
        # The slowest of all lines since it was asked last, the counts of a line that came after it was asked.
        self.assertEqual(running.standing(10), {"asked": 300, "failed": 0, "slowest_ms": 7})
        self.assertEqual(running.stop()["asked"], 400)

    def test_a_load_that_ends_early_says_why(self):
        ground = Told()
        ground.command = lambda *_, interactive: [sys.executable, "-c", "raise SystemExit('no such pod')"]
        running = load.Load(ground, load.Asking("trial", "web", "cart:80"), 100)
        self.addCleanup(running.kill)
        running.process.wait()
        running.readers[1].join()
        with self.assertRaisesRegex(TimeoutError, "load of web .* no such pod"):
            running.standing(0.01)


class Grounds(unittest.TestCase):
    def test_what_does_not_hold_in_time_is_told_with_what_was_found(self):
        with self.assertRaisesRegex(Failure, "three are there: not within 0 s, but 2"):
            Ground.until(None, "three are there", lambda: (2, False), limit=0)
        self.assertEqual(Ground.until(None, "three are there", lambda: (3, True)), 3)


if __name__ == "__main__":
    unittest.main()
