"""The mesh of Pods, and what must hold in it. What a step returns is told."""

import json

from trial import objects
from trial.ground import Failure
from trial.load import Asking, ask, ask_all
from trial.objects import CALLERS, OUTSIDE, SERVERS

# A server with a sidecar.
FIRST = "cart-1"
KINDS = ("CDS", "LDS", "EDS", "RDS", "SDS")


class Mesh:
    """Callers and servers in a namespace."""

    def __init__(self, ground):
        self.ground, self.space = ground, ground.space

    def build(self):
        self.ground.apply(objects.namespace(self.space))
        self.ground.apply(objects.around(self.space))
        self.make(*SERVERS, *CALLERS, OUTSIDE)
        return f"{len(SERVERS)} servers, {len(CALLERS)} callers, one outside"

    def make(self, *names):
        """Makes Pods, and waits until they are ready."""
        images = {name: self.ground.image(name) for name in ("byrnie-example", "byrnie-proxy", "envoy")}
        made = []
        for name in names:
            if (SERVERS.get(name) or CALLERS.get(name)) == "envoy":
                files = ["--token-file", f"{objects.TOKEN}/token", "--roots-file", f"{objects.TRUST}/root.crt"]
                admin = ["--envoy-admin-address", f"0.0.0.0:{objects.ADMIN}"]
                whom = ["--workload", f"{self.space}/{name}"]
                text = self.ground.byrnie("bootstrap", "envoy", *whom, *files, *admin, of_cluster=False)
                made.append(objects.bootstrap(self.space, name, text))
            made.append(objects.pod(self.space, name, images))
        self.ground.apply(objects.applied(*made))
        pods = [f"pod/{name}" for name in names]
        self.ground.kubectl("wait", "--for=condition=Ready", *pods, "-n", self.space, "--timeout=60s")

    def sidecars(self):
        """The Pods that have one."""
        return [name for name in (*SERVERS, *CALLERS) if SERVERS.get(name) or CALLERS.get(name)]

    def identity(self, server):
        """What a server answers to a caller of the mesh."""
        uri = f" spiffe://cluster.local/ns/{self.space}/sa/web"
        return server + (uri if SERVERS[server] else "")

    def asked(self, **how):
        """Every caller asks at once: what became of it, by caller."""
        return {one.pod: answer for one, answer in ask_all(self.ground, self.askings(), **how).items()}

    def askings(self):
        return [self.asking(caller, objects.UPSTREAM) for caller in CALLERS]

    def asking(self, caller, to):
        return Asking(self.space, caller, to, f"cart.{self.space}")

    def calls(self):
        """Every caller reaches every server, and those with a sidecar know who calls."""
        # That a Pod is ready is known to the callers a little later.
        self.ground.until("every caller reaches every server and is known to it", self.reached)
        return f"each of {', '.join(CALLERS)} reaches {', '.join(SERVERS)}, which know the caller by mTLS"

    def unharmed(self):
        """The same, at once."""
        found, whole = self.reached()
        if not whole:
            raise Failure(f"not every caller reaches every server: {found}")

    def reached(self):
        wanted = {self.identity(server) for server in SERVERS}
        found = self.asked()
        return found, all(one["failed"] == 0 and set(one["by"]) == wanted for one in found.values())

    def strict(self):
        """Who has no identity is answered at first, and refused from then on; the mesh goes on."""
        target = self.ground.get("pod", FIRST, "-n", self.space)["status"]["podIP"]
        target = f"[{target}]" if ":" in target else target

        def outside():
            return ask(self.ground, self.asking(OUTSIDE, f"{target}:{objects.INBOUND}"))

        before = outside()
        if before["by"] != {FIRST: before["asked"]}:
            raise Failure(f"a caller outside the mesh is not answered by {FIRST}: {before}")
        self.ground.apply(objects.strict(self.space))
        live = self.wait("peerpolicy/default")
        after = outside()
        if after["by"]:
            raise Failure(f"PeerPolicy Strict is live, but a caller outside the mesh is answered: {after}")
        self.unharmed()
        return f"{live}; outside: {next(iter(after['failures']))}"

    def wait(self, name):
        return self.ground.byrnie("wait", name, "-n", self.space, "--timeout", "60s").strip().splitlines()[-1]

    def route(self):
        """A tenth of the requests goes to cart-2, give or take five standard deviations."""
        self.ground.apply(objects.route(self.space, 90, 10))
        live = self.wait("httproute/cart")
        self.programmed("httproute/cart")
        shares = []
        for caller, found in self.asked(rate=200, seconds=5).items():
            second = found["by"].get(self.identity("cart-2"), 0)
            first = found["by"].get(self.identity("cart-1"), 0)
            spread = 5 * (0.09 / found["asked"]) ** 0.5
            if first + second != found["asked"] or abs(second / found["asked"] - 0.1) > spread:
                raise Failure(f"{caller} sends {second} of {found['asked']} requests to cart-2, not a tenth: {found}")
            shares.append(f"{caller} {100 * second / found['asked']:.1f} %")
        return f"{live}; to cart-2 of 10 %: {', '.join(shares)}"

    def unroute(self):
        """Without a route requests go to every server again."""
        self.ground.kubectl("delete", "httproute", "cart", "-n", self.space)
        self.ground.until("every server is called again", self.reached)

    def reroute(self):
        """All requests go to cart-1, as soon as that is said to be live."""
        self.ground.apply(objects.route(self.space, 1, 0))
        live = self.wait("httproute/cart")
        for caller, found in self.asked().items():
            if set(found["by"]) != {self.identity("cart-1")} or found["failed"]:
                raise Failure(f"the route of {caller} leads to cart-1 alone, but: {found}")
        return live

    def programmed(self, name):
        """The status that kubectl shows is good, and of the object as it is."""
        found = self.ground.get(name, "-n", self.space)
        generation = found["metadata"]["generation"]
        parents = found["status"].get("parents") or [found["status"]]
        for one in (one for parent in parents for one in parent["conditions"]):
            bad = {"PartiallyInvalid": "True", "Conflicted": "True"}.get(one["type"], "False")
            if one["status"] in (bad, "Unknown") or one["observedGeneration"] != generation:
                raise Failure(f"{name} is at generation {generation} and has the condition {one}")

    def policy(self):
        self.ground.apply(objects.traffic_policy(self.space))
        live = self.wait("trafficpolicy/cart")
        self.programmed("trafficpolicy/cart")
        self.unharmed()
        return live

    def seen(self):
        """`byrnie proxy-status` and `stat` know the sidecars and their calls."""
        self.connected()

        def counted():
            rows = json.loads(self.ground.byrnie("stat", "-o", "json"))
            good = {row["source"].split("/")[1] for row in rows if row.get("successRate") == 1}
            return rows, set(CALLERS) <= good

        rows = self.ground.until("byrnie stat tells of every caller, and of no failure", counted)
        return f"{len(self.sidecars())} proxies in sync; {len(rows)} pairs in stat"

    def connected(self):
        """All sidecars of the namespace are connected, and have all that they need."""
        wanted = sorted(f"{self.space}/{name}" for name in self.sidecars())

        def synced():
            every = json.loads(self.ground.byrnie("proxy-status", "-o", "json"))
            clients = [one for one in every if one["node"].startswith(f"{self.space}/")]
            stale = [one["node"] for one in clients if {one[kind] for kind in KINDS} - {"synced", None}]
            nodes = sorted(one["node"] for one in clients)
            return f"connected: {nodes}, not in sync: {stale}", nodes == wanted and not stale

        self.ground.until("every proxy is connected once and in sync", synced)
