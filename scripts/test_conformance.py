"""Tests of scripts/conformance: python3 -m unittest discover scripts. What kubectl and the suite say is made up."""

import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import itertools
import json
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("conformance", str(Path(__file__).with_name("conformance")))
    conformance = importlib.util.module_from_spec(importlib.util.spec_from_loader("conformance", loader))
    loader.exec_module(conformance)
    from trial import sidecars, suite
    from trial.ground import Failure, Ground, kubernetes

# As the suite says it with -test.v=test2json: a gateway's test, two that overlap, and one that fails by itself.
SAID = """\
\x16=== RUN   TestConformance
    suite.go:447: 2026-11-26T05:45:34.34749076Z: Test Setup: Applying base manifests
\x16=== RUN   TestConformance/GatewayModifyListeners
    suite.go:1: does not support Gateway
\x16--- SKIP: TestConformance/GatewayModifyListeners (0.00s)
\x16=== RUN   TestConformance/MeshBasic
\x16=== RUN   TestConformance/MeshBasic/0_request
    pod.go:70: 2026-11-26T05:46:47.49653261Z: Got resp RawContent:       [0] Url=http://echo
        [0] StatusCode=200
\x16=== RUN   TestConformance/MeshSplit
\x16=== RUN   TestConformance/MeshSplit/to_v1
    pod.go:72: 2026-11-26T05:46:04.909675738Z: expectation failed: wanted 307, got 200
\x16=== NAME  TestConformance/MeshBasic/0_request
    mesh-basic.go:55: 2026-11-26T05:46:47.626393456Z: Request passed
\x16--- PASS: TestConformance/MeshBasic/0_request (0.32s)
\x16--- PASS: TestConformance/MeshBasic (0.33s)
\x16=== NAME  TestConformance/MeshSplit/to_v1
    pod.go:70: 2026-11-26T05:46:47.49653261Z: Got resp RawContent:       [0] Url=http://echo
        [0] StatusCode=200
    pod.go:72: 2026-11-26T05:46:05.909675738Z: expectation failed: wanted 307, got 201
    http.go:306: 2026-11-26T05:46:05.606552041Z: timeout after 3 attempts
        0/3 successes
\x16--- FAIL: TestConformance/MeshSplit/to_v1 (3.00s)
\x16--- FAIL: TestConformance/MeshSplit (0.02s)
\x16=== RUN   TestConformance/MeshPorts
    apply.go:1: 
        \tError Trace:\t/apply.go:1
        \t            \t/suite.go:2
        \tError:      \tReceived unexpected error:
        \t            \tno route kind
        \tTest:       \tTestConformance/MeshPorts
        \tMessages:   \terror applying
    apply.go:2: 2026-11-26T05:46:48.1Z: Deleting mesh-ports HTTPRoute
\x16--- FAIL: TestConformance/MeshPorts (0.02s)
\x16--- FAIL: TestConformance (7.55s)
"""


class Told:
    """A ground on which kubectl says what the longest beginning of its arguments has for an answer."""

    def __init__(self, **says):
        self.says = {name.replace("_", " "): text for name, text in says.items()}
        self.asked = []
        self.given = []

    def kubectl(self, *arguments, given=None, check=True):
        line = " ".join(arguments)
        self.asked.append(line)
        self.given.append(given)
        found = max((name for name in self.says if line.startswith(name)), key=len, default=None)
        return self.says.get(found, "")

    def get(self, *arguments, check=True):
        return Ground.get(self, *arguments, check=check)

    def until(self, *arguments, **options):
        return Ground.until(self, *arguments, **options)

    def changes(self):
        return [line for line in self.asked if not line.startswith("get ")]


def pod(*init_containers, name="echo"):
    containers = [{"name": one} for one in init_containers]
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"initContainers": containers}, "status": {}}


class Reading(unittest.TestCase):
    def read(self):
        reading = suite.Reading(itertools.count().__next__)
        told = [test for line in SAID.splitlines(keepends=True) if (test := reading.feed(line))]
        return reading, told

    def test_each_test_of_the_mesh_is_told_as_it_begins_and_as_it_ends(self):
        _, told = self.read()
        order = ["MeshBasic", "MeshSplit", "MeshBasic", "MeshSplit", "MeshPorts", "MeshPorts"]
        self.assertEqual([test.name for test in told], order)
        ended = {test.name: (test.verdict, test.seconds) for test in told}
        self.assertEqual(ended, {"MeshBasic": ("PASS", 2), "MeshSplit": ("FAIL", 2), "MeshPorts": ("FAIL", 1)})

    def test_what_failed_says_why_without_whole_answers_and_places(self):
        why = {test.name: test.why for test in self.read()[1]}
        self.assertEqual(why["MeshBasic"], [])
        self.assertEqual(
            why["MeshSplit"],
            [
                "to_v1: expectation failed: wanted 307, got 201",
                "to_v1: timeout after 3 attempts",
                "to_v1: 0/3 successes",
            ],
        )
        self.assertEqual(why["MeshPorts"], ["Received unexpected error:", "no route kind", "error applying"])

    def test_a_long_message_is_cut(self):
        self.assertEqual(suite.shortened(["a", "", "b", "c" * 400, "d", "e"]), ["a", "b", "c" * 300 + "...", "d"])


def noted(*found):
    """What kubectl lists: the definitions that are needed, all good, with those that are found in their place."""
    listed = {name: "v1.6.3\tstandard" for name in conformance.KINDS} | {"shops.example.com": "\t"} | dict(found)
    return "".join(f"{name}\t{what}\n" for name, what in listed.items() if what is not None)


class Definitions(unittest.TestCase):
    def found(self, *found):
        return conformance.definitions(Told(get_crd=noted(*found)))

    def test_those_of_the_tests_release_are_good_with_others_beside_them(self):
        self.assertEqual(self.found(), "Gateway API v1.6.3 standard")

    def test_what_the_suite_would_refuse_is_refused_with_what_to_do(self):
        http, grpc = conformance.KINDS
        experimental = ("xmeshes.gateway.networking.x-k8s.io", "v1.6.3\texperimental")
        for found, told in {
            ((http, None), (grpc, None)): f"no {http} and no {grpc}: python3 scripts/gateway-api ensure && kubectl",
            ((grpc, None),): f"this cluster has no {grpc}: python3",
            (experimental,): f"more than one channel of Gateway API: standard ({http}), experimental (xmeshes.",
            ((grpc, "v1.5.0\tstandard"),): f"more than one version of Gateway API: v1.6.3 ({http}), v1.5.0 ({grpc})",
            ((http, "v1.5.0\tstandard"), (grpc, "v1.5.0\tstandard")): "are of Gateway API v1.5.0, the tests of v1.6.3",
            ((http, "\t"), (grpc, "\t")): "are of Gateway API an unknown version, the tests of v1.6.3",
        }.items():
            with self.assertRaisesRegex(Failure, re.escape(told)):
                self.found(*found)


class Sidecars(unittest.TestCase):
    def test_a_sidecar_is_known_by_the_containers(self):
        self.assertEqual(sidecars.of(pod("byrnie-init", "byrnie-proxy")), "micro")
        self.assertEqual(sidecars.of(pod("byrnie-init", "byrnie-agent", "byrnie-proxy")), "envoy")
        self.assertEqual((sidecars.of(pod("migrate")), sidecars.of({"spec": {}})), ("none", "none"))

    def test_a_cluster_without_a_webhook_has_no_mesh(self):
        ground = Told(create=json.dumps(pod("byrnie-proxy")))
        with self.assertRaisesRegex(Failure, "no mesh in this cluster .* docs/install.md"):
            sidecars.given(ground)
        ground.says["get mutatingwebhookconfiguration"] = "there"
        self.assertEqual(sidecars.given(ground), "micro")
        self.assertIn("create --dry-run=server", ground.asked[-1])

    def test_a_pod_with_another_sidecar_ends_the_run(self):
        pods = {"items": [pod("byrnie-proxy"), pod("byrnie-proxy", name="old")]}
        ground = Told(get_pods=json.dumps(pods))
        self.assertEqual(sidecars.had(ground, ["shop"], "micro"), 2)
        pods["items"][1] = pod(name="old")
        ground.says["get pods"] = json.dumps(pods)
        with self.assertRaisesRegex(Failure, "Pod shop/old has the sidecar none, and not micro"):
            sidecars.had(ground, ["shop"], "micro")


class Choosing(unittest.TestCase):
    """The MeshConfig for the time of the runs."""

    def changes(self, before, wanted):
        ground = Told(get_meshconfig=json.dumps({"spec": before}) if before is not None else "")
        with contextlib.suppress(KeyboardInterrupt), sidecars.chosen(ground, wanted):
            ground.asked.append("run")
            raise KeyboardInterrupt
        return ground.changes(), ground

    def test_what_holds_already_is_left_alone(self):
        for before, wanted in ((None, "micro"), ({}, "micro"), ({"injection": {"proxy": "envoy"}}, "envoy")):
            self.assertEqual(self.changes(before, wanted)[0], ["run"])

    def test_one_is_made_where_there_is_none_and_taken_away_again(self):
        changes, ground = self.changes(None, "envoy")
        self.assertEqual(changes, ["create -f -", "run", "delete meshconfig/default --ignore-not-found"])
        made = json.loads(next(given for given in ground.given if given))
        self.assertEqual((made["kind"], made["spec"]), ("MeshConfig", {"injection": {"proxy": "envoy"}}))

    def test_one_that_is_there_gets_back_what_it_said(self):
        patched = "patch meshconfig/default --type=merge -p "
        for before, wanted, after in (
            ({"peer": {}}, "envoy", None),
            ({"injection": {"logLevel": "info"}}, "envoy", {"proxy": None}),
            ({"injection": {"proxy": "envoy"}}, "micro", {"proxy": "envoy"}),
        ):
            done = json.dumps({"spec": {"injection": {"proxy": wanted}}})
            undone = json.dumps({"spec": {"injection": after}})
            self.assertEqual(self.changes(before, wanted)[0], [patched + done, "run", patched + undone])


SUITE = """#!/bin/sh
echo "$@" >> "$0.asked"
for one; do case $one in --report-output=*) echo "run $(wc -l < "$0.asked")" > "${one#*=}";; esac; done
cat "$0.said"
exit 1
"""


class Running(unittest.TestCase):
    """Runs of a suite that says what stands in a file."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.program = self.folder / "suite"
        self.program.write_text(SUITE)
        self.program.chmod(0o755)
        for patch in (
            mock.patch.object(suite, "ensured", lambda _: self.program),
            mock.patch.object(conformance, "LOGS", self.folder / "logs"),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        self.ground = Told(
            get_pods=json.dumps({"items": [pod("byrnie-proxy")]}),
            get_crd=noted(),
            **{"get_--raw_/version": '{"gitVersion": "v1.36.3"}'},
            get_mutatingwebhookconfiguration="there",
            create=json.dumps(pod("byrnie-proxy")),
        )

    def run_script(self, said, *arguments):
        Path(f"{self.program}.said").write_text(said)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            with mock.patch.object(conformance, "Ground", self.made):
                code = conformance.main(list(arguments))
        return code, out.getvalue(), err.getvalue()

    def made(self, options):
        self.ground.options = options
        return self.ground

    def asked(self):
        return Path(f"{self.program}.asked").read_text().splitlines()

    def test_all_runs_are_told_and_the_report_is_of_the_first_that_did_not_pass(self):
        report = self.folder / "reports/r.yaml"
        code, out, err = self.run_script(SAID, "--runs", "2", "--report", str(report), "--version", "v1.2.3")
        self.assertEqual((code, err), (1, ""))
        self.assertIn("cluster: Kubernetes v1.36.3, Gateway API v1.6.3 standard\nrun 1 of 2", out)
        self.assertRegex(out, r"s FAIL MeshSplit\n +to_v1: expectation failed: wanted 307, got 201\n")
        self.assertIn("run 2: 1 of 3 passed", out)
        self.assertRegex(out, r"MeshBasic +PASS PASS\nMeshPorts +FAIL FAIL\n")
        self.assertIn("0 of 2 runs passed as a whole, with the sidecar micro", out)
        self.assertEqual(report.read_text(), "run 1\n")
        self.assertEqual((self.folder / "logs/micro-1.log").read_text(), SAID)
        first = self.asked()[0]
        for flag in ("--namespace-labels=byrnie.io/inject=enabled", "--mode=micro", "--version=v1.2.3"):
            self.assertIn(f" {flag}", first)
        self.assertIn(f"delete namespace {' '.join(suite.SPACES)}", self.ground.asked[-1])

    def test_runs_in_which_all_pass_end_well_and_one_that_is_skipped_has_not_passed(self):
        good = "".join(SAID.splitlines(keepends=True)[:17]).replace("MeshSplit", "MeshBasic")
        code, out, _ = self.run_script(good, "--runs", "1")
        self.assertEqual((code, "1 of 1 runs passed as a whole" in out), (0, True), out)
        skipped = "\x16=== RUN   TestConformance/MeshA\n\x16--- SKIP: TestConformance/MeshA (0.00s)\n"
        code, out, _ = self.run_script(good + skipped, "--runs", "1")
        self.assertEqual((code, "SKIP MeshA" in out), (1, True), out)
        code, out, _ = self.run_script(good + skipped, "--runs", "1", "--run-test", "MeshBasic")
        self.assertEqual((code, "SKIP MeshA" in out), (0, False), out)

    def test_a_suite_that_runs_no_test_says_why(self):
        waiting = pod("byrnie-proxy")
        waiting["status"] = {
            "initContainerStatuses": [
                {"name": "byrnie-init", "state": {"terminated": {"exitCode": 0}}},
                {"name": "byrnie-proxy", "state": {"running": {}}, "restartCount": 2}
                | {"lastState": {"terminated": {"exitCode": 7}}},
            ],
            "containerStatuses": [
                {"name": "app", "state": {"waiting": {"reason": "PodInitializing"}}},
                {"name": "echo", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no registry"}}},
            ],
        }
        self.ground.says["logs -n gateway-conformance-mesh echo -c byrnie-proxy"] = "no roots\n"
        self.ground.says["get pods"] = json.dumps({"items": [waiting]})
        code, _, err = self.run_script("".join(SAID.splitlines(keepends=True)[:2]))
        self.assertEqual(code, 1)
        self.assertIn("no test was run:\n  Test Setup: Applying base manifests\n  Pod gateway-conformance-mesh/", err)
        self.assertIn("container byrnie-proxy: ended with 7, 2 times so far\n    no roots\n", err)
        self.assertIn("container echo: ImagePullBackOff: no registry", err)
        self.assertNotIn("container app", err)
        self.assertNotIn("container byrnie-init", err)
        _, _, err = self.run_script("panic: no cluster\n")
        self.assertIn("no test was run:\n  panic: no cluster", err)

    def test_a_run_outside_the_mesh_needs_none_and_labels_nothing(self):
        self.ground.says |= {"get mutatingwebhookconfiguration": "", "get pods": '{"items": []}'}
        self.run_script(SAID, "--proxy", "none", "--runs", "1", "--timeouts", "MaxTimeToConsistency:5")
        self.assertNotIn("byrnie.io/inject", self.asked()[0])
        self.assertIn("--timeout-config-overrides=MaxTimeToConsistency:5", self.asked()[0])
        self.assertEqual(self.run_script(SAID)[0], 1)
        self.assertEqual(len(self.asked()), 1)

    def test_a_report_is_of_the_tests_as_they_are(self):
        for arguments in (("--run-test", "MeshBasic"), ("--timeouts", "GetTimeout:1"), ("--proxy", "none")):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as err:
                conformance.main(["--report", "r.yaml", *arguments])
            self.assertIn("--report is of all tests as they are", err.getvalue())

    def test_a_namespace_that_was_left_is_told_and_one_that_goes_is_awaited(self):
        self.ground.says["get namespace"] = json.dumps({"metadata": {}})
        code, _, err = self.run_script(SAID)
        self.assertEqual(code, 1)
        self.assertIn("gateway-conformance-mesh is there: kubectl delete namespace gateway-conformance-mesh", err)
        self.ground.says["get namespace"] = json.dumps({"metadata": {"deletionTimestamp": "now"}})
        self.run_script(SAID, "--runs", "1")
        self.assertIn("wait --for=delete namespace/gateway-conformance-mesh --timeout=180s", self.ground.asked)


class Clusters(unittest.TestCase):
    def test_a_cluster_that_is_not_reached_is_told_in_a_line(self):
        def refused(*_):
            raise Failure("kubectl get ended with 1:\nerror: context \"east\" does not exist\n")

        ground = Told()
        ground.options = argparse.Namespace(kubeconfig=None)
        ground.kubectl = refused
        told = 'not reached: context "east" does not exist; --kubeconfig and --context choose another'
        with self.assertRaisesRegex(Failure, re.escape(told)):
            conformance.cluster(ground)
        ground.options.kubeconfig = Path("/missing")
        with self.assertRaisesRegex(Failure, "--kubeconfig /missing: there is no such file"):
            conformance.cluster(ground)


class Pins(unittest.TestCase):
    def test_the_suite_is_of_the_release_of_the_definitions_and_every_module_has_its_checksum(self):
        folder = kubernetes.MODULES / "gateway-api"
        self.assertEqual(f"v{suite.TOOL.version}", conformance.gateway_api.VERSION)
        required, sums = ((folder / name).read_text() for name in ("go.mod", "go.sum"))
        for name, version in re.findall(r"^(?:require |\t)(\S+) (v\S+)(?: // indirect)?$", required, re.MULTILINE):
            self.assertIn(f"{name} {version} h1:", sums)


if __name__ == "__main__":
    unittest.main()
