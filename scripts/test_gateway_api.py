"""Tests of scripts/gateway-api: python3 -m unittest discover scripts. The module proxy is a folder."""

import contextlib
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

ROOT = f"{gateway_api.MODULE}@{gateway_api.VERSION}"


def module(text):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{ROOT}/tests/b.yaml", text)
        archive.writestr(f"{ROOT}/a.yaml", "a")
    return packed.getvalue()


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
        with zipfile.ZipFile(io.BytesIO(module("b"))) as archive:
            checksum = mock.patch.object(gateway_api, "CHECKSUM", gateway_api.dirhash(archive))
        checksum.start()
        self.addCleanup(checksum.stop)

    def serve(self, packed):
        place = self.proxy / gateway_api.MODULE / "@v"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{gateway_api.VERSION}.zip").write_bytes(packed)

    def run_script(self, command):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = gateway_api.main([command])
        return code, out.getvalue().strip(), err.getvalue()

    def test_the_module_is_fetched_once_and_then_found_in_silence(self):
        self.serve(module("b"))
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 2), err)
        self.serve(b"gone")
        self.assertEqual(self.run_script("ensure"), (0, "", ""))
        code, path, _ = self.run_script("path")
        self.assertEqual((code, (Path(path) / "tests/b.yaml").read_text()), (0, "b"))

    def refused(self, what):
        code, out, err = self.run_script("ensure")
        self.assertEqual((code, out), (1, ""))
        self.assertIn(what, err.splitlines()[-1])
        self.assertFalse(gateway_api.folder().exists())

    def test_another_content_is_thrown_away(self):
        self.serve(module("something else"))
        self.refused("does not have the checksum that scripts/gateway-api pins")

    def test_a_proxy_that_sends_no_module_is_told(self):
        self.serve(b"<html>")
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
