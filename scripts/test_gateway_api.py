"""Tests of scripts/gateway-api: python3 -m unittest discover scripts. The module proxy is a folder."""

import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import io
import os
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("gateway_api", str(Path(__file__).with_name("gateway-api")))
    gateway_api = importlib.util.module_from_spec(importlib.util.spec_from_loader("gateway_api", loader))
    loader.exec_module(gateway_api)

CONFORMANCE = gateway_api.MODULES["conformance"]
CRDS = gateway_api.MODULES["crds"]


def packed(module, text):
    """A module of three files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, content in {"tests/b.yaml": text, "config/crd/c.yaml": text, "a.yaml": "a"}.items():
            writer.writestr(f"{module.path}@{gateway_api.VERSION}/{name}", content)
    return archive.getvalue()


class Fetching(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.proxy = self.folder / "proxy"
        environment = {"BYRNIE_CACHE": str(self.folder / "cache"), "GOPROXY": f"off,{self.proxy.as_uri()}|direct"}
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        self.addCleanup(patch.stop)
        pinned = {}
        for module in (CONFORMANCE, CRDS):
            with zipfile.ZipFile(io.BytesIO(packed(module, "b"))) as archive:
                pinned[module.name] = dataclasses.replace(module, checksum=gateway_api.dirhash(archive))
        modules = mock.patch.object(gateway_api, "MODULES", pinned)
        modules.start()
        self.addCleanup(modules.stop)

    def serve(self, module, archive):
        place = self.proxy / module.path / "@v"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{gateway_api.VERSION}.zip").write_bytes(archive)

    def run_script(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = gateway_api.main(arguments)
        return code, out.getvalue().strip(), err.getvalue()

    def test_the_modules_are_fetched_once_and_then_found_in_silence(self):
        for module in (CONFORMANCE, CRDS):
            self.serve(module, packed(module, "b"))
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 4), err)
        for module in (CONFORMANCE, CRDS):
            self.serve(module, b"gone")
        self.assertEqual(self.run_script("ensure"), (0, "", ""))
        code, path, _ = self.run_script("path")
        self.assertEqual((code, (Path(path) / "tests/b.yaml").read_text()), (0, "b"))
        code, path, _ = self.run_script("path", "crds")
        self.assertEqual((code, (Path(path) / "config/crd/c.yaml").read_text()), (0, "b"))
        self.assertFalse((Path(path) / "tests").exists())

    def conformance(self):
        return gateway_api.MODULES["conformance"].folder

    def refused(self, what):
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out), (1, ""))
        self.assertIn(what, err.splitlines()[-1])
        self.assertFalse(self.conformance().exists())

    def test_another_content_is_thrown_away(self):
        self.serve(CONFORMANCE, packed(CONFORMANCE, "something else"))
        self.refused("does not have the checksum that scripts/gateway-api pins")

    def test_a_proxy_that_sends_no_module_is_told(self):
        self.serve(CONFORMANCE, b"<html>")
        self.refused(f"{self.proxy.as_uri()}: what it sent is no zip file")

    def test_a_proxy_that_is_not_reached_is_told(self):
        self.refused("no Go module proxy was reached")
        os.environ["GOPROXY"] = "off"
        self.refused("GOPROXY names none")

    def test_what_is_missing_says_how_to_get_it(self):
        code, out, err = self.run_script("path")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("run: python3 scripts/gateway-api ensure", err)


if __name__ == "__main__":
    unittest.main()
