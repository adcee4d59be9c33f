"""The handlers' case: a directory of all files is renamed, and the Lambdas work until their queues are empty.

Run as a program it is what Lambda is to them: it takes batches from the queues, as large as the template has them, and
gives them to the real handlers, one batch after the other.
"""

import importlib
import json
import os
import resource
import ssl
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from siteferry_contract.descriptor import ENVIRONMENT_VARIABLE
from siteferry_contract.job import JOB_KINDS
from siteferry_infra.sizes import SIZES
from tests.bench.measure import measure
from tests.bench.tree import walk
from tests.bench.workbench import Rows, Workbench, WrongError

HANDLERS: Final = "handlers"
MOVED: Final = "moved"


def renamed(bench: Workbench, rounds: int) -> Rows:
    """Every file is in a directory that gets another name: held by the brake, approved, published, settled."""
    bench.bring_to_par()
    _drain(bench)
    rows: Rows = {}
    for _ in range(rounds):
        top = bench.root / MOVED
        before = sorted(path for path in bench.root.iterdir() if path != top)
        below = sorted(top.iterdir()) if top.exists() else []
        top.mkdir(exist_ok=True)
        for path in before:
            path.rename(top / path.name)
        for path in below:
            path.rename(bench.root / path.name)
        if below:
            top.rmdir()
        bench.wait_settled()
        held = bench.run(bench.site, codes=(0, 3))  # the brake holds the deletes
        rows.setdefault(bench.site.name, []).append(
            _together(held, bench.run(bench.site, "approve"), bench.run(bench.site))
        )
        rows.setdefault(HANDLERS, []).append(_drain(bench))
        _verify(bench)
    bench.at_par.intersection_update({bench.site.name})
    return rows


def _together(*rows: dict[str, Any]) -> dict[str, Any]:
    """Give what several commands took, one after the other."""
    whole: dict[str, Any] = {name: sum(row[name] for row in rows) for name in ("cpu", "wall", "server_cpu")}
    whole |= {name: max(row[name] for row in rows) for name in ("rss", "pss", "largest")}
    return whole | {name: dict(sum((Counter(row[name]) for row in rows), Counter())) for name in ("requests", "units")}


def _drain(bench: Workbench) -> dict[str, Any]:
    """Let the handlers work until the queues are empty; gives their costs, and those of their longest batches."""
    answer = bench.folder / "handlers.json"
    environment = bench.site.environment | {
        ENVIRONMENT_VARIABLE: bench.site.descriptor.to_json(),
        "AWS_ENDPOINT_URL": bench.server.url,
        "AWS_CA_BUNDLE": str(bench.server.ca),
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    log = bench.folder / "handlers.log"
    log.unlink(missing_ok=True)
    bench.server.reset()
    cost = measure([sys.executable, "-m", __name__, bench.server.url, str(answer)], environment=environment, log=log)
    counts = bench.server.counts()
    if cost.code or counts.requests["stub.Error"]:
        raise WrongError(f"the handlers ended with {cost.code}:\n{log.read_text()[-2000:]}")
    return {
        "cpu": cost.cpu,
        "wall": cost.wall,
        "rss": cost.rss,
        "pss": cost.pss,
        "largest": cost.largest,
        "requests": dict(counts.requests),
        "units": counts.units,
        "server_cpu": counts.cpu_seconds,
        "batches": json.loads(answer.read_text()),
    }


def _verify(bench: Workbench) -> None:
    """Check that the bucket has the tree and its pages, and nothing else; raises WrongError."""
    files = {name for name, _ in walk(bench.root)}
    objects = set(bench.server.objects(bench.site.bucket))
    left = [key for key in objects - files if not key.endswith("index.html")]
    if left or not files <= objects:
        raise WrongError(f"{len(left)} objects are left over, {len(files - objects)} missing: {left[:3]}")


def main(url: str, answer: Path) -> int:
    """Work until the queues are empty; writes what came of each kind."""
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    modules = {kind: importlib.import_module(f"siteferry_lambdas.{kind}") for kind in JOB_KINDS}
    lambda_context = SimpleNamespace(function_name="bench", aws_request_id="bench")
    batches: dict[str, dict[str, float]] = {}
    number = 0
    idle = 0
    while idle < len(JOB_KINDS):
        for kind, module in modules.items():
            most = SIZES[kind].batch_size
            request = urllib.request.Request(f"{url}/__bench/take?queue=bench-{kind}&most={most}", data=b"")
            with urllib.request.urlopen(request, context=context) as found:
                bodies = json.loads(found.read())
            idle = 0 if bodies else idle + 1
            if not bodies:
                continue
            number += 1
            event = {"Records": [_record(f"{number}-{n}", body) for n, body in enumerate(bodies)]}
            wall, cpu = time.perf_counter(), _cpu()
            failed = module.handler(event, lambda_context)["batchItemFailures"]
            if failed:
                raise WrongError(f"{len(failed)} {kind} jobs failed")
            told = batches.setdefault(kind, {"batches": 0, "jobs": 0, "names": 0, "cpu": 0.0, "longest_cpu": 0.0})
            took = _cpu() - cpu
            told["batches"] += 1
            told["jobs"] += len(bodies)
            told["names"] += sum(len(json.loads(body)["names"]) for body in bodies)
            told["cpu"] += took
            told["longest_cpu"] = max(told["longest_cpu"], took)
            told["longest_wall"] = max(told.get("longest_wall", 0.0), time.perf_counter() - wall)
    answer.write_text(json.dumps(batches))
    return 0


def _record(number: str, body: str) -> dict[str, Any]:
    return {
        "messageId": number,
        "receiptHandle": number,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bench",
        "awsRegion": "us-east-1",
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
