#!/usr/bin/env python3
"""A compute backend in the manner of Modal, with three tasks: backend.py PORT (0 takes a free one).

POST /run_task does a task, GET /health_check says that it is well, GET /tasks_list what it can do. What goes wrong
inside a task is told with status 200, as Modal's Python applications do it; anything else is the backend's own trouble.
"""
import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock


def split(given):
    return [part.strip() for part in given["text"].split("\n\n") if part.strip()]


def count(given):
    words = [word.strip(".,;:!?").lower() for word in given["text"].split()]
    return {"words": len(words), "longest": max(words, key=len), "often": Counter(words).most_common(3)}


def report(given):
    total = sum(part["words"] for part in given["counts"])
    longest = max((part["longest"] for part in given["counts"]), key=len)
    return {"title": given["title"], "words": total, "longest": longest}


TASKS = {"text.split": split, "text.count": count, "text.report": report}
busy, lock = {"text.report"}, Lock()  # too busy the first time that somebody asks


class Backend(BaseHTTPRequestHandler):
    def do_GET(self):
        known = {
            "/health_check": {"status": "healthy"},
            "/tasks_list": {"total": len(TASKS), "categories": {"text": list(TASKS)}},
        }
        self.answer(200 if self.path in known else 404, known.get(self.path, {}))

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = order["task_type"]
        with lock:
            is_busy = kind in busy
            busy.discard(kind)
        if is_busy:
            return self.answer(429, {"detail": "busy"})
        try:
            self.answer(200, {"result": TASKS[kind](order["payload"]), "task_type": kind})
        except Exception as error:
            self.answer(200, {"error": f"{type(error).__name__}: {error}", "task_type": kind})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
