"""Tests of scripts/kubernetes: python3 -m unittest discover scripts. What stands for go writes programs of its own."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("kubernetes", str(Path(__file__).with_name("kubernetes")))
    kubernetes = importlib.util.module_from_spec(importlib.util.spec_from_loader("kubernetes", loader))
    loader.exec_module(kubernetes)

# Writes down how it is called and where, and builds a program that answers as all of them do.
GO = """#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = version ] && echo "go version go1.26.8 linux/amd64" && exit 0
[ -f "{told}/fails" ] && cat "{told}/fails" >&2 && exit 1
[ "$CGO_ENABLED" = 0 ] || exit 2
printf '%s\\n' "$@" > "{told}/arguments" && cat go.mod go.sum > "{told}/pins"
for package; do :; done
package=$(printf %s "$package" | sed 's,/v[0-9]*$,,')
mkdir -p "$GOBIN"
said="echo 'etcd Version: 3.7.3'; echo 'Client Version: v1.36.3'; echo 'Kubernetes v1.36.3'"
printf "#!/bin/sh\\n$said\\n" > "$GOBIN/${{package##*/}}"
chmod 755 "$GOBIN/${{package##*/}}"
"""


class Case(unittest.TestCase):
    """An empty cache, no assets of the user's, and a go that builds in no time."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.cache = self.folder / "cache/tools"
        environment = {name: value for name, value in os.environ.items() if name != kubernetes.ASSETS}
        environment |= {"BYRNIE_CACHE": str(self.folder / "cache"), "PATH": str(self.folder / "bin")}
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.program("bin/go", GO.format(told=self.folder))

    def program(self, path, text="#!/bin/sh\n"):
        path = self.folder / path
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run_script(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = kubernetes.tools.main(arguments, kubernetes.PROGRAMS, "kubernetes", kubernetes.__doc__)
        return code, out.getvalue(), err.getvalue()


class Building(Case):
    def test_all_are_built_once_and_then_found_in_silence(self):
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 8), err)
        self.assertIn("about seven minutes, with 2 GB of memory", err)
        self.assertEqual(self.run_script("ensure"), (0, "", ""))
        for name, version in {"etcd": "3.7.3", "kubectl": "1.36.3", "kube-controller-manager": "1.36.3"}.items():
            path = self.cache / f"{name}-{version}/bin/{name}"
            self.assertEqual(self.run_script("path", name), (0, f"{path}\n", ""))
            self.assertTrue(path.is_file())
        code, paths, _ = self.run_script("path", "kubectl", "etcd")
        self.assertEqual((code, [Path(path).name for path in paths.splitlines()]), (0, ["kubectl", "etcd"]))
        self.assertEqual(self.run_script("doctor")[0], 0)

    def test_what_is_built_is_pinned_and_knows_its_version(self):
        self.assertEqual(self.run_script("ensure", "kube-apiserver")[0], 0)
        arguments = (self.folder / "arguments").read_text().splitlines()
        self.assertEqual(arguments[:3], ["install", "-mod=readonly", "-trimpath"])
        self.assertEqual(arguments[-1], "k8s.io/kubernetes/cmd/kube-apiserver")
        self.assertIn("-X k8s.io/component-base/version.gitVersion=v1.36.3 ", arguments[4])
        folder = kubernetes.MODULES / "kubernetes"
        pins = (folder / "go.mod").read_text() + (folder / "go.sum").read_text()
        self.assertEqual((self.folder / "pins").read_text(), pins)

    def test_other_pins_are_built_anew(self):
        self.assertEqual(self.run_script("ensure", "kubectl")[0], 0)
        with mock.patch.object(kubernetes.Program, "linked", lambda program: "-X of.another=kind"):
            self.assertEqual(self.run_script("path", "kubectl")[0], 1)
            self.assertEqual(self.run_script("ensure", "kubectl")[0], 0)
            self.assertEqual((self.folder / "arguments").read_text().splitlines()[4], "-X of.another=kind")

    def test_a_failure_is_told_in_one_line_and_nothing_is_kept(self):
        for said, told in {
            "verifying k8s.io/api@v0.36.3: checksum mismatch\n\tx": "the checksum that scripts/kubernetes pins",
            "go: k8s.io/api: dial tcp: lookup proxy: no such host": "or set KUBEBUILDER_ASSETS to a folder with etcd,",
            "write /tmp/x: no space left on device": "no space left to build kubectl",
            "k8s.io/kubectl: link: signal: killed": "go was killed while it built kubectl, most likely for want of",
        }.items():
            (self.folder / "fails").write_text(said)
            code, out, err = self.run_script("ensure", "kubectl")
            self.assertEqual((code, out, len(err.splitlines())), (1, "", 2), err)
            self.assertIn(told, err.splitlines()[-1])
            self.assertFalse((self.cache / "kubectl-1.36.3").exists())

    def test_what_is_missing_says_how_to_get_it(self):
        code, out, err = self.run_script("path", "etcd")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("etcd 3.7.3 is not there; run: python3 scripts/kubernetes ensure etcd", err)


class Assets(Case):
    """The folder of envtest."""

    def test_they_are_used_and_only_what_is_no_part_of_them_is_built(self):
        for name in kubernetes.ENVTEST:
            self.program(f"assets/{name}")
        os.environ[kubernetes.ASSETS] = str(self.folder / "assets")
        code, _, err = self.run_script("ensure")
        self.assertEqual((code, len(err.splitlines())), (0, 2), err)
        self.assertEqual(self.run_script("path", "etcd")[1], f"{self.folder}/assets/etcd\n")
        self.assertIn(f"{self.cache}/kube-contr", self.run_script("path", "kube-controller-manager")[1])
        own = self.program("assets/kube-controller-manager")
        self.assertEqual(self.run_script("path", "kube-controller-manager")[1], f"{own}\n")

    def test_a_folder_that_lacks_one_is_told(self):
        self.program("assets/etcd")
        os.environ[kubernetes.ASSETS] = str(self.folder / "assets")
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("assets holds no kube-apiserver that can be run; correct it or unset it", err)


class Pins(unittest.TestCase):
    def test_every_module_has_its_checksum_and_every_staging_module_the_version_of_kubernetes(self):
        for module in ("kubernetes", "etcd"):
            required = (kubernetes.MODULES / module / "go.mod").read_text()
            sums = (kubernetes.MODULES / module / "go.sum").read_text()
            replaced = dict(re.findall(r"^\t(\S+) => \S+ (\S+)$", required, re.MULTILINE))
            for name, version in re.findall(r"^(?:require |\t)(\S+) (v\S+)(?: // indirect)?$", required, re.MULTILINE):
                self.assertIn(f"{name} {replaced.get(name, version)} h1:", sums)
            version = kubernetes.Program("", "kubernetes").version
            self.assertLessEqual(set(replaced.values()), {f"v0.{version.removeprefix('1.')}"})


if __name__ == "__main__":
    unittest.main()
