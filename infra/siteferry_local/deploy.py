"""Deploys the template, unmodified, to the emulator through the pinned CDK CLI."""

from __future__ import annotations

import fcntl
import json
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from siteferry_local.emulator import ACCOUNT, REGION, Emulator, own_environment
from siteferry_local.errors import LocalStackError
from siteferry_local.processes import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from siteferry_local.state import State

_INFRA = Path(__file__).resolve().parent.parent
_CLI = "aws-cdk"
_CDK = str(_INFRA / "node_modules" / ".bin" / "cdk")
_QUIET = {"CDK_DISABLE_CLI_TELEMETRY": "true", "CDK_NOTICES": "false", "NO_COLOR": "1", "CI": "true"}


@contextmanager
def synthesizing(state: State, *, sites: Path, report: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Synthesize the template beside whatever else comes up; what is given waits for it.

    Installs the CDK CLI first, if it is not the pinned one. Raises LocalStackError with the end of the output when
    a step fails.
    """
    # The app's `uv run` is to take this environment as it is: a sync would change it under this very process.
    environment = own_environment(state) | _QUIET | {"UV_NO_SYNC": "1"}
    environment.pop("UV_PYTHON", None)
    with _alone():
        if not _is_installed():
            report("installing the CDK CLI (npm ci)")
            command = ["npm", "ci", "--no-audit", "--no-fund"]
            remedy = "is the package registry reachable?"
            with logged(command, environment=environment, log=state.deploy_log, cwd=_INFRA, remedy=remedy) as finish:
                finish()
    report("synthesizing")
    # The output folder is a new one, so that nothing depends on what an operator left in the usual one.
    command = [_CDK, "synth", "--quiet", "--output", str(state.cdk_out)]
    command += ["--context", f"sites={sites.resolve()}"]
    remedy = "correct what it names."
    with logged(command, environment=environment, log=state.synth_log, cwd=_INFRA, remedy=remedy) as finish:
        yield finish


def bootstrap(state: State, emulator: Emulator) -> None:
    """Bootstrap the emulator's account, as an operator does once with an account of AWS."""
    # From the state directory, because the CLI would run the app of the infra folder first.
    _run_cdk(state, emulator, ["bootstrap", f"aws://{ACCOUNT}/{REGION}"], cwd=state.folder)


def deploy(state: State, emulator: Emulator) -> None:
    """Deploy every stack of the synthesized assembly, just as it is."""
    options = ["--all", "--require-approval", "never", "--progress", "events", "--outputs-file", str(state.outputs)]
    _run_cdk(state, emulator, ["deploy", "--app", str(state.cdk_out), *options], cwd=_INFRA)


def _run_cdk(state: State, emulator: Emulator, arguments: list[str], *, cwd: Path) -> None:
    environment = own_environment(state) | emulator.client_environment(emulator.administrator) | _QUIET
    remedy = "see also the emulator's log."
    command = [_CDK, *arguments]
    with logged(command, environment=environment, log=state.deploy_log, cwd=cwd, remedy=remedy) as finish:
        finish()


def site_names(sites: Path) -> list[str]:
    """Return the names of the sites of a sites file; everything else in it is the template's business."""
    try:
        names = list(tomllib.loads(sites.read_text(encoding="utf-8")).get("sites", {}))
    except FileNotFoundError:
        raise LocalStackError(f"{sites}: there is no such file; name a sites file with --sites") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LocalStackError(f"{sites}: cannot be read: {error}") from error
    if not names:
        raise LocalStackError(f"{sites}: sites: there is none; add a table [sites.NAME]")
    return names


def agent_policy_arn(state: State, site: str) -> str:
    """Return the managed policy that the stack of a deployed site made for its agent."""
    outputs = json.loads(state.outputs.read_bytes())
    return str(outputs[f"siteferry-{site}"]["AgentPolicyArn"])


def _is_installed() -> bool:
    """Tell whether the installed CDK CLI is the one that package.json pins."""
    try:
        pinned = json.loads((_INFRA / "package.json").read_bytes())["devDependencies"][_CLI]
        installed = json.loads((_INFRA / "node_modules" / _CLI / "package.json").read_bytes())["version"]
    except FileNotFoundError:
        return False
    return bool(pinned == installed) and Path(_CDK).exists()


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other local stacks from installing into the same folder at the same time."""
    with (_INFRA / "package.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
