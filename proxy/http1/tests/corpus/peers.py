#!/usr/bin/env python3
"""What Envoy and HAProxy make of the cases of this folder, in a table beside what this project expects.

    python3 peers.py            run both and write TABLE.md
    python3 peers.py --check    run both and compare with TABLE.md; status 1 if it differs
    python3 peers.py NAME...    run the cases whose names hold one of these words, print and write nothing

Each proxy runs as a plain HTTP/1 proxy with its defaults of strictness, on loopback only, in front of a back end in
this program that records raw bytes. --envoy and --haproxy say where the programs are; else Envoy is what
`scripts/tools path envoy` prints and HAProxy is on PATH.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cases
import exchange

TABLE = cases.FOLDER / "TABLE.md"
TOOLS = cases.FOLDER.parents[3] / "scripts" / "tools"
AT_ONCE = 24  # cases; they mostly wait
START = 20  # seconds for a proxy to listen
LAXER = "**"
FILTERS = "type.googleapis.com/envoy.extensions.filters"

# HAProxy 2.6.12 checks the syntax of the first trailer in some runs and not in others, with the same bytes.
UNSTEADY = {
    ("HAProxy", "a-trailer-with-a-space-before-the-colon-is-refused"): "field line",
    ("HAProxy", "an-indented-first-trailer-is-refused"): "a folded or indented field",
}


@dataclasses.dataclass
class Peer:
    title: str
    command: list
    path: Path  # of the configuration that the command reads
    config: str
    ports: list
    listeners: list  # of the back end, one for each case


def main():
    options = arguments()
    wanted = [case for case in cases.all_cases() if not options.names or any(n in case.name for n in options.names)]
    allow_open_files(len(wanted) * 8 + 256)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        backends = [[listening() for _ in wanted] for _ in range(2)]
        ports = free_ports(2 * len(wanted))
        peers = [
            envoy(options.envoy or tool_path(), ports[: len(wanted)], backends[0], Path(folder)),
            haproxy(options.haproxy or shutil.which("haproxy"), ports[len(wanted) :], backends[1], Path(folder)),
        ]
        for peer in peers:
            running.enter_context(started(peer, Path(folder)))
        results = run_all(wanted, peers)
    text = table(wanted, peers, results)
    if options.names:
        print(text)
        return 0
    if options.check:
        return compared(text)
    TABLE.write_text(text)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envoy", help="path of the program")
    parser.add_argument("--haproxy", help="path of the program")
    parser.add_argument("--check", action="store_true", help="compare with the table that is there")
    parser.add_argument("names", nargs="*", help="only cases whose names hold one of these")
    return parser.parse_args()


def allow_open_files(count):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, most), most))


def tool_path():
    found = subprocess.run([sys.executable, TOOLS, "path", "envoy"], capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"no Envoy: {found.stderr.strip()}")
    return found.stdout.strip()


def envoy(program, ports, listeners, folder):
    version = re.search(r"/(\d+\.\d+\.\d+)/", output(program, "--version"))
    config = {
        "static_resources": {
            "listeners": [envoy_listener(index, port) for index, port in enumerate(ports)],
            "clusters": [envoy_cluster(index, listener) for index, listener in enumerate(listeners)],
        }
    }
    path = folder / "envoy.json"
    command = [program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    return Peer(f"Envoy {version[1]}", command, path, json.dumps(config), ports, listeners)


def envoy_listener(index, port):
    routes = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": f"c{index}"}}]}]}  # fmt: skip
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"l{index}",
        "codec_type": "HTTP1",
        "route_config": routes,
        "http_filters": [{"name": "router", "typed_config": {
            "@type": f"{FILTERS}.http.router.v3.Router"}}],
    }  # fmt: skip
    filters = [{"name": "manager", "typed_config": manager}]
    return {"name": f"l{index}", "address": address(port), "filter_chains": [{"filters": filters}]}


def envoy_cluster(index, listener):
    endpoint = {"endpoint": {"address": address(listener.getsockname()[1])}}
    assignment = {"cluster_name": f"c{index}", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": f"c{index}", "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def haproxy(program, ports, listeners, folder):
    if not program:
        sys.exit("no HAProxy on PATH: apt-get install haproxy")
    version = re.search(r"version (\d+\.\d+\.\d+)", output(program, "-v"))
    lines = ["defaults", " mode http", " timeout connect 5s", " timeout client 15s", " timeout server 15s"]
    for index, (port, listener) in enumerate(zip(ports, listeners, strict=True)):
        lines += [f"listen l{index}", f" bind 127.0.0.1:{port}", f" server s 127.0.0.1:{listener.getsockname()[1]}"]
    path = folder / "haproxy.cfg"
    command = [program, "-db", "-f", str(path)]
    return Peer(f"HAProxy {version[1]}", command, path, "\n".join(lines) + "\n", ports, listeners)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def free_ports(count):
    held = [listening() for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in held]
    for holder in held:
        holder.close()
    return ports


def listening():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


@contextlib.contextmanager
def started(peer, folder):
    peer.path.write_text(peer.config)
    with (folder / f"{peer.title}.log").open("w+") as log:
        process = subprocess.Popen(peer.command, stdout=log, stderr=log)
        try:
            await_listening(peer, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_listening(peer, process, log):
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            for port in (peer.ports[0], peer.ports[-1]):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    log.seek(0)
    sys.exit(f"{peer.title} does not listen: {log.read()[-2000:]}")


def run_all(wanted, peers):
    """For each case what each peer made of it, and whether it passed on what is to be refused."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [
            [pool.submit(exchange.run_case, case, peer.ports[index], peer.listeners[index]) for peer in peers]
            for index, case in enumerate(wanted)
        ]
        rows = zip(wanted, runs, strict=True)
        return [[steady(peer, case, run) for peer, run in zip(peers, row, strict=True)] for case, row in rows]


def steady(peer, case, run):
    """The result of a run; both that are known where runs differ."""
    found = run.result()
    why = UNSTEADY.get((peer.title.split(" ")[0], case.name))
    outcomes = ["refused 400", f"forwarded as: {exchange.UNREADABLE} ({why})"]
    return (" or, in other runs, ".join(outcomes), True) if why and found[0] in outcomes else found


def table(wanted, peers, results):
    lines = [
        "# What Envoy and HAProxy make of the corpus",
        "",
        "Written by `peers.py`; what the words mean is in [README.md](README.md). With its defaults, which both had,",
        "Envoy takes no HTTP/1.0, no CONNECT and no Upgrade. A cell in bold passes on what this project refuses.",
        "",
        *counts(wanted, peers, results),
    ]
    for role, file in dict.fromkeys((case.role, case.file) for case in wanted):
        lines += ["", f"## {file} ({role}s)", f"| case | expected | {' | '.join(peer.title for peer in peers)} |"]
        lines.append(f"| --- | --- |{' --- |' * len(peers)}")
        lines += [row(case, found) for case, found in zip(wanted, results, strict=True) if case.file == file]
    return "\n".join(lines) + "\n"


def counts(wanted, peers, results):
    yield f"| of | cases | to be refused |{''.join(f' {p.title}: not passed on | passed on |' for p in peers)}"
    yield f"| --- | --- | --- |{' --- | --- |' * len(peers)}"
    for role in ("request", "response"):
        rows = [(case, found) for case, found in zip(wanted, results, strict=True) if case.role == role]
        strict = [found for case, found in rows if case.end == "refused"]
        passed_on = [sum(laxer for _, laxer in column) for column in zip(*strict, strict=True)]
        cells = "".join(f" {len(strict) - count} | {count} |" for count in passed_on)
        yield f"| {role}s | {len(rows)} | {len(strict)} |{cells}"


def row(case, found):
    cells = [f"{LAXER}{text}{LAXER}" if laxer else text for text, laxer in found]
    return f"| {case.name} | {' | '.join(cell(text) for text in (expected(case), *cells))} |"


def cell(text):
    return text.replace("|", "\\|").replace("`", "\\`")


def expected(case):
    """What this project makes of the case, in the words of the other cells."""
    messages = ", ".join(exchange.shown(message) for message in distinct(case.messages))
    end = f"refused {case.detail}" if case.end == "refused" else "" if case.end in ("idle", "closed") else case.end
    return "; ".join(filter(None, (messages, end))) or "nothing"


def distinct(messages):
    """Without those that repeat the one before."""
    return [message for at, message in enumerate(messages) if at == 0 or message != messages[at - 1]]


def compared(text):
    committed = TABLE.read_text().splitlines() if TABLE.exists() else []
    new, gone = set(text.splitlines()) - set(committed), set(committed) - set(text.splitlines())
    for line in sorted(gone):
        print(f"- {line}")
    for line in sorted(new):
        print(f"+ {line}")
    return int(bool(new or gone))


if __name__ == "__main__":
    sys.exit(main())
