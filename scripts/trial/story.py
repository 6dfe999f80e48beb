"""The story of README.md on this cluster: its objects as they stand in examples/shop, and what must come of them."""

import json
import re
import subprocess
import urllib.request

from trial.ground import ROOT, Failure
from trial.load import Asking, ask

EXAMPLE = "byrnie-example"
WEB = "deployment/web"
DEPLOYMENTS = (WEB, "deployment/cart-v1", "deployment/cart-v2")
ADMIN = 15000


class Story:
    """A caller and two versions of what it calls, with sidecars of one kind and then of the other."""

    def __init__(self, ground):
        self.ground = ground
        self.space = f"{ground.space}-story"

    def told(self, kinds):
        self.deploy()
        said = []
        for kind in kinds:
            self.become(kind)
            self.configure("route", "httproute/cart")
            share = self.split()
            self.configure("checks", "trafficpolicy/cart-v1")
            broken = self.one_of("version=v1")
            self.turn(broken, "break")
            self.ground.until(f"{broken} is ejected", lambda: self.ejected(broken))
            self.ground.until("byrnie stat tells of what failed", self.failed)
            self.turn(broken, "mend")
            self.ground.until(f"{broken} is called again", lambda: self.called(broken))
            self.kubectl("delete", "httproute/cart", "trafficpolicy/cart-v1")
            said.append(f"{kind} {share}")
        self.ground.kubectl("delete", "namespace", self.space, "--wait=false")
        return f"{', '.join(said)} to cart-v2 of 10 %; a broken Pod is ejected, and called again when it is mended"

    # ---- what the reader does

    def kubectl(self, verb, *arguments, given=None):
        return self.ground.kubectl(verb, "-n", self.space, *arguments, given=given)

    def apply(self, name):
        """An object of the example; of another image, but as it stands."""
        text = (ROOT / f"examples/shop/{name}.yaml").read_text()
        image = rf"\S+/{EXAMPLE}:\S+"
        self.kubectl("apply", "-f", "-", given=re.sub(image, self.ground.image(EXAMPLE), text))

    def deploy(self):
        self.ground.kubectl("create", "namespace", self.space)
        self.ground.kubectl("label", "namespace", self.space, "byrnie.io/inject=enabled")
        self.apply("app")

    def become(self, kind):
        """Has all Pods made anew with this sidecar; a micro-proxy is what they have."""
        annotated = {"spec": {"template": {"metadata": {"annotations": {"byrnie.io/proxy": kind}}}}}
        if kind != "micro":
            self.kubectl("patch", *DEPLOYMENTS, "--patch", json.dumps(annotated))
        for deployment in DEPLOYMENTS:
            self.kubectl("rollout", "status", deployment, "--timeout=120s")

    def configure(self, name, object_):
        self.apply(name)
        self.ground.byrnie("wait", object_, "-n", self.space, "--timeout", "60s")

    def one_of(self, label):
        """A Pod that is not about to end."""
        pods = self.ground.get("pods", "-n", self.space, "-l", label)["items"]
        return next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])

    def turn(self, pod, way):
        ask(self.ground, Asking(self.space, pod, "localhost:8080", path=f"/{way}"), rate=1)

    # ---- what comes of it

    def calls(self, seconds):
        return ask(self.ground, Asking(self.space, WEB, "cart:80"), rate=200, seconds=seconds)

    def split(self):
        """A tenth goes to the second version, which knows the caller by mTLS, and `byrnie stat` knows both."""
        found = self.calls(5)
        second = sum(count for who, count in found["by"].items() if who.startswith("cart-v2-"))
        if found["failed"] or abs(second / found["asked"] - 0.1) > 5 * (0.09 / found["asked"]) ** 0.5:
            raise Failure(f"web sends {second} of {found['asked']} requests to cart-v2, not a tenth: {found}")
        identity = f" spiffe://cluster.local/ns/{self.space}/sa/web"
        if any(not who.endswith(identity) for who in found["by"]):
            raise Failure(f"cart does not know that web calls: {list(found['by'])}")
        self.ground.until("byrnie stat tells of both versions", self.counted)
        return f"{100 * second / found['asked']:.1f} %"

    def counted(self):
        rows = self.stat()
        return rows, {f"{self.space}/cart-v{version}:80" for version in (1, 2)} <= set(rows)

    def failed(self):
        rows = self.stat()
        return rows, rows[f"{self.space}/cart-v1:80"] < 1 <= rows[f"{self.space}/cart-v2:80"]

    def stat(self):
        """The share of good requests of web, by what it calls. A Pod that is no more is told of for a minute."""
        web = self.one_of("app=web")
        rows = json.loads(self.ground.byrnie("stat", f"{self.space}/{web}", "-o", "json"))
        return {row["destination"]: row["successRate"] for row in rows}

    def ejected(self, pod):
        """Its sidecar's admin page says so, no request fails, and the Pod answers none."""
        found, health = self.calls(2), self.health()
        is_out = not found["failed"] and not any(who.startswith(f"{pod} ") for who in found["by"])
        return (found, health), is_out and sorted(health) == ["/failed_active_hc", "healthy", "healthy"]

    def called(self, pod):
        found, health = self.calls(2), self.health()
        is_in = not found["failed"] and any(who.startswith(f"{pod} ") for who in found["by"])
        return (found, health), is_in and health == ["healthy"] * 3

    def health(self):
        """What the sidecar of web thinks of each Pod of the first version."""
        lines = (line.split("::") for line in self.admin("/clusters").splitlines())
        mine = (parts for parts in lines if parts[0] == f"{self.space}/cart-v1:80" and parts[2:3] == ["health_flags"])
        return [parts[3] for parts in mine]

    def admin(self, path):
        """A page of web's sidecar, which serves them on loopback."""
        command = self.ground.command("port-forward", "-n", self.space, WEB, f":{ADMIN}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as forward:
            try:
                # "Forwarding from 127.0.0.1:40001 -> 15000"
                told = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())
                if not told:
                    raise Failure(f"kubectl port-forward: {forward.stderr.read().strip()}")
                with urllib.request.urlopen(f"http://127.0.0.1:{told.group(1)}{path}", timeout=10) as answer:
                    return answer.read().decode()
            finally:
                forward.terminate()
