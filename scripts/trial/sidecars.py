"""Which sidecar Pods get: what the webhook does to one, what Pods have, and the MeshConfig that says which."""

import contextlib
import json

from trial.ground import Failure

WEBHOOK = ("mutatingwebhookconfiguration", "byrnie-injector")
MESH = "meshconfig/default"
# Asked for by its own label, so that no namespace has to be made. It is admitted, but never stored.
ASKING = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "byrnie-conformance", "namespace": "default", "labels": {"byrnie.io/inject": "true"}},
    "spec": {"containers": [{"name": "app", "image": "app"}]},
}


def of(pod):
    """`micro`, `envoy` or `none`."""
    containers = {one["name"] for one in pod["spec"].get("initContainers", [])}
    if "byrnie-proxy" not in containers:
        return "none"
    return "envoy" if "byrnie-agent" in containers else "micro"


def given(ground):
    """The sidecar that a Pod would get now."""
    if not ground.kubectl("get", *WEBHOOK, "--ignore-not-found", "-o", "name"):
        raise Failure(f"there is no mesh in this cluster ({' '.join(WEBHOOK)}): install it, see docs/install.md")
    try:
        said = ground.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=json.dumps(ASKING))
    except Failure as failure:
        raise Failure(f"the mesh does not admit Pods; `byrnie check` says more. {failure}") from failure
    return of(json.loads(said))


def had(ground, spaces, wanted):
    """Refuses Pods with another sidecar than is wanted: a run with them would prove something else."""
    pods = [pod for space in spaces for pod in ground.get("pods", "-n", space)["items"]]
    for pod in pods:
        found = of(pod)
        if found != wanted:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            raise Failure(f"Pod {name} has the sidecar {found}, and not {wanted}")
    return len(pods)


@contextlib.contextmanager
def chosen(ground, wanted):
    """The sidecar is that of all Pods that do not say which, for this time; then the MeshConfig is what it was."""
    before = ground.get(MESH, "--ignore-not-found")
    injection = before["spec"].get("injection") if before else None
    if (injection or {}).get("proxy", "micro") == wanted:
        yield
        return
    if before:
        patch(ground, {"proxy": wanted})
    else:
        ground.kubectl("create", "-f", "-", given=json.dumps(mesh(wanted)))
    try:
        yield
    finally:
        if before:
            # In a merge patch null takes a field away.
            patch(ground, injection and {"proxy": injection.get("proxy")})
        else:
            ground.kubectl("delete", MESH, "--ignore-not-found")


def patch(ground, injection):
    ground.kubectl("patch", MESH, "--type=merge", "-p", json.dumps({"spec": {"injection": injection}}))


def mesh(wanted):
    return {
        "apiVersion": "mesh.byrnie.io/v1alpha1",
        "kind": "MeshConfig",
        "metadata": {"name": "default"},
        "spec": {"injection": {"proxy": wanted}},
    }
