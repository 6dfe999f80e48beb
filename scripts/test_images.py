"""Tests of scripts/images: python3 -m unittest discover scripts. What stands for cargo tells what a file holds."""

import contextlib
import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("images", str(Path(__file__).with_name("images")))
    images = importlib.util.module_from_spec(importlib.util.spec_from_loader("images", loader))
    loader.exec_module(images)

PROGRAM = b"\x7fELF program"
CARGO = """#!/bin/sh
PATH=/usr/bin:/bin
[ -f "{told}/fails" ] && exit 101
printf '%s ' "$@" >> "{told}/arguments"
echo 'a line of a build script'
echo '{{"reason":"compiler-artifact","executable":null}}'
echo '{{"reason":"compiler-artifact","executable":"{told}/program"}}'
"""
STRIP = """#!/bin/sh
[ "$1 $2" = "--strip-debug -o" ] && PATH=/usr/bin:/bin exec cp "$4" "$3"
"""
LDD = """#!/bin/sh
PATH=/usr/bin:/bin
cat "{told}/ldd"
"""


class Case(unittest.TestCase):
    """A machine with a program that needs two libraries."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        for name, text in {"bin/cargo": CARGO, "bin/ldd": LDD, "bin/strip": STRIP}.items():
            self.file(name, text.format(told=self.folder).encode()).chmod(0o755)
        patch = mock.patch.dict(os.environ, {"PATH": str(self.folder / "bin")})
        patch.start()
        self.addCleanup(patch.stop)
        self.file("program", PROGRAM)
        for name in ("libc.so.6", "libnss_dns.so.2", "libresolv.so.2"):
            self.file(f"lib/{name}", b"\x7fELF " + name.encode())
        self.file("lib64/ld.so", b"\x7fELF loader")
        for kind in ("nft", "legacy"):
            self.file(f"sbin/xtables-{kind}-multi", b"\x7fELF " + kind.encode())
        for name in ("libxt_NAT.so", "libip6t_HL.so", "libebt_ip.so"):
            self.file(f"xtables/{name}", b"\x7fELF " + name.encode())
        (self.folder / "xtables/libxt_REDIRECT.so").symlink_to("libxt_NAT.so")
        for name, value in {"PROGRAMS": "sbin", "EXTENSIONS": "xtables"}.items():
            patch = mock.patch.object(images, name, (str(self.folder / value),))
            patch.start()
            self.addCleanup(patch.stop)
        self.ldd(
            "\tlinux-vdso.so.1 (0x00007ffd)\n"
            f"\tlibc.so.6 => {self.folder}/lib/libc.so.6 (0x00007f12)\n"
            f"\t{self.folder}/lib64/ld.so (0x00007f13)\n"
        )

    def file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    def ldd(self, text):
        self.file("ldd", text.encode())

    def run_script(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = images.main(["--output", str(self.folder / "out"), *arguments])
        return code, out.getvalue(), err.getvalue()

    def archive(self, name):
        """The files of an archive by their names."""
        return entries((self.folder / f"out/{name}.tar").read_bytes())


def entries(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert all((member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "") for member in members)
        content = {member.name: tar.extractfile(member).read() for member in members if member.isfile()}
        return {member.name: (oct(member.mode), content.get(member.name)) for member in members}


class Archives(Case):
    def test_an_archive_is_an_oci_layout_whose_digests_hold(self):
        code, out, err = self.run_script("--tag", "1.2", "byrnie-control-plane")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("byrnie-control-plane.tar ghcr.io/byrnie/byrnie-control-plane:1.2 (", out)
        files = {name: content for name, (_, content) in self.archive("byrnie-control-plane").items()}
        self.assertEqual(json.loads(files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        for name, content in files.items():
            if name.startswith("blobs/sha256/"):
                self.assertEqual(name.split("/")[2], hashlib.sha256(content).hexdigest())

        def followed(descriptor):
            content = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
            self.assertEqual(descriptor["size"], len(content))
            return content

        (entry,) = json.loads(files["index.json"])["manifests"]
        self.assertEqual(entry["annotations"]["io.containerd.image.name"], "ghcr.io/byrnie/byrnie-control-plane:1.2")
        manifest = json.loads(followed(entry))
        config = json.loads(followed(manifest["config"]))
        self.assertEqual(config["config"]["User"], "65532:65532")
        self.assertEqual(config["config"]["Entrypoint"], ["/usr/local/bin/byrnie-control-plane"])
        layers = [gzip.decompress(followed(layer)) for layer in manifest["layers"]]
        self.assertEqual(config["rootfs"]["diff_ids"], [images.digest(layer) for layer in layers])
        base, program = map(entries, layers)
        self.assertEqual(program["usr/local/bin/byrnie-control-plane"], ("0o755", PROGRAM))
        self.assertEqual(program["usr/local"], ("0o755", None))
        self.assertEqual(base["tmp"], ("0o1777", None))
        self.assertIn(b"nonroot:x:65532:65532:", base["etc/passwd"][1])
        where = str(self.folder).lstrip("/")
        for name in ("lib/libc.so.6", "lib/libnss_dns.so.2", "lib/libresolv.so.2", "lib64/ld.so"):
            self.assertEqual(base[f"{where}/{name}"][0], "0o755", name)
        # What docker reads.
        (docker,) = json.loads(files["manifest.json"])
        self.assertEqual(docker["RepoTags"], ["ghcr.io/byrnie/byrnie-control-plane:1.2"])
        self.assertEqual([gzip.decompress(files[layer]) for layer in docker["Layers"]], layers)
        self.assertEqual(json.loads(files[docker["Config"]]), config)

    def test_all_are_made_each_with_its_profile_and_user_and_twice_the_same(self):
        self.assertEqual(self.run_script("--registry", "localhost:5000/x")[0], 0)
        first = {name: (self.folder / f"out/{name}.tar").read_bytes() for name in images.OWN}
        self.assertFalse((self.folder / "out/envoy.tar").exists())
        arguments = (self.folder / "arguments").read_text()
        self.assertIn("--profile proxy --package byrnie-proxy --bin byrnie-proxy ", arguments)
        self.assertIn("--profile release --package byrnie --bin byrnie ", arguments)
        self.assertIn("--profile release --package byrnie-tests --bin cluster-app ", arguments)
        files = self.archive("byrnie-proxy")
        (docker,) = json.loads(files["manifest.json"][1])
        self.assertEqual(docker["RepoTags"], [f"localhost:5000/x/byrnie-proxy:{images.version()}"])
        self.assertEqual(json.loads(files[docker["Config"]][1])["config"]["User"], "1337:1337")
        self.assertEqual(self.run_script("--registry", "localhost:5000/x")[0], 0)
        self.assertEqual(first, {name: (self.folder / f"out/{name}.tar").read_bytes() for name in images.OWN})

    def test_what_redirects_brings_both_kinds_of_iptables(self):
        code, _, err = self.run_script("byrnie-init")
        self.assertEqual((code, err), (0, ""))
        files = {name: content for name, (_, content) in self.archive("byrnie-init").items()}
        (docker,) = json.loads(files["manifest.json"])
        self.assertEqual(json.loads(files[docker["Config"]])["config"]["User"], "0:0")
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(files[docker["Layers"][0]]))) as tar:
            members = {member.name: member for member in tar.getmembers()}
        self.assertEqual(members["run"].mode, 0o1777)
        where = str(self.folder).lstrip("/")
        for kind in ("nft", "legacy"):
            self.assertEqual(members[f"usr/sbin/xtables-{kind}-multi"].mode, 0o755)
            for call in ("iptables", "ip6tables"):
                for does in ("save", "restore"):
                    link = members[f"usr/sbin/{call}-{kind}-{does}"].linkname
                    self.assertEqual(link, f"xtables-{kind}-multi")
        self.assertEqual(members[f"{where}/xtables/libxt_REDIRECT.so"].linkname, "libxt_NAT.so")
        self.assertTrue(members[f"{where}/xtables/libip6t_HL.so"].isfile())
        self.assertNotIn(f"{where}/xtables/libebt_ip.so", members)

    def test_an_envoy_is_the_one_of_the_tests_as_it_is(self):
        envoy = self.file("tools/envoy", b"\x7fELF envoy")
        tools = self.file("tools/script", f"import sys\nif 'path' in sys.argv: print({str(envoy)!r})\n".encode())
        with mock.patch.object(images, "TOOLS", tools):
            self.assertEqual(self.run_script("--tag", "dev", "envoy")[0], 0)
        files = {name: content for name, (_, content) in self.archive("envoy").items()}
        (docker,) = json.loads(files["manifest.json"])
        self.assertEqual(docker["RepoTags"], ["ghcr.io/byrnie/envoy:dev"])
        config = json.loads(files[docker["Config"]])["config"]
        self.assertEqual((config["User"], config["Entrypoint"]), ("1337:1337", ["/usr/local/bin/envoy"]))
        self.assertIn("envoyproxy", config["Labels"]["org.opencontainers.image.source"])
        program = entries(gzip.decompress(files[docker["Layers"][1]]))
        self.assertEqual(program["usr/local/bin/envoy"], ("0o755", b"\x7fELF envoy"))
        self.assertFalse((self.folder / "arguments").exists(), "cargo builds nothing")

    def test_another_profile_is_of_all(self):
        self.assertEqual(self.run_script("--profile", "dev", "byrnie-proxy")[0], 0)
        self.assertIn("--profile dev --package byrnie-proxy ", (self.folder / "arguments").read_text())

    def test_a_static_program_needs_no_libraries(self):
        self.program_fails_ldd("\tnot a dynamic executable\n")
        self.assertEqual(images.libraries(self.folder / "program"), {})

    def program_fails_ldd(self, text):
        self.ldd(text)
        self.file("bin/ldd", f'#!/bin/sh\n/bin/cat "{self.folder}/ldd"\nexit 1\n'.encode()).chmod(0o755)


class Failures(Case):
    def told(self, *arguments):
        code, out, err = self.run_script(*arguments)
        self.assertEqual((code, out, len(err.splitlines())), (1, "", 1), err)
        return err

    def test_a_machine_without_iptables_is_told_where_it_comes_from(self):
        (self.folder / "sbin/xtables-legacy-multi").unlink()
        self.assertIn("xtables-legacy-multi is not on this machine; it comes with iptables", self.told("byrnie-init"))

    def test_a_failure_is_told_in_one_line(self):
        self.assertIn("no image is called byrni; there are byrnie-control-plane,", self.told("byrni"))
        self.ldd("\tlibx.so => not found\n")
        self.assertIn("program needs libx.so, which is not on this machine", self.told("byrnie"))
        with mock.patch.object(images, "TOOLS", self.file("tools/script", b"raise SystemExit(1)")):
            self.assertIn("scripts/tools could not fetch envoy", self.told("envoy"))
        self.file("bin/strip", b"#!/bin/sh\necho oh >&2\nexit 1\n").chmod(0o755)
        self.assertIn("program: oh", self.told("byrnie"))
        self.file("bin/strip", STRIP.encode())
        self.file("fails", b"")
        self.assertIn("cargo could not build byrnie", self.told("byrnie"))
        with mock.patch("platform.machine", lambda: "riscv64"):
            (self.folder / "fails").unlink()
            self.ldd("")
            self.assertIn("images are made on x86_64 and aarch64, not on riscv64", self.told("byrnie"))


if __name__ == "__main__":
    unittest.main()
