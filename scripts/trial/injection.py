"""What an injected Pod must do, and what must hold while Pods come and go. What a step returns is told."""

import random
import statistics
import time

from trial import shop
from trial.ground import Failure
from trial.installation import DEPLOYMENT, INJECTOR
from trial.load import Asking, Load, ask_all, meanwhile
from trial.objects import SYSTEM
from trial.shop import CALLERS, KINDS, OUTSIDE, SERVERS

SIDECAR = "byrnie-proxy"


class Injection:
    """Deployments and callers in a namespace that has the label, and nothing else of the mesh."""

    def __init__(self, ground):
        self.ground = ground
        self.space = f"{ground.space}-shop"
        self.app = ground.image("byrnie-example")

    # ---- Pods

    def build(self):
        self.ground.apply(shop.namespace(self.space))
        self.ground.apply(shop.around(self.space))
        self.ground.apply(*(shop.server(self.space, name, self.app) for name in SERVERS))
        self.ground.apply(*(shop.caller(self.space, name, self.app) for name in (*CALLERS, OUTSIDE)))
        self.rolled_out()
        self.ready(*CALLERS, OUTSIDE)
        for pod in self.pods():
            self.is_injected(pod)
        return f"{len(self.pods()) - 1} Pods with a sidecar, one without by its own label"

    def rolled_out(self):
        for name in SERVERS:
            self.ground.kubectl("rollout", "status", f"deployment/{name}", "-n", self.space, "--timeout=120s")

    def ready(self, *names):
        pods = [f"pod/{name}" for name in names]
        self.ground.kubectl("wait", "--for=condition=Ready", *pods, "-n", self.space, "--timeout=60s")

    def pods(self, selector=""):
        chosen = ["-l", selector] if selector else []
        return self.ground.get("pods", "-n", self.space, *chosen)["items"]

    def is_injected(self, pod):
        """The sidecars are init containers that go on, and nobody asked for any of it in the Pod."""
        name = pod["metadata"]["name"]
        added = [one for one in pod["spec"].get("initContainers", []) if one["name"].startswith("byrnie-")]
        lasting = [one["name"] for one in added if one.get("restartPolicy") == "Always"]
        kind = pod["metadata"].get("annotations", {}).get("byrnie.io/proxy")
        wanted = {"micro": [SIDECAR], "envoy": ["byrnie-agent", SIDECAR], None: []}[kind]
        if lasting != wanted or (wanted and added[-1]["name"] != "byrnie-init"):
            raise Failure(f"{name}, of kind {kind}, has the containers {[one['name'] for one in added]}")

    # ---- calls

    def asking(self, caller, to, path="/"):
        return Asking(self.space, caller, to, path=path)

    def askings(self, *callers, path="/"):
        return [self.asking(caller, f"{name}:80", path) for caller in callers for name in SERVERS]

    def calls(self):
        """By the Service's name, as before the mesh; the servers know who calls by mTLS."""
        self.ground.until("every caller reaches all Pods of every Service and is known", self.reached)
        return f"each of {', '.join(CALLERS)} reaches {', '.join(SERVERS)} by name, which know the caller by mTLS"

    def reached(self):
        identity = f" spiffe://cluster.local/ns/{self.space}/sa/web"
        found = ask_all(self.ground, self.askings(*CALLERS), rate=100)
        servers = {name: {pod["metadata"]["name"] for pod in self.pods(f"app={name}")} for name in SERVERS}
        whole = all(
            one["failed"] == 0 and set(one["by"]) == {name + identity for name in servers[asking.to.split(":")[0]]}
            for asking, one in found.items()
        )
        return list(found.values()), whole

    def order(self):
        """What runs in a Pod before its application calls by the mesh, and a Job ends when its work has."""
        early = [shop.early(self.space, f"early-{kind}", kind, self.app) for kind in KINDS]
        jobs = [shop.job(self.space, f"once-{kind}", kind, self.app) for kind in KINDS]
        self.ground.apply(*early, *jobs)
        self.ready(*(f"early-{kind}" for kind in KINDS))
        done = [f"job/once-{kind}" for kind in KINDS]
        self.ground.kubectl("wait", "--for=condition=Complete", *done, "-n", self.space, "--timeout=60s")
        self.ground.kubectl("delete", "-n", self.space, *done, *(f"pod/early-{kind}" for kind in KINDS), "--wait=false")
        return "init containers call from their first moment; Jobs complete"

    def strict(self):
        """Who has no identity is refused, the kubelet is not, and it is answered again after."""
        answered = self.outside()
        if any(one["failed"] for one in answered.values()):
            raise Failure(f"a caller outside the mesh is not answered: {answered}")
        self.ground.apply(shop.policy(self.space, "Strict"))
        self.ground.byrnie("wait", "peerpolicy/default", "-n", self.space, "--timeout", "60s")
        refused = self.outside()
        if any(one["by"] for one in refused.values()):
            raise Failure(f"PeerPolicy Strict is live, but a caller outside the mesh is answered: {refused}")
        # Twice the time after which a kubelet gives a server up.
        time.sleep(4)
        self.untouched()
        self.calls()
        self.ground.apply(shop.policy(self.space, "Permissive"))
        self.ground.byrnie("wait", "peerpolicy/default", "-n", self.space, "--timeout", "60s")
        return f"outside: {next(iter(next(iter(refused.values()))['failures']))}; probes of all kinds go on"

    def outside(self):
        return ask_all(self.ground, self.askings(OUTSIDE), rate=20)

    def untouched(self):
        """No server was restarted or is not ready."""
        for pod in self.pods("part=shop"):
            for one in pod["status"]["containerStatuses"]:
                if one["restartCount"] or not one["ready"]:
                    raise Failure(f"{pod['metadata']['name']}: the kubelet has {one}")

    # ---- the start of Pods

    def starts(self, count):
        """How long Pods of one container take until they are Ready: a figure, not a test."""
        took = {kind: [] for kind in (None, *KINDS)}
        for turn in range(count):
            for kind, times in took.items():
                # A kubelet looks once a second: no Pod is to come at the same moment of it as the one before.
                time.sleep(random.random())
                times.append(self.start(f"start-{kind or 'none'}-{turn}", kind))
        medians = {kind: statistics.median(times) for kind, times in took.items()}
        more = ", ".join(f"{medians[kind] - medians[None]:+.2f} s with {kind}" for kind in KINDS)
        return f"Ready after {medians[None]:.2f} s without a sidecar, {more} (medians of {count})"

    def start(self, name, kind):
        pod = shop.starting(self.space, name, kind, self.app)
        begin = time.monotonic()
        self.ground.apply(pod)
        self.ready(name)
        took = time.monotonic() - begin
        self.ground.kubectl("delete", "pod", name, "-n", self.space, "--now", "--wait=false")
        return took

    # ---- the end of Pods

    def finished(self):
        """A request that runs when its server is deleted ends well."""
        slow = [self.asking(caller, f"{name}:80", "/slow") for caller, name in zip(CALLERS, SERVERS)]
        names = [self.pods(f"app={name}")[0]["metadata"]["name"] for name in SERVERS]
        loads = [Load(self.ground, asking, 10) for asking in slow]
        try:
            for load in loads:
                load.standing(10)
            self.ground.kubectl("delete", "pod", "-n", self.space, *names)
            ends = [load.stop() for load in loads]
        finally:
            for load in loads:
                load.kill()
        lost = [end["failures"] for end in ends if end["failed"]]
        if lost:
            raise Failure(f"requests of three seconds were cut as their servers were deleted: {lost}")
        self.rolled_out()
        return f"{sum(end['asked'] for end in ends)} requests of 3 s each, none failed"

    def rollouts(self, count, rate):
        """All servers are replaced again and again, under load."""
        askings = self.askings(*CALLERS)
        loads = [Load(self.ground, asking, rate // len(askings)) for asking in askings]
        try:
            before = {load.name: load.standing(10) for load in loads}
            said = [meanwhile(loads, before, self.rollout) for _ in range(count)][-1]
            ends = [load.stop() for load in loads]
        finally:
            for load in loads:
                load.kill()
        asked, lost = (sum(end[what] for end in ends) for what in ("asked", "failed"))
        if lost:
            raise Failure(f"{lost} of {asked} requests failed in {count} rollouts: {[one['failures'] for one in ends]}")
        return f"{count} rollouts at {rate} requests/s, 0 of {asked} failed; the last: {said}"

    def rollout(self):
        deployments = [f"deployment/{name}" for name in SERVERS]
        self.ground.kubectl("rollout", "restart", *deployments, "-n", self.space)
        self.rolled_out()

    # ---- what is away

    def no_injector(self):
        """A Pod that needs a sidecar is refused with words, all others are not, and nothing that runs is touched."""
        load = Load(self.ground, self.asking("web-micro", "cart:80"), 50)
        try:
            load.standing(10)
            self.ground.kubectl("scale", INJECTOR, "-n", SYSTEM, "--replicas=0")
            self.ground.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=byrnie-injector", "-n", SYSTEM)
            refusal = self.ground.refused(shop.caller(self.space, "late", self.app))
            self.ground.apply(shop.caller("default", OUTSIDE, self.app))
            self.ground.kubectl("delete", "pod", OUTSIDE, "-n", "default", "--wait=false")
            self.ground.kubectl("scale", INJECTOR, "-n", SYSTEM, "--replicas=2")
            self.ground.kubectl("rollout", "status", INJECTOR, "-n", SYSTEM, "--timeout=60s")
            end = load.stop()
        finally:
            load.kill()
        if "inject.byrnie.io" not in refusal or end["failed"]:
            raise Failure(f"without an injector a Pod is refused with {refusal!r}; running Pods: {end['failures']}")
        self.ground.until("Pods are made again", self.made_again)
        self.ground.kubectl("delete", "pod", "late", "-n", self.space, "--wait=false")
        return f"refused: {refusal.strip().splitlines()[-1][:160]}"

    def made_again(self):
        said = self.ground.refused(shop.caller(self.space, "late", self.app))
        return said, not said

    def no_control_plane(self):
        """A Pod that is made meanwhile waits for it, and its application does not start before."""
        self.ground.kubectl("scale", DEPLOYMENT, "-n", SYSTEM, "--replicas=0")
        wait = ["wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=byrnie-control-plane", "-n", SYSTEM]
        self.ground.kubectl(*wait, "--timeout=60s")
        self.ground.apply(*(shop.early(self.space, f"waiting-{kind}", kind, self.app) for kind in KINDS))
        time.sleep(8)
        for kind in KINDS:
            started = self.started(f"waiting-{kind}")
            # What the mesh adds runs and waits.
            if any(not one.startswith("byrnie-") for one in started):
                raise Failure(f"without a control plane {started} of waiting-{kind} have started")
        found, whole = self.reached()
        if not whole:
            raise Failure(f"without a control plane not every caller reaches all: {found}")
        self.ground.kubectl("scale", DEPLOYMENT, "-n", SYSTEM, "--replicas=2")
        self.ground.kubectl("rollout", "status", DEPLOYMENT, "-n", SYSTEM, "--timeout=120s")
        begin = time.monotonic()
        self.ready(*(f"waiting-{kind}" for kind in KINDS))
        pods = [f"pod/waiting-{kind}" for kind in KINDS]
        self.ground.kubectl("delete", "-n", self.space, *pods, "--wait=false")
        return f"the application waits, and starts {time.monotonic() - begin:.0f} s after the control plane is back"

    def started(self, name):
        status = self.ground.get("pod", name, "-n", self.space)["status"]
        every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return {one["name"] for one in every if one.get("started") or "terminated" in one.get("state", {})}
