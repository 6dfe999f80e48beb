"""The objects of the mesh that scripts/cluster tries: two callers, three servers, and somebody outside.

    web-micro, web-envoy  call the Service cart; their sidecar is a micro-proxy, an Envoy
    cart-1, cart-2        serve it, with a micro-proxy and an Envoy
    cart-3                serves it without a sidecar
    outside               calls without one
"""

SERVERS = {"cart-1": "micro", "cart-2": "envoy", "cart-3": None}
CALLERS = {"web-micro": "micro", "web-envoy": "envoy"}
OUTSIDE = "outside"
# Where the sidecar listens for peers, where the application does, and where the application calls.
INBOUND, APPLICATION, UPSTREAM = 8080, 8081, "127.0.0.1:9080"
ADMIN = 15000
TOKEN, TRUST, BOOTSTRAP = "/var/run/secrets/byrnie", "/etc/byrnie", "/etc/envoy"
CONTROL_PLANE = "byrnie-control-plane"
SYSTEM = "byrnie-system"

# What the pod security standard `restricted` asks for.
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

# Without a request it would be the last to be served where a node is busy.
MODEST = {"requests": {"cpu": "10m", "memory": "32Mi"}}


def applied(*objects):
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def namespace(name):
    labels = {"byrnie.io/inject": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def around(space):
    """What stands around the Pods: the accounts, and the Services cart, cart-v1 (cart-1) and cart-v2 (cart-2)."""

    def service(name, selector):
        ports = [{"name": "http", "port": 80, "targetPort": INBOUND}]
        return {**named("v1", "Service", space, name), "spec": {"selector": selector, "ports": ports}}

    services = {"cart": {"app": "cart"}, "cart-v1": {"pod": "cart-1"}, "cart-v2": {"pod": "cart-2"}}
    accounts = [named("v1", "ServiceAccount", space, name) for name in ("cart", "web")]
    return applied(*accounts, *(service(name, selector) for name, selector in services.items()))


def bootstrap(space, pod, text):
    """What the Envoy of a Pod is started with; no secret stands in it."""
    return {**named("v1", "ConfigMap", space, pod), "data": {"envoy.json": text}}


def pod(space, name, images):
    """A Pod with the sidecar that its name asks for."""
    serves, calls = name in SERVERS, name in CALLERS
    sidecar = SERVERS.get(name) or CALLERS.get(name)
    app = "cart" if serves else "web" if calls else name
    listen = f"127.0.0.1:{APPLICATION}" if sidecar else f"0.0.0.0:{INBOUND}"
    made = named("v1", "Pod", space, name)
    made["metadata"]["labels"] = {"app": app, "pod": name}
    if sidecar:
        inbound = {"byrnie.io/inbound": f"0.0.0.0:{INBOUND}=127.0.0.1:{APPLICATION}"} if serves else {}
        upstreams = {"byrnie.io/upstreams": f"{UPSTREAM}=cart.{space}:80"} if calls else {}
        made["metadata"]["annotations"] = {**inbound, **upstreams}
    containers = [container("app", images["byrnie-example"], ["serve", "--listen", listen, "--name", name])]
    volumes = []
    if sidecar:
        containers.append(proxy(space, name, sidecar, images))
        volumes = mounted(name, sidecar)
    made["spec"] = {
        "serviceAccountName": app if serves or calls else "default",
        "terminationGracePeriodSeconds": 5,
        "containers": containers,
        "volumes": volumes,
    }
    return made


def proxy(space, name, sidecar, images):
    mounts = [{"name": "token", "mountPath": TOKEN}, {"name": "trust", "mountPath": TRUST}]
    if sidecar == "micro":
        arguments = ["--workload", f"{space}/{name}", "--xds-address", f"{CONTROL_PLANE}.{SYSTEM}.svc:15012"]
        arguments += ["--token-file", f"{TOKEN}/token", "--roots-file", f"{TRUST}/root.crt"]
        made = container("proxy", images["byrnie-proxy"], [*arguments, "--admin-address", f"0.0.0.0:{ADMIN}"])
    else:
        arguments = ["-c", f"{BOOTSTRAP}/envoy.json", "--disable-hot-restart", "--concurrency", "1", "-l", "warn"]
        made = container("proxy", images["envoy"], arguments)
        mounts.append({"name": "bootstrap", "mountPath": BOOTSTRAP})
        # It ends at once when it is told to: first the callers learn that it goes.
        made["lifecycle"] = {"preStop": {"sleep": {"seconds": 3}}}
    made["volumeMounts"] = mounts
    made["readinessProbe"] = {"httpGet": {"path": "/ready", "port": ADMIN}, "periodSeconds": 1}
    return made


def mounted(name, sidecar):
    # The least lifetime that a kubelet asks for.
    token = {"audience": "byrnie.io/ca", "expirationSeconds": 600, "path": "token"}
    volumes = [
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "trust", "configMap": {"name": "byrnie-trust"}},
    ]
    if sidecar == "envoy":
        volumes.append({"name": "bootstrap", "configMap": {"name": name}})
    return volumes


def container(name, image, arguments):
    pulled = {"image": image, "imagePullPolicy": "IfNotPresent"}
    return {"name": name, **pulled, "args": arguments, "resources": MODEST, "securityContext": CONFINED}


def route(space, first, second):
    """An HTTPRoute of the Service cart: so many parts of the requests to cart-1 and to cart-2."""
    weights = {"cart-v1": first, "cart-v2": second}
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    parent = {"group": "", "kind": "Service", "name": "cart"}
    made = named("gateway.networking.k8s.io/v1", "HTTPRoute", space, "cart")
    return {**made, "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}}


def traffic_policy(space):
    made = named("mesh.byrnie.io/v1alpha1", "TrafficPolicy", space, "cart")
    retry = {"attempts": 2, "when": ["connect-failure", "reset"]}
    return {**made, "spec": {"targetRef": {"group": "", "kind": "Service", "name": "cart"}, "retry": retry}}


def strict(space):
    made = named("mesh.byrnie.io/v1alpha1", "PeerPolicy", space, "default")
    return {**made, "spec": {"mode": "Strict"}}


def named(version, kind, space, name):
    return {"apiVersion": version, "kind": kind, "metadata": {"namespace": space, "name": name}}
