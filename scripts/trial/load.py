"""Requests of an application in a Pod, and what became of them."""

import collections
import dataclasses
import json
import queue
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor


class Load:
    """`cluster-app load` in a Pod, which tells each second how it stands; until `stop`."""

    def __init__(self, ground, asking, rate):
        command = ground.command(*asking.command(rate), interactive=True)
        pipe = subprocess.PIPE
        self.name = asking.name
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.lines = queue.Queue()
        self.said = collections.deque(maxlen=5)
        kept = ((self.process.stdout, self.lines.put), (self.process.stderr, self.said.append))
        self.readers = [threading.Thread(target=read, args=one, daemon=True) for one in kept]
        for reader in self.readers:
            reader.start()

    def standing(self, wait):
        """What has become of all requests so far, told after this was asked; `slowest_ms` of those since the last."""
        slowest, latest = 0, None
        while not self.lines.empty():
            latest = self.lines.get()
            slowest = max(slowest, json.loads(latest)["slowest_ms"])
        try:
            latest = json.loads(self.lines.get(timeout=wait))
        except queue.Empty:
            told = " ".join(self.said) or "nothing"
            raise TimeoutError(f"the load of {self.name} has told nothing for {wait} s; it said: {told}") from None
        return {**latest, "slowest_ms": max(slowest, latest["slowest_ms"])}

    def stop(self):
        """Returns what became of all of its requests."""
        self.process.stdin.close()
        self.process.wait(30)
        for reader in self.readers:
            reader.join()
        last = None
        while not self.lines.empty():
            last = json.loads(self.lines.get())
        return last

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


@dataclasses.dataclass(frozen=True)
class Asking:
    """Who asks whom: a Pod, and `HOST:PORT`; `host` is what the requests say, where that is another."""

    space: str
    pod: str
    to: str
    host: str = ""
    path: str = "/"

    @property
    def name(self):
        return f"{self.pod} of {self.to}" if not self.host else self.pod

    def command(self, rate):
        """For kubectl."""
        host = ["--host", self.host] if self.host else []
        arguments = ["load", "--to", self.to, "--path", self.path, "--rate", str(rate), *host]
        return ["exec", self.pod, "-n", self.space, "-c", "app", "--", "/usr/local/bin/cluster-app", *arguments]


def ask(ground, asking, rate=50, seconds=1):
    """What became of requests at a constant rate for a while."""
    done = ground.kubectl(*asking.command(rate), "--seconds", str(seconds), check=False)
    lines = done.splitlines()
    return json.loads(lines[-1]) if lines else {"asked": 0, "failed": 0, "by": {}, "failures": {}}


def ask_all(ground, askings, **how):
    """What became of the requests of each, who ask at once."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(askings, pool.map(lambda one: ask(ground, one, **how), askings)))


def meanwhile(loads, before, befall):
    """What befell, and the requests meanwhile."""
    said = befall()
    texts = [said] if said else []
    for load in loads:
        now = load.standing(10)
        asked, lost = (now[what] - before[load.name][what] for what in ("asked", "failed"))
        texts.append(f"{load.name} {lost} of {asked} failed, slowest {now['slowest_ms']} ms")
        before[load.name] = now
    return "; ".join(texts)


def read(stream, keep):
    for line in stream:
        keep(line.strip())
