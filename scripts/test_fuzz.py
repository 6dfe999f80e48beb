"""Tests of scripts/fuzz: python3 -m unittest discover scripts. Shell scripts stand for cargo and for the targets."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("fuzz", str(Path(__file__).with_name("fuzz")))
    fuzz = importlib.util.module_from_spec(importlib.util.spec_from_loader("fuzz", loader))
    with mock.patch.dict("sys.modules", fuzz=fuzz):
        loader.exec_module(fuzz)

CARGO = """#!/bin/sh
echo "$RUSTFLAGS" "$@" >> {folder}/built
exit {code}
"""
# What libFuzzer does, as far as scripts/fuzz looks at it.
TARGET = """#!/bin/sh
echo "$@" >> {folder}/ran.$(basename "$0")
cat >&2 <<END
#9 INITED cov: 12 ft: 34 corp: 1/1b
#99 DONE cov: 56 ft: 78 corp: 2/2b
stat::number_of_executed_units: 99
END
"""
CRASHING = """#!/bin/sh
echo "thread '<unnamed>' panicked at src/hpack.rs:1:
the two differ" >&2
echo "artifact_prefix='x'; Test unit written to /artifacts/crash-1" >&2
exit 77
"""


class Case(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.write("bin/rustc", "#!/bin/sh\necho 'host: here'\n")
        self.write("bin/cargo", CARGO.format(folder=self.folder, code=0))
        for package, name in (("control-plane", "documents"), ("proxy", "hpack"), ("proxy", "requests")):
            self.write(f"fuzz/{package}/fuzz_targets/{name}.rs", "")
            self.write(f"fuzz/seeds/{name}/seed", "")
            self.write(f"fuzz/target/here/release/{name}", TARGET.format(folder=self.folder))
        for patch in (
            mock.patch.dict(os.environ, {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "RUSTFLAGS": "-Dwarnings"}),
            mock.patch.object(fuzz, "FUZZ", self.folder / "fuzz"),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def read(self, path):
        return (self.folder / path).read_text()

    def run_fuzz(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fuzz.main(arguments)
        return code, out.getvalue(), err.getvalue()


class Running(Case):
    def test_a_target_is_what_stands_in_a_folder_of_targets(self):
        self.assertEqual(self.run_fuzz("list"), (0, "documents\nhpack\nrequests\n", ""))
        code, _, err = self.run_fuzz("run", "absent")
        told = "fuzz: error: no target is called absent; there are documents, hpack, requests\n"
        self.assertEqual((code, err), (1, told))

    def test_a_target_is_built_with_coverage_and_runs_on_its_corpus_and_seeds(self):
        code, _, err = self.run_fuzz("run", "hpack", "--runs", "5", "--seconds", "7", "--seed", "3")
        self.assertEqual(code, 0, err)
        self.assertIn("fuzz: hpack: 99 executions in ", err)
        self.assertIn("edges from 12 to 56, features from 34 to 78", err)
        built = self.read("built")
        self.assertIn("-Cpasses=sancov-module", built)
        self.assertIn("--cfg=fuzzing -Cllvm-args=-sanitizer-coverage-trace-compares -Dwarnings build --release", built)
        self.assertIn("--locked --target here", built)
        self.assertIn(f"--manifest-path {self.folder}/fuzz/proxy/Cargo.toml --bin hpack\n", built)
        ran = self.read("ran.hpack")
        self.assertIn("-runs=5 -max_total_time=7 -seed=3 ", ran)
        self.assertTrue(ran.endswith(f" {self.folder}/fuzz/corpus/hpack {self.folder}/fuzz/seeds/hpack\n"), ran)
        self.assertNotIn("-dict", ran)

    def test_quick_is_a_build_of_its_own_without_comparisons(self):
        self.write("fuzz/target/quick/here/release/hpack", self.read("fuzz/target/here/release/hpack"))
        (self.folder / "fuzz/target/quick/here/release/hpack").chmod(0o755)
        code, _, err = self.run_fuzz("run", "hpack", "--quick", "--length", "9")
        self.assertEqual(code, 0, err)
        built = self.read("built")
        self.assertNotIn("trace-compares", built)
        self.assertIn(f"--target-dir {self.folder}/fuzz/target/quick ", built)
        self.assertIn("-max_len=9 ", self.read("ran.hpack"))

    def test_a_dictionary_is_used_where_there_is_one(self):
        self.write("fuzz/hpack.dict", '"a"\n')
        self.run_fuzz("run", "hpack")
        self.assertIn(f"-dict={self.folder}/fuzz/hpack.dict ", self.read("ran.hpack"))

    def test_a_crash_ends_with_an_error_that_names_the_input(self):
        self.write("fuzz/target/here/release/hpack", CRASHING)
        code, _, err = self.run_fuzz("run", "hpack")
        self.assertEqual(code, 1)
        again = "again: python3 scripts/fuzz run hpack /artifacts/crash-1"
        self.assertEqual(err.splitlines()[-1], f"fuzz: error: hpack fell over /artifacts/crash-1; {again}")
        self.assertIn("fuzz: hpack: the two differ", err)

    def test_an_input_alone_is_run_once(self):
        seed = self.folder / "fuzz/seeds/hpack/seed"
        self.assertEqual(self.run_fuzz("run", "hpack", str(seed))[0], 0)
        self.assertTrue(self.read("ran.hpack").endswith(f" {seed}\n"))
        self.assertNotIn("corpus", self.read("ran.hpack"))
        self.assertIn("absent is no file", self.run_fuzz("run", "hpack", "absent")[2])

    def test_a_target_that_is_not_built_is_told(self):
        self.write("bin/cargo", CARGO.format(folder=self.folder, code=101))
        code, _, err = self.run_fuzz("smoke")
        self.assertEqual((code, err), (1, "fuzz: error: hpack, requests cannot be built\n"))

    def test_a_machine_without_rust_is_told(self):
        (self.folder / "bin/rustc").unlink()
        with mock.patch.dict(os.environ, PATH=str(self.folder / "bin")):
            self.assertIn("rustc is not on the PATH; install Rust", self.run_fuzz("smoke")[2])


class Smoke(Case):
    def test_all_targets_of_the_data_path_run_the_same_every_time_and_keep_nothing(self):
        self.assertEqual(self.run_fuzz("smoke")[0], 0)
        for name in ("hpack", "requests"):
            self.assertTrue(self.read(f"ran.{name}").startswith("-runs=100000 -seed=1 "))
        self.assertFalse((self.folder / "fuzz/corpus").exists())
        self.assertFalse((self.folder / "ran.documents").exists())

    def test_one_that_fails_fails_the_whole_after_all_have_run(self):
        self.write("fuzz/target/here/release/hpack", CRASHING)
        code, _, err = self.run_fuzz("smoke")
        self.assertEqual(code, 1)
        self.assertIn("hpack fell over /artifacts/crash-1", err)
        self.assertIn("fuzz: requests: 99 executions", err)


if __name__ == "__main__":
    unittest.main()
