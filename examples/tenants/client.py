#!/usr/bin/env python3
"""Checks a workflow, starts it, and mends it when its tests fail: client.py URL FILE."""
import json
import sys
import time
import urllib.error
import urllib.request

base, file = sys.argv[1], sys.argv[2]
workflows = f"{base}/api/v1/tenants/acme/workflows"


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data)) as reply:
            text = reply.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode()}")
    return json.loads(text) if text else None


def ended(url):
    while True:
        execution = call(url)["execution"]
        if execution["status"] in ("completed", "failed", "cancelled"):
            return execution
        time.sleep(0.05)


def show(execution):
    for task in execution["tasks"]:
        said = task.get("result", {}).get("output") or task.get("error", {}).get("message", "")
        print(f"{task['status']:10} {task['task']['id']:8} attempt {task['attempts']}  {said}")
    print(f"{execution['status']}, {execution['progress']['percent_complete']:.0f} %\n")


with open(file) as document:
    release = json.load(document)
checked = call(f"{base}/api/v1/dag/validate", {key: release[key] for key in ("tasks", "dependencies")})
print("order:", " ".join(checked["execution_order"]), "\n")

url = f"{workflows}/{call(workflows, release)['workflow_id']}"
execution = ended(url)
show(execution)
for error in execution["errors"]:
    call(f"{url}/retry", {"task_id": error["task_id"], "reason": "once more"})
show(ended(url))
metrics = call(f"{url}/metrics")
print(json.dumps({key: metrics[key] for key in ("custom_metrics", "resource_usage")}))
