"""Where scripts/cluster stands: a cluster, the programs that speak to it, and the images that are brought to it."""

import importlib.machinery
import importlib.util
import json
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trial.objects import SYSTEM

ROOT = Path(__file__).resolve().parent.parent.parent


def script(name):
    """Another of the scripts, as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


images, kubernetes, helm = script("images"), script("kubernetes"), script("helm")
gateway_api, tools = script("gateway-api"), kubernetes.tools
# Beside the control plane's.
POD_IMAGES = ("byrnie-injector", "byrnie-init", "byrnie-proxy", "byrnie-example", "envoy")


class Failure(Exception):
    """What did not hold: one line, and what a command said."""


# Each script has read scripts/tools for itself.
OF_TOOLS = tuple(module.Failure for module in (tools, helm.tools, gateway_api.tools))
FAILURES = (Failure, images.Failure, *OF_TOOLS, subprocess.SubprocessError, OSError)


class Ground:
    """A cluster, with names of this run's own."""

    def __init__(self, options):
        self.options = options
        run = secrets.token_hex(2)
        self.space = f"byrnie-trial-{run}"
        self.tag = f"trial-{run}"
        self.next = f"{self.tag}-next"
        self.programs = {}
        own, pinned = shutil.which("kubectl"), kubernetes.PROGRAMS["kubectl"]
        self.kubectl_program = own if own and not pinned.fetched() else ensured(pinned)
        self.helm_program = None if options.helm == "none" else ensured(helm.PROGRAMS[f"helm-{options.helm}"])

    def image(self, name, tag=None):
        return f"{self.options.registry}/{name}:{tag or self.tag}"

    # ---- programs

    def command(self, *arguments, interactive=False):
        """A command line of kubectl."""
        chosen = [*flag("--kubeconfig", self.options.kubeconfig), *flag("--context", self.options.context)]
        verb, *rest = arguments
        return [str(self.kubectl_program), *chosen, verb, *(["-i"] if interactive else []), *rest]

    def kubectl(self, *arguments, given=None, check=True):
        return run(self.command(*arguments), given, check)

    def byrnie(self, *arguments, check=True, of_cluster=True):
        chosen = [*flag("--kubeconfig", self.options.kubeconfig), *flag("--context", self.options.context)]
        return run([str(self.programs["byrnie"]), *arguments, *(chosen if of_cluster else [])], None, check)

    def helm(self, *arguments):
        chosen = [*flag("--kubeconfig", self.options.kubeconfig), *flag("--kube-context", self.options.context)]
        return run([str(self.helm_program), *arguments, *chosen, "--namespace", SYSTEM], None, True)

    def apply(self, *objects, server_side=True):
        given = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in objects)
        way = ["--server-side", "--force-conflicts"] if server_side else []
        return self.kubectl("apply", *way, "-f", "-", given=given)

    def refused(self, object_):
        """Why the API server does not take an object; nothing where it does."""
        command = self.command("apply", "-f", "-")
        done = subprocess.run(command, input=json.dumps(object_), capture_output=True, text=True, check=False, timeout=60)
        return done.stderr if done.returncode else ""

    def get(self, *arguments, check=True):
        """An object or a list; None where it is not there and need not be."""
        said = self.kubectl("get", *arguments, "-o", "json", check=check)
        return json.loads(said) if said.strip() else None

    def api(self, path, check=True):
        return self.kubectl("get", "--raw", path, check=check)

    def until(self, what, holds, limit=60):
        """Asks until it holds: `holds` returns what it found and whether that is enough."""
        end = time.monotonic() + limit
        while True:
            found, enough = holds()
            if enough:
                return found
            if time.monotonic() > end:
                raise Failure(f"{what}: not within {limit} s, but {found}")
            time.sleep(0.3)

    # ---- images

    def build(self):
        """The programs: those of a folder, or what cargo builds."""
        for name in images.OWN:
            image = images.IMAGES[name]
            if self.options.programs:
                program = self.options.programs / image.program
                if not program.exists():
                    raise Failure(f"--programs {self.options.programs}: there is no {image.program}")
            else:
                chosen = image.profile if self.options.profile == "release" else self.options.profile
                program = images.build(image, chosen)
            self.programs[name] = program
        self.programs["envoy"] = ensured(tools.TOOLS["envoy"])

    def bring(self):
        """Makes the images and brings them to the nodes; the control plane's under a second tag too."""
        wanted = [("byrnie-control-plane", self.tag), ("byrnie-control-plane", self.next)]
        wanted += [(name, self.tag) for name in POD_IMAGES]
        with tempfile.TemporaryDirectory(prefix="byrnie-trial-") as folder, ThreadPoolExecutor(2) as pool:
            made = pool.map(lambda one: self.archive(Path(folder), *one), wanted)
            for file in made:
                run([*shlex.split(self.options.load), str(file)], None, True)

    def archive(self, folder, name, tag):
        program, file = self.programs[name], folder / f"{name}-{tag}.tar"
        image = images.IMAGES[name]
        needed = {**images.libraries(program), **(images.iptables() if image.has_iptables else {})}
        file.write_bytes(images.archive(image, self.image(name, tag), program.read_bytes(), needed))
        return file


def ensured(tool):
    """Where a tool is, which is fetched if it is not there."""
    tools.ensure(tool)
    return tools.found(tool)


def flag(name, value):
    return [name, str(value)] if value else []


def run(command, given, check):
    """What a command prints."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=600)
    if check and done.returncode != 0:
        name = f"{Path(command[0]).name} {' '.join(command[1:])}"
        raise Failure(f"{name[:200]} ended with {done.returncode}:\n{done.stderr.strip()}\n{done.stdout.strip()}")
    return done.stdout
