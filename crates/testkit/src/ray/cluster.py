"""A small Ray cluster with a Serve app of two task types and a dashboard, for tests.

Arguments: the port of the ingress, the port of the dashboard, a folder for everything that Ray writes. It prints READY
once both answer, and ends by SIGTERM.
"""

import functools
import signal
import sys

import ray
from ray import serve
from ray._private import parameter
from starlette.requests import Request
from starlette.responses import JSONResponse

# Clusters of one machine would fight for the agent's usual port, which `ray.init` cannot set.
parameter.RayParams = functools.partial(parameter.RayParams, dashboard_agent_listen_port=0)

TASKS = {
    "text.upper": lambda payload: {"text": payload["text"].upper()},
    "math.sum": lambda payload: {"sum": sum(payload["numbers"])},
}


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Ingress:
    async def __call__(self, request: Request) -> JSONResponse:
        line = f"{request.method} {request.url.path}"
        if line == "GET /health":
            return JSONResponse({"status": "healthy"})
        if line == "GET /tasks":
            return JSONResponse({"tasks": sorted(TASKS)})
        if line != "POST /task":
            return JSONResponse({"detail": "Not Found"}, status_code=404)
        body = await request.json()
        name, result, error = body.get("type"), None, None
        if name in TASKS:
            try:
                result = TASKS[name](body.get("payload"))
            except Exception as problem:
                error = f"{type(problem).__name__}: {problem}"
        else:
            error = f"Unknown task: {name}"
        return JSONResponse({"result": result, "error": error, "task_type": name})


def main() -> None:
    ingress, dashboard, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80_000_000,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=dashboard,
        log_to_driver=False,
        _temp_dir=folder,
    )
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": ingress})
    serve.run(Ingress.bind())
    print("READY", flush=True)
    signal.pause()


main()
