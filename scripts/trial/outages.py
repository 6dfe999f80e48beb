"""What befalls the control plane and the servers while requests go on, and what they cost."""

import time
from datetime import datetime

from trial import objects
from trial.ground import Failure
from trial.installation import DEPLOYMENT
from trial.objects import CALLERS, SERVERS, SYSTEM


class Outages:
    """After each of them the mesh must be whole again."""

    def __init__(self, ground, installation, mesh):
        self.ground, self.installation, self.mesh = ground, installation, mesh

    def kill(self, name):
        self.ground.kubectl("delete", "pod", name, "-n", SYSTEM, "--grace-period=0", "--force", "--wait=false")

        def gone():
            pods = self.installation.replicas()
            return pods, name not in pods

        self.ground.until(f"{name} is gone", gone)
        self.installation.rolled_out()

    def kill_holder(self):
        """Another replica writes for all soon after, and every proxy is connected to one that lives."""
        before, begin = self.installation.holder(), time.monotonic()
        self.kill(before)

        def followed():
            now = self.installation.holder()
            return now, now and now != before

        self.ground.until("another replica holds the Lease", followed, 40)
        took = time.monotonic() - begin
        self.mesh.connected()
        return f"followed after {took:.0f} s"

    def kill_other(self):
        self.kill(next(name for name in self.installation.replicas() if name != self.installation.holder()))
        self.mesh.connected()

    def restart(self):
        self.ground.kubectl("rollout", "restart", DEPLOYMENT, "-n", SYSTEM)
        self.installation.rolled_out()
        self.mesh.connected()

    def upgrade(self):
        """To the same control plane by another name."""
        self.installation.install()
        tags = self.installation.tags()
        if self.ground.next not in tags:
            raise Failure(f"the upgrade to {self.ground.next} left {tags}")
        self.mesh.connected()

    def nobody(self):
        """No replica for 20 s."""
        self.ground.kubectl("scale", DEPLOYMENT, "-n", SYSTEM, "--replicas=0")
        self.ground.until("no replica is left", lambda: (found := self.installation.replicas(), not found))
        time.sleep(20)
        self.ground.kubectl("scale", DEPLOYMENT, "-n", SYSTEM, "--replicas=2")
        self.installation.rolled_out()
        self.mesh.connected()

    def remake(self, name):
        """A server is deleted and made again."""
        self.ground.kubectl("delete", "pod", name, "-n", self.mesh.space)
        self.mesh.make(name)
        self.mesh.connected()

    def figures(self):
        """Memory and start of what ran, as it tells itself."""
        for name in self.installation.replicas():
            yield self.figure(SYSTEM, name, 15014)
        for name in self.mesh.sidecars():
            if "envoy" not in (SERVERS.get(name), CALLERS.get(name)):
                yield self.figure(self.mesh.space, name, objects.ADMIN)

    def figure(self, space, name, port):
        metrics = self.ground.api(f"/api/v1/namespaces/{space}/pods/{name}:{port}/proxy/metrics")
        values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line and line[0] != "#")
        metric = ("process_resident_memory_bytes", "byrnie_process_resident_memory_peak_bytes")
        now, most = (float(values[one]) / (1 << 20) for one in metric)
        conditions = self.ground.get("pod", name, "-n", space)["status"]["conditions"]
        times = {one["type"]: instant(one["lastTransitionTime"]) for one in conditions}
        took = (times["Ready"] - times["PodScheduled"]).total_seconds()
        return f"{name}: {now:.0f} MiB, at most {most:.0f}; ready {took:.0f} s after it was scheduled"


def instant(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
