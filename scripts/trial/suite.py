"""The conformance tests of Gateway API: the program that they are built into, and what it says."""

import collections
import dataclasses
import re
import shutil
import subprocess
import time

from trial.ground import ensured, kubernetes, tools

# Those of a mesh that the profiles do not hold already, and those of routes by which tests of the mesh ask for more. A
# test is skipped where one that it asks for is not named.
FEATURES = (
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteParentRefPort",
    "HTTPRouteResponseHeaderModification",
)
PROFILES = ("MESH-HTTP", "MESH-GRPC")
# What the tests make; all is in these.
SPACES = ("gateway-conformance-mesh", "gateway-conformance-mesh-consumer")
ROOT_TEST = "TestConformance"


@dataclasses.dataclass(frozen=True)
class Program(kubernetes.Program):
    """A module with a program of its own, since go builds tests into none by `install`."""

    @property
    def pins(self):
        return super().pins + self.read("main.go")

    def __str__(self):
        return f"Go module: sigs.k8s.io/gateway-api/conformance {self.version}"

    def fetch(self, tool, fresh, temporary):
        folder = temporary / "module"
        shutil.copytree(kubernetes.MODULES / self.module, folder)
        tools.go_install(tool, fresh, folder, (".",), "-ldflags", self.linked())


TOOL = tools.Tool(
    name="gateway-api-suite",
    program="bin/conformance",
    source=Program(".", "gateway-api"),
    asked=("--help",),
    answer=r"-conformance-profiles ",  # it tells no version
    costs="; about a minute",
    script="scripts/conformance",
)


@dataclasses.dataclass
class Test:
    """One of the tests of a run, with its subtests."""

    name: str
    begun: float
    verdict: str = ""  # PASS, FAIL or SKIP, once it has ended
    seconds: float = 0.0
    why: list = dataclasses.field(default_factory=list)


class Reading:
    """What the program says line by line, in the way that Go's test2json is told: `feed` returns a test that began or
    ended. Control lines begin with a byte 0x16; what is said after one belongs to the test that it names."""

    CONTROL = re.compile(r"=== (?:RUN|NAME|CONT|PAUSE) +(\S*)|--- (PASS|FAIL|SKIP): (\S+) \(")
    MESSAGE = re.compile(r" {4}\S+\.go:\d+: (?:\d{4}-\d\d-\d\dT\S+Z: )?(.*)")

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.current = ROOT_TEST
        self.messages = collections.defaultdict(list)  # by test or subtest
        self.failed = []  # tests and subtests, in the order in which they ended
        self.tests = {}

    def feed(self, line):
        said, marked, control = line.rstrip("\n").partition("\x16")
        self.hear(said)
        match = self.CONTROL.match(control) if marked else None
        if not match:
            return None
        begun, verdict, ended = match.groups()
        if begun is not None:
            self.current = begun
            return self.begin(begun) if control.startswith("=== RUN") else None
        self.current = ended
        if verdict == "FAIL":
            self.failed.append(ended)
        return self.end(ended, verdict)

    def hear(self, said):
        match = self.MESSAGE.match(said)
        of_current = self.messages[self.current]
        if match:
            of_current.append([match.group(1)])
        elif said.startswith(" " * 8) and of_current:
            of_current[-1].append(said.strip())

    def begin(self, path):
        name = own_name(path)
        if not name:
            return None
        self.tests[name] = Test(name, self.clock())
        return self.tests[name]

    def end(self, path, verdict):
        name = own_name(path)
        if not name:
            return None
        test = self.tests[name]
        test.verdict, test.seconds = verdict, self.clock() - test.begun
        test.why = self.why(path)
        return test

    def why(self, path):
        """Of each subtest that failed its last two messages; those of the test itself where none did."""
        below = [one for one in self.failed if one.startswith(f"{path}/")]
        lines = []
        for one in below or ([path] if path in self.failed else []):
            name = one[len(path) + 1 :]
            for message in self.telling(one)[-2:]:
                lines += [f"{name}: {line}" if name else line for line in message]
        return lines

    def telling(self, path):
        """The messages that tell what was wrong: assertions if there are some, else all but whole answers and what is
        cleared away at the end."""
        said = self.messages[path]
        asserted = [message for message in said if is_assertion(message)]
        told = asserted or [message for message in said if not message[0].startswith(("Got resp", "Deleting "))]
        return [lines for lines in map(shortened, told) if lines]


def own_name(path):
    """The name of a test of the mesh; None for a subtest, and for one of a gateway."""
    _, _, name = path.partition("/")
    return name if name.startswith("Mesh") and "/" not in name else None


def is_assertion(message):
    """Of testify, which tells it as a table."""
    return any(line.startswith("Error Trace:") for line in message)


def shortened(message):
    """At most four lines; of an assertion, those of `Error` and `Messages`."""
    lines = [line for line in message if line]
    if is_assertion(message):
        told, keep = [], False
        for line in lines:
            title = re.match(r"(Error Trace|Error|Test|Messages):\s*", line)
            if title:
                keep, line = title.group(1) in ("Error", "Messages"), line[title.end() :]
            if keep:
                told.append(line)
        lines = told
    return [line if len(line) <= 300 else f"{line[:300]}..." for line in lines[:4]]


class Run:
    """A run of all tests, or of one."""

    def __init__(self, options, kubeconfig, report, log):
        self.reading = Reading()
        self.log = log
        labels = [] if options.proxy == "none" else ["--namespace-labels=byrnie.io/inject=enabled"]
        chosen = [f"--run-test={options.run_test}"] if options.run_test else []
        timeouts = [f"--timeout-config-overrides={options.timeouts}"] if options.timeouts else []
        wanted = [f"--report-output={report}", *implementation(options)] if report else []
        self.command = [
            str(ensured(TOOL)),
            "-test.v=test2json",
            "-test.timeout=60m",
            f"--kubeconfig={kubeconfig}",
            f"--conformance-profiles={','.join(PROFILES)}",
            f"--supported-features={','.join(FEATURES)}",
            *labels,
            *chosen,
            *timeouts,
            *wanted,
        ]

    def tests(self):
        """Each test as it begins and as it ends. What is left of the process ends with the iteration."""
        process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        try:
            with open(self.log, "w", encoding="utf-8") as log:
                for line in process.stdout:
                    log.write(line)
                    test = self.reading.feed(line)
                    if test:
                        yield test
            process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def why_none(self):
        """Why the program ended before the first test: what the whole said last, or all that it wrote last."""
        told = [line for message in self.reading.telling(ROOT_TEST)[-2:] for line in message]
        return told or self.log.read_text().replace("\x16", "").splitlines()[-12:]


def implementation(options):
    """What the report says of itself."""
    return [
        "--organization=byrnie",
        "--project=byrnie",
        f"--url={options.url}",
        f"--version={options.version}",
        f"--contact={options.url}/issues/new",
        f"--mode={options.proxy}",
    ]
