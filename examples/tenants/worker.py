#!/usr/bin/env python3
"""Does the tasks of a tenant's workflows: worker.py PORT (0 takes a free one).

A task is one POST: {"tenant_id", "workflow_id", "task", "attempt", "dependencies", ...}. What it gives is the answer, as an
object with the fields of a result; a status of 400 or more is a failure. The tests find something to complain about the
first time that they run.
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock


def codegen(order):
    name = order["task"]["parameters"]["name"]
    return {"output": f"wrote {name}.py", "files": {f"{name}.py": f"def {name}():\n    return 42\n"}}


def test(order):
    with lock:
        is_first, _ = order["workflow_id"] not in seen, seen.add(order["workflow_id"])
    if is_first:
        raise ValueError("1 of 2 tests failed")
    files = sorted(file for result in order["dependencies"].values() for file in result["files"])
    return {
        "output": f"2 tests passed in {', '.join(files)}",
        "metrics": {"tests": 2},
        "resource_usage": {"cpu_time": 31_000_000, "memory_used": 9_437_184},
    }


def doc(order):
    return {"output": f"documented {len(order['dependencies'])} modules", "artifacts": ["docs/index.html"]}


TASKS = {"codegen": codegen, "test": test, "doc": doc}
seen, lock = set(), Lock()


class Worker(BaseHTTPRequestHandler):
    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            self.answer(200, TASKS[order["task"]["type"]](order))
        except Exception as error:
            self.answer(400, {"error": f"{type(error).__name__}: {error}"})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Worker)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
