"""The objects of the namespace whose Pods are injected. They say nothing of the mesh but which sidecar they want.

    cart, till            Deployments of two Pods, with micro-proxies and with Envoys, each behind a Service of its name
    web-micro, web-envoy  call them
    outside               calls them without a sidecar
"""

from trial.objects import MODEST, applied, named

KINDS = ("micro", "envoy")
SERVERS = {"cart": "micro", "till": "envoy"}
CALLERS = {"web-micro": "micro", "web-envoy": "envoy"}
OUTSIDE = "outside"
PORT = 8080
PROGRAM = "/usr/local/bin/cluster-app"


def namespace(name):
    return {**named("v1", "Namespace", None, name), "metadata": {"name": name, "labels": {"byrnie.io/inject": "enabled"}}}


def around(space):
    """The accounts and the Services."""
    accounts = [named("v1", "ServiceAccount", space, name) for name in ("web", *SERVERS)]
    return applied(*accounts, *(service(space, name) for name in SERVERS))


def service(space, name):
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {**named("v1", "Service", space, name), "spec": {"selector": {"app": name}, "ports": ports}}


def server(space, name, image, replicas=2):
    """A Deployment whose probes ask often and forgive little, so that one that no longer reaches its Pod is seen."""
    spec = template(name, SERVERS[name], image, serving(), labels={"part": "shop"})
    made = named("apps/v1", "Deployment", space, name)
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    selector = {"matchLabels": {"app": name}}
    return {**made, "spec": {"replicas": replicas, "selector": selector, "strategy": strategy, "template": spec}}


def serving():
    often = {"periodSeconds": 1, "failureThreshold": 2}
    asks = [PROGRAM, "load", "--to", f"127.0.0.1:{PORT}", "--rate", "1", "--seconds", "1"]
    return {
        "args": ["serve", "--listen", f"0.0.0.0:{PORT}"],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": {"exec": {"command": asks}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 30},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, **often},
        "livenessProbe": {"tcpSocket": {"port": "http"}, **often},
    }


def caller(space, name, image):
    made = template("web", CALLERS.get(name), image, {"args": ["serve", "--listen", f"127.0.0.1:{PORT}"]})
    if name == OUTSIDE:
        made["metadata"]["labels"]["byrnie.io/inject"] = "false"
        del made["spec"]["serviceAccountName"]
    return pod(space, name, made)


def starting(space, name, kind, image):
    """A Pod whose application is ready at once; without a sidecar if it is of no kind."""
    made = template("web", kind, image, {"args": ["serve", "--listen", f"127.0.0.1:{PORT}"]})
    if kind is None:
        made["metadata"]["labels"]["byrnie.io/inject"] = "false"
    return pod(space, name, made)


def early(space, name, kind, image):
    """A Pod whose init container calls cart, and which does not come up if a single call fails."""
    made = template("web", kind, image, {"args": ["serve", "--listen", f"127.0.0.1:{PORT}"]})
    made["spec"]["initContainers"] = [container("first", image, {"args": calling(1)})]
    return pod(space, name, made)


def job(space, name, kind, image):
    """A Job that calls cart for two seconds."""
    made = template("web", kind, image, {"args": calling(2)})
    made["spec"]["restartPolicy"] = "Never"
    return {**named("batch/v1", "Job", space, name), "spec": {"backoffLimit": 0, "template": made}}


def calling(seconds):
    return ["load", "--to", "cart:80", "--rate", "20", "--seconds", str(seconds)]


def pod(space, name, made):
    whole = named("v1", "Pod", space, name)
    whole["metadata"].update(made["metadata"])
    return {**whole, "spec": made["spec"]}


def template(app, kind, image, fields, labels=None):
    metadata = {"labels": {"app": app, **(labels or {})}}
    if kind:
        metadata["annotations"] = {"byrnie.io/proxy": kind}
    spec = {
        "serviceAccountName": app,
        "terminationGracePeriodSeconds": 20,
        "containers": [container("app", image, fields)],
    }
    return {"metadata": metadata, "spec": spec}


def container(name, image, fields):
    env = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "env": env, "resources": MODEST, **fields}


def policy(space, mode):
    return {**named("mesh.byrnie.io/v1alpha1", "PeerPolicy", space, "default"), "spec": {"mode": mode}}
