"""`kfm bench vec-serve` as a library: one line out, one line back."""
import json, os, subprocess, tempfile
from pathlib import Path
import numpy as np


class DriverError(Exception): pass


class Kfm:
    name = "kfm"

    def __init__(self, program, work, options=(), inside=None):
        """`inside`: called in the new process before the program runs."""
        self.work = Path(tempfile.mkdtemp(prefix="serve-", dir=work))
        env = {key: value for key, value in os.environ.items() if not key.startswith("KFM_")}
        self.process = subprocess.Popen([program, "bench", "vec-serve", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, preexec_fn=inside)

    @property
    def pid(self): return self.process.pid

    def send(self, **request):
        self.process.stdin.write((json.dumps(request) + "\n").encode()); self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        if not line: raise DriverError("kfm bench vec-serve ended")
        answer = json.loads(line)
        if "error" in answer: raise DriverError(answer["error"])
        return answer

    def call(self, **request):
        self.send(**request); return self.receive()

    def open(self, data): return self.call(op="open", data=str(data.directory))
    def build(self, m=16, efc=200, threads=1, n=None, **more): return self.call(op="build", m=m, efc=efc, threads=threads, n=n, **more)

    def search(self, ef, k=10, mode="single", threads=1, nq=None):
        """ids, and the driver's own figures."""
        path = self.work / "ids"
        answer = self.call(op="search", ef=ef, k=k, mode=mode, threads=threads, nq=nq, ids_out=str(path))
        return np.fromfile(path, np.int32).reshape(answer["nq"], k), answer

    def timed(self, ef, k=10):
        ids, answer = self.search(ef, k)
        return ids, answer["cpu_s"], answer["p50_us"]

    def filter(self, allow, ef=64, k=10, nq=None):
        mask, path = self.work / "allow", self.work / "ids"
        allow.astype(np.uint8).tofile(mask)
        answer = self.call(op="filter", ef=ef, k=k, allow=str(mask), ids_out=str(path), nq=nq)
        return np.fromfile(path, np.int32).reshape(answer["nq"], k), answer

    def delete(self, ids):
        path = self.work / "gone"; np.asarray(ids, np.int32).tofile(path)
        return self.call(op="delete", ids=str(path))

    def add(self, ids):
        path = self.work / "come"; np.asarray(ids, np.int32).tofile(path)
        return self.call(op="add", ids=str(path))

    def kill(self):
        self.process.kill(); self.process.wait()

    def close(self):
        try: self.call(op="quit"); self.process.stdin.close()
        except (DriverError, BrokenPipeError): pass
        self.process.wait()
