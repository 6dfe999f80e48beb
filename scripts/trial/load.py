"""Requests of an application in a Pod, and what became of them."""

import collections
import json
import queue
import subprocess
import threading

from trial import objects


class Load:
    """`cluster-app load` in a Pod, which tells each second how it stands; until `stop`."""

    def __init__(self, ground, pod, rate):
        command = ground.command(*asking(ground, pod, objects.UPSTREAM, rate), interactive=True)
        pipe = subprocess.PIPE
        self.pod = pod
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
            raise TimeoutError(f"the load of {self.pod} has told nothing for {wait} s; it said: {told}") from None
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


def asking(ground, pod, to, rate):
    arguments = ["load", "--to", to, "--host", f"cart.{ground.space}", "--rate", str(rate)]
    return ["exec", pod, "-n", ground.space, "-c", "app", "--", "/usr/local/bin/cluster-app", *arguments]


def ask(ground, pod, rate=50, seconds=1, to=objects.UPSTREAM):
    """What became of requests at a constant rate for a while."""
    done = ground.kubectl(*asking(ground, pod, to, rate), "--seconds", str(seconds), check=False)
    lines = done.splitlines()
    return json.loads(lines[-1]) if lines else {"asked": 0, "failed": 0, "by": {}, "failures": {}}


def read(stream, keep):
    for line in stream:
        keep(line.strip())
