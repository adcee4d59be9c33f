"""`siteferry check`."""
# ruff: noqa: T201 - printing is what it is for

import argparse
from collections.abc import Iterator
from pathlib import Path

from siteferry.app import check_cloud
from siteferry.check import Finding, conclusion, document, exit_code, failed, lines, untried, well
from siteferry.check_host import check_root, check_state
from siteferry.config import load_config
from siteferry.errors import SiteferryError


def check(options: argparse.Namespace) -> int:
    """Look at everything, and go on after a failure as far as it makes sense."""
    findings = []
    for finding in _findings(options.config):
        findings.append(finding)
        if not options.json:
            print("\n".join(lines(finding)), flush=True)
    print(document(findings) if options.json else conclusion(findings))
    return int(exit_code(findings))


def _findings(path: Path) -> Iterator[Finding]:
    try:
        config = load_config(path)
    except SiteferryError as error:
        yield failed("configuration", error)
        yield untried("everything else", "it depends on the configuration")
        return
    yield well("configuration", f"{path}: site {config.site}")
    yield from check_state(config)
    yield from check_root(config)
    yield from check_cloud(config)
