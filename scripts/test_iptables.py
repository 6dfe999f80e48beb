"""Tests of scripts/iptables: python3 -m unittest discover scripts."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("iptables", str(Path(__file__).with_name("iptables")))
    iptables = importlib.util.module_from_spec(importlib.util.spec_from_loader("iptables", loader))
    loader.exec_module(iptables)


class Commands(unittest.TestCase):
    def test_each_command_is_of_the_kind_that_its_name_says(self):
        self.assertEqual(len(iptables.COMMANDS), 18)
        self.assertEqual(iptables.COMMANDS["iptables-restore"], "xtables-nft-multi")
        self.assertEqual(iptables.COMMANDS["ip6tables-nft-save"], "xtables-nft-multi")
        self.assertEqual(iptables.COMMANDS["iptables-legacy"], "xtables-legacy-multi")

    def test_a_wrapper_calls_the_program_by_the_name_that_both_kinds_have(self):
        text = iptables.wrapper("ip6tables-legacy-restore", "xtables-legacy-multi")
        self.assertIn('xtables-legacy-multi" ip6tables-restore "$@"', text)


class Fetching(unittest.TestCase):
    def test_a_command_that_fails_is_told_with_its_last_line(self):
        with self.assertRaisesRegex(iptables.tools.Failure, "^sh last: no such package$"):
            iptables.run(["sh", "-c", "echo no such package >&2; exit 3", "last"], ".")

    def test_a_machine_without_apt_is_told_what_to_do(self):
        with self.assertRaisesRegex(iptables.tools.Failure, "install iptables by its own means"):
            iptables.run(["/nowhere/apt-get", "update"], ".")


if __name__ == "__main__":
    unittest.main()
