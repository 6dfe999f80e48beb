"""Tests of .ci/deps: python3 -m unittest discover .ci."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("deps", str(Path(__file__).with_name("deps")))
    deps = importlib.util.module_from_spec(importlib.util.spec_from_loader("deps", loader))
    loader.exec_module(deps)


class Crates(unittest.TestCase):
    def test_a_crate_that_sees_more_than_it_may_is_found(self):
        found = list(deps.rule_findings("byrnie-model", {"byrnie-identity", "byrnie-ads", "tokio", "imbl"}))
        self.assertEqual(len(found), 2)
        self.assertIn("byrnie-model depends on byrnie-ads; of the mesh it may see byrnie-identity", found[0])
        self.assertIn("byrnie-model depends on tokio, which it must not", found[1])

    def test_a_crate_within_its_rules_is_not(self):
        self.assertEqual(list(deps.rule_findings("byrnie-ads", {"byrnie-snapshot", "tokio"})), [])

    def test_kube_stands_in_one_manifest_only(self):
        rules = {"SEES_ONLY": {}, "NEVER_SEES": {}, "NEVER_NAMES": {}}
        with mock.patch.multiple(deps, **rules):
            kube = {"name": "kube", "kind": None}
            members = [{"name": name, "dependencies": [kube]} for name in ("byrnie-source", "byrnie-ca")]
            self.assertEqual(
                list(deps.crate_findings(members)), ["byrnie-ca depends on kube, which only byrnie-source may"]
            )

    def test_a_manifest_may_name_for_tests_what_it_must_not_name_otherwise(self):
        rules = {"SEES_ONLY": {}, "NEVER_SEES": {}, "NEVER_NAMES": {"byrnie-config": {"tokio"}}}
        with mock.patch.multiple(deps, **rules):
            dependencies = [{"name": "tokio", "kind": "dev"}, {"name": "tokio", "kind": None}]
            found = list(deps.crate_findings([{"name": "byrnie-config", "dependencies": dependencies}]))
            self.assertEqual(found, ["byrnie-config names tokio in its manifest, which it must not"])

    def test_a_crate_twice_needs_a_reason_and_a_reason_needs_a_crate_twice(self):
        packages = {("syn", "2.0.1"), ("syn", "3.0.0"), ("rand", "0.9.0"), ("rand", "0.10.0"), ("base64", "0.22.1")}
        found = list(deps.duplicate_findings(packages, "# why\nsyn on the way\nbase64 once was\n"))
        self.assertEqual(len(found), 2)
        self.assertIn("rand is there as 0.10.0 and 0.9.0", found[0])
        self.assertIn("base64 is there once only", found[1])
        self.assertIn("without a reason", list(deps.duplicate_findings(packages, "syn\nrand x\n"))[0])


class Licences(unittest.TestCase):
    def test_expressions_are_read_as_spdx_has_them(self):
        llvm = "Apache-2.0 WITH LLVM-exception"
        for good in ("MIT", "MIT/GPL-3.0", "GPL-2.0 OR (ISC AND Zlib)", f"{llvm} OR X", "MPL-2.0+"):
            self.assertTrue(deps.allowed(good), good)
        for bad in ("GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "ISC AND X OR X", "GPL-2.0 WITH MIT"):
            self.assertFalse(deps.allowed(bad), bad)

    def test_a_package_without_a_licence_is_found(self):
        packages = [{"name": "odd", "version": "1.0.0", "license": None}]
        self.assertIn("odd 1.0.0 has the licence None", next(deps.licence_findings(packages)))


class Modules(unittest.TestCase):
    def found(self, **sources):
        named = {tuple(name.split("__")): text for name, text in sources.items()} | {(): "mod a; mod b;"}
        return list(deps.cycles(deps.imports(named)))

    def test_neighbours_that_use_each_other_are_a_cycle(self):
        self.assertEqual(self.found(a="use crate::b::B;", b="fn f() -> crate::a::A {}"), [["a", "b", "a"]])
        self.assertEqual(self.found(a="use crate::{x, b::{self, C}};", b="use super::a;"), [["a", "b", "a"]])
        three = self.found(a="use crate::b;", b="use crate::c;", c="use crate::a;")
        self.assertEqual(three, [["a", "b", "c", "a"]])

    def test_modules_below_count_for_their_parents(self):
        sources = {"a": "mod x;", "a__x": "use crate::b::B;", "b": "mod y;", "b__y": "use super::super::a::A;"}
        self.assertEqual(self.found(**sources), [["a", "b", "a"]])
        below = {"a": "mod x; mod y;", "a__x": "use super::y::Y;", "a__y": "use crate::a::x::X;"}
        self.assertEqual(self.found(**below), [["a::x", "a::y", "a::x"]])

    def test_parents_comments_and_tests_make_no_cycle(self):
        self.assertEqual(self.found(a="mod x; use x::X;", a__x="use super::A;"), [])
        tests = "// see crate::a\n#[cfg(test)]\nmod tests { use crate::a; }"
        self.assertEqual(self.found(a="use crate::b;", b=tests), [])


if __name__ == "__main__":
    unittest.main()
