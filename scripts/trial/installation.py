"""The installation: what is put into the cluster, and taken away at the end."""

import json

from trial.ground import ROOT, Failure, gateway_api
from trial.objects import CONTROL_PLANE, SYSTEM

DEPLOYMENT = f"deployment/{CONTROL_PLANE}"
LABEL = f"app.kubernetes.io/name={CONTROL_PLANE}"
DEFINITIONS = [f"{kind}.mesh.byrnie.io" for kind in ("trafficpolicies", "peerpolicies", "meshconfigs")]
ROUTES = [f"{kind}.gateway.networking.k8s.io" for kind in ("httproutes", "grpcroutes")]


class Installation:
    """A control plane in the cluster."""

    def __init__(self, ground):
        self.ground = ground
        self.brought_routes = False
        self.is_there = False

    def alone(self):
        """Refuses a cluster in which somebody has a Byrnie."""
        for kind, name in (("namespace", SYSTEM), ("clusterrole", CONTROL_PLANE), ("crd", DEFINITIONS[0])):
            if self.ground.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"):
                raise Failure(f"{kind} {name} is there: this cluster has a Byrnie already, which is left alone")
        version = json.loads(self.ground.api("/version"))
        return f"Kubernetes {version['gitVersion']}"

    def images(self):
        self.ground.build()
        self.ground.bring()
        return f"tags {self.ground.tag} and {self.ground.next}"

    def definitions(self):
        """Those of Gateway API, where they are missing."""
        if self.ground.kubectl("get", "crd", *ROUTES, "--ignore-not-found", "-o", "name").count("\n") == len(ROUTES):
            return "Gateway API was there"
        self.brought_routes = True
        folder = gateway_api.MODULES["crds"].folder / "config/crd/standard"
        if not folder.exists():
            raise Failure("there are no definitions of Gateway API; run: python3 scripts/gateway-api ensure")
        self.ground.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
        self.ground.kubectl("wait", "--for=condition=Established", "crd", *ROUTES, "--timeout=30s")
        return f"Gateway API {gateway_api.VERSION}"

    def install(self):
        """Installs the control plane, or another image of it."""
        repository = self.ground.image(CONTROL_PLANE).rsplit(":", 1)[0]
        tag = self.ground.next if self.is_there else self.ground.tag
        values = ["--set", f"image.repository={repository},image.tag={tag}"]
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
        self.ground.kubectl("rollout", "status", DEPLOYMENT, "-n", SYSTEM, "--timeout=120s")

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
        """Everything that the run has made."""
        quiet = ("--ignore-not-found", "--timeout=120s")
        self.ground.kubectl("delete", "namespace", self.ground.space, SYSTEM, *quiet, check=False)
        self.ground.kubectl("delete", "clusterrole,clusterrolebinding", CONTROL_PLANE, *quiet, check=False)
        crds = [*DEFINITIONS, *(self.gateway_kinds() if self.brought_routes else [])]
        self.ground.kubectl("delete", "crd", *crds, *quiet, check=False)

    def gateway_kinds(self):
        said = self.ground.kubectl("get", "crd", "-o", "name", check=False)
        return [line.split("/")[1] for line in said.splitlines() if line.endswith(".gateway.networking.k8s.io")]
