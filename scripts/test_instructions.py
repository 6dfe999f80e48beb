"""Tests of scripts/instructions: python3 -m unittest discover scripts. Nothing is built or run."""

import contextlib
import importlib.machinery
import importlib.util
import io
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("instructions", str(Path(__file__).with_name("instructions")))
    instructions = importlib.util.module_from_spec(importlib.util.spec_from_loader("instructions", loader))
    loader.exec_module(instructions)

PROFILE = "version: 1\nevents: Ir\nfl=(1) a.rs\nfn=(1) main\n1 99\n\nsummary: 4711\ntotals: 4711\n"


def exchange(ours, theirs, allocations=1.0):
    return [
        instructions.Row("byrnie-http2", "exchange", "byrnie-http2", ours, allocations),
        instructions.Row("byrnie-http2", "exchange", "h2", theirs, 14.0),
    ]


def idle(subject, size, state="used"):
    return instructions.Idle("byrnie-http2", subject, "server", state, size)


class Reading(unittest.TestCase):
    def test_the_total_is_the_profile_s_summary(self):
        self.assertEqual(instructions.total(PROFILE), 4711)

    def test_a_profile_without_a_summary_is_refused(self):
        with self.assertRaisesRegex(instructions.Failure, "no summary"):
            instructions.total("version: 1\n")

    def test_scenarios_are_listed_with_their_exchanges(self):
        listed = instructions.scenarios("exchange/h2 1\nstreams/h2 100\n")
        self.assertEqual(listed, [("exchange/h2", 1), ("streams/h2", 100)])

    def test_allocations_and_idle_connections_are_told_apart(self):
        text = "allocations exchange/h2 14.5\nidle h2/server/used 42\n"
        counts, sizes = instructions.read_allocations("byrnie-http2", text)
        self.assertEqual(counts, {"exchange/h2": 14.5})
        self.assertEqual(sizes, [idle("h2", 42)])

    def test_a_program_that_fails_is_named(self):
        with self.assertRaisesRegex(instructions.Failure, "false exited with 1"):
            instructions.output(["false"])


class Goals(unittest.TestCase):
    def test_a_third_of_the_peer_s_instructions_is_enough(self):
        self.assertEqual(instructions.missed(exchange(20_000, 60_000), []), [])

    def test_more_than_a_third_is_missed(self):
        misses = instructions.missed(exchange(20_100, 60_000), [])
        self.assertEqual(misses, ["byrnie-http2 exchange takes 0.34 of h2's instructions; goal: 0.33"])

    def test_a_ratio_that_was_not_measured_is_missed(self):
        for rows in ([], exchange(20_000, 60_000)[:1], exchange(20_000, 60_000)[1:]):
            misses = instructions.missed(rows, [])
            self.assertEqual(misses, ["byrnie-http2 exchange was not measured beside a peer"])

    def test_a_third_allocation_is_missed(self):
        misses = instructions.missed(exchange(20_000, 60_000, allocations=3.0), [])
        self.assertEqual(misses, ["byrnie-http2 exchange allocates 3.00 times; goal: 2"])

    def test_an_idle_connection_is_held_to_its_goal_and_a_peer_s_is_not(self):
        misses = instructions.missed(exchange(1, 3), [idle("h2", 40_000), idle("byrnie-http2", 4097)])
        self.assertEqual(misses, ["byrnie-http2 server, used, holds 4,097 bytes while idle; goal: 4,096"])

    def test_a_connection_that_can_rest_is_held_to_its_goal_when_it_has(self):
        misses = instructions.missed(exchange(1, 3), [idle("byrnie-http2", 9000), idle("byrnie-http2", 4096, "rested")])
        self.assertEqual(misses, [])
        misses = instructions.missed(exchange(1, 3), [idle("byrnie-http2", 9000), idle("byrnie-http2", 4097, "rested")])
        self.assertEqual(misses, ["byrnie-http2 server, rested, holds 4,097 bytes while idle; goal: 4,096"])


class Printing(unittest.TestCase):
    def test_a_peer_stands_with_our_share_of_its_instructions(self):
        lines = instructions.table(exchange(20_000, 60_000)).splitlines()
        self.assertEqual(lines[1].split(), ["http2", "exchange", "byrnie-http2", "20,000", "1.00"])
        self.assertEqual(lines[2].split(), ["http2", "exchange", "h2", "60,000", "0.33", "14.00"])

    def test_a_state_that_a_subject_does_not_have_is_left_empty(self):
        lines = instructions.idle_table([idle("h2", 42_000, "fresh"), idle("h2", 43_000)]).splitlines()
        self.assertEqual(lines[0].split(), ["idle", "bytes", "subject", "fresh", "used", "rested"])
        self.assertEqual(lines[1].split(), ["http2", "server", "h2", "42,000", "43,000"])

    def test_without_valgrind_the_user_is_told_how_to_install_it(self):
        with mock.patch("shutil.which", return_value=None), contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(instructions.main([]), 1)
        self.assertIn("apt-get install valgrind", said.getvalue())

    def test_a_missed_goal_fails_only_a_check(self):
        measured = (exchange(60_000, 60_000), [])
        for arguments, code in (([], 0), (["--check"], 1)):
            with (
                mock.patch("shutil.which", return_value="valgrind"),
                mock.patch.object(instructions, "measured", return_value=measured),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()) as said,
            ):
                self.assertEqual(instructions.main(arguments), code)
            self.assertIn("missed: byrnie-http2 exchange takes 1.00", said.getvalue())


if __name__ == "__main__":
    unittest.main()
