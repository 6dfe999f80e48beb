"""Tests of scripts/helm: python3 -m unittest discover scripts. How programs are built is tested with scripts/kubernetes."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path
from unittest import mock

with mock.patch("sys.dont_write_bytecode", True):
    loader = importlib.machinery.SourceFileLoader("helm", str(Path(__file__).with_name("helm")))
    helm = importlib.util.module_from_spec(importlib.util.spec_from_loader("helm", loader))
    loader.exec_module(helm)


class Pins(unittest.TestCase):
    def test_each_release_is_pinned_knows_its_version_and_has_a_place_of_its_own(self):
        for major in (3, 4):
            tool = helm.PROGRAMS[f"helm-{major}"]
            self.assertTrue(tool.version.startswith(f"{major}."), tool.version)
            self.assertEqual(tool.folder.name, f"helm-{major}-{tool.version}")
            self.assertIn(f"-X helm.sh/helm/v{major}/internal/version.version=v{tool.version} ", tool.source.linked())
            self.assertIn(f"\nhelm.sh/helm/v{major} v{tool.version} h1:", tool.source.pins)
            self.assertIn(f"\ntool helm.sh/helm/v{major}/cmd/helm\n", tool.source.pins)


if __name__ == "__main__":
    unittest.main()
