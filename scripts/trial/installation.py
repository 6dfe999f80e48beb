"""The installation: what is put into the cluster, and taken away at the end."""

import json

from trial.ground import ROOT, Failure, gateway_api
from trial.objects import CONTROL_PLANE, SYSTEM

DEPLOYMENT = f"deployment/{CONTROL_PLANE}"
WEBHOOK = "byrnie-injector"
INJECTOR = f"deployment/{WEBHOOK}"
LABEL = f"app.kubernetes.io/name={CONTROL_PLANE}"
DEFINITIONS = [f"{kind}.mesh.byrnie.io" for kind in ("trafficpolicies", "peerpolicies", "meshconfigs")]
GATEWAY_API = ".gateway.networking.k8s.io"
ROUTE = f"httproutes{GATEWAY_API}"


class Installation:
    """A control plane in the cluster."""

    def __init__(self, ground):
        self.ground = ground
        self.folder = gateway_api.MODULES["crds"].folder / "config/crd/standard"
        self.brought_routes = False
        self.is_there = False

    def alone(self):
        """Refuses a cluster in which somebody has a Byrnie."""
        places = [("namespace", SYSTEM), ("clusterrole", CONTROL_PLANE), *(("crd", name) for name in DEFINITIONS)]
        for kind, name in places:
            if self.ground.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"):
                raise Failure(f"{kind} {name} is there: this cluster has a Byrnie already, which is left alone")
        version = json.loads(self.ground.api("/version"))
        return f"Kubernetes {version['gitVersion']}"

    def images(self):
        self.ground.build()
        self.ground.bring()
        return f"tags {self.ground.tag} and {self.ground.next}"

    def definitions(self):
        """Those of Gateway API, where none of them is there."""
        known = self.gateway_kinds()
        if known:
            if ROUTE not in known:
                raise Failure(f"this cluster has definitions of Gateway API, which are left alone, but no {ROUTE}")
            return "Gateway API was there"
        self.brought_routes = True
        gateway_api.ensure(gateway_api.MODULES["crds"])
        self.ground.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(self.folder))
        self.ground.kubectl("wait", "--for=condition=Established", "crd", ROUTE, "--timeout=30s")
        return f"Gateway API {gateway_api.VERSION}"

    def install(self):
        """Installs the control plane, or another image of it."""
        repository = self.ground.image(CONTROL_PLANE).rsplit(":", 1)[0]
        tag = self.ground.next if self.is_there else self.ground.tag
        values = ["--set", ",".join([f"image.repository={repository}", f"image.tag={tag}", *self.of_injector()])]
        if self.ground.helm_program:
            release = ("upgrade", "--install", "--create-namespace")
            self.ground.helm(*release, "byrnie-crds", f"{ROOT}/charts/byrnie-crds")
            self.ground.helm(*release, "byrnie", f"{ROOT}/charts/byrnie", *values)
        else:
            self.ground.apply(self.ground.byrnie("install", *values, of_cluster=False))
        self.is_there = True
        self.rolled_out()
        return self.ground.helm_program.name if self.ground.helm_program else "byrnie install | kubectl apply"

    def rolled_out(self):
        for deployment in (DEPLOYMENT, INJECTOR):
            self.ground.kubectl("rollout", "status", deployment, "-n", SYSTEM, "--timeout=120s")

    def of_injector(self):
        """The values for the injector's image, and for those that it gives to Pods."""
        names = {"image": "byrnie-injector", "initImage": "byrnie-init", "proxyImage": "byrnie-proxy", "envoyImage": "envoy"}
        for field, name in names.items():
            repository, tag = self.ground.image(name).rsplit(":", 1)
            yield from (f"injector.{field}.repository={repository}", f"injector.{field}.tag={tag}")

    def check(self):
        """`byrnie check` finds nothing wrong; its last line is a summary."""
        return self.ground.byrnie("check").strip().splitlines()[-1]

    def tags(self):
        """Of the images that the replicas run."""
        pods = self.ground.get("pods", "-l", LABEL, "-n", SYSTEM)["items"]
        return {pod["spec"]["containers"][0]["image"].rsplit(":", 1)[1] for pod in pods}

    def holder(self):
        """The replica that writes for all."""
        return self.ground.get("lease", CONTROL_PLANE, "-n", SYSTEM)["spec"].get("holderIdentity")

    def replicas(self):
        return [pod["metadata"]["name"] for pod in self.ground.get("pods", "-l", LABEL, "-n", SYSTEM)["items"]]

    def uninstall(self):
        if self.ground.helm_program:
            self.ground.helm("uninstall", "byrnie", "--wait")
        else:
            given = self.ground.byrnie("install", "--skip-crds", "--create-namespace", "false", of_cluster=False)
            self.ground.kubectl("delete", "-f", "-", given=given)

    def remove(self):
        """Everything that the run has made; tells what could not be removed."""
        left = []
        for what in (
            # First what would keep others from making Pods.
            ("mutatingwebhookconfiguration", WEBHOOK),
            ("namespace", self.ground.space, f"{self.ground.space}-shop", f"{self.ground.space}-story", SYSTEM),
            ("clusterrole,clusterrolebinding", CONTROL_PLANE, WEBHOOK),
            ("crd", *DEFINITIONS),
            *([("-f", str(self.folder))] if self.brought_routes else []),
        ):
            try:
                self.ground.kubectl("delete", *what, "--ignore-not-found", "--timeout=120s")
            except Failure as failure:
                left.append(str(failure))
        return "; ".join(left)

    def gateway_kinds(self):
        said = self.ground.kubectl("get", "crd", "-o", "name")
        return [line.split("/")[1] for line in said.splitlines() if line.endswith(GATEWAY_API)]
