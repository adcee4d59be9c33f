"""The whole local stack: brought up in order, taken down in the reverse."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from siteferry_local.aws import Account
from siteferry_local.certificates import make_certificates
from siteferry_local.deploy import agent_policy_arn, bootstrap, deploy, site_names, synthesizing
from siteferry_local.emulator import REGION, Emulator, emulator
from siteferry_local.ftp import ftp_server, logged_to
from siteferry_local.proxy import viewer_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from siteferry_local.state import State

_AGENT_SECONDS = 1  # both interval and settle: the least that the agent takes
_AGENT_WORKERS = 8


@dataclass(frozen=True, slots=True)
class LocalSite:
    """One site of the running stack.

    queues, dead_letter_queues: URLs by kind of job; distribution_url: the plain-http address for viewers;
    ftp: the address with user and password; config: a ready agent configuration;
    agent_env: the variables that let an agent use the emulator with its own policy only.
    """

    name: str
    root: str
    bucket: str
    prefix: str
    table: str
    queues: dict[str, str]
    dead_letter_queues: dict[str, str]
    distribution: str
    distribution_url: str
    ftp: str
    config: str
    agent_env: dict[str, str]


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The running stack; `env` makes any AWS client its administrator."""

    endpoint: str
    env: dict[str, str]
    sites: tuple[LocalSite, ...]
    account: Account

    def to_json(self) -> str:
        """Return the stack's facts as one line of JSON."""
        sites = [asdict(site) for site in self.sites]
        return json.dumps({"endpoint": self.endpoint, "env": self.env, "sites": sites})


@contextmanager
def local_stack(state: State, *, port: int | None, sites: Path, report: Callable[[str], None]) -> Iterator[LocalStack]:
    """Bring up emulator, stacks, FTP servers and proxies; leave no process behind when the block is left.

    Raises LocalStackError when a part does not come up.
    """
    names = site_names(sites)
    with ExitStack() as cleanup:
        finish_synthesis = cleanup.enter_context(synthesizing(state, sites=sites, report=report))
        report("starting the emulator")
        certificates = make_certificates(state.tls)
        running = cleanup.enter_context(emulator(state, certificates, port=port))
        report("bootstrapping its account")
        bootstrap(state, running)
        finish_synthesis()
        report("deploying")
        deploy(state, running)
        account = Account(running)
        report("starting FTP server and proxy")
        cleanup.enter_context(logged_to(state.ftp_log))
        ready = tuple(_site(name, state, running, account, cleanup) for name in names)
        yield LocalStack(
            endpoint=running.endpoint,
            env=running.client_environment(running.administrator),
            sites=ready,
            account=account,
        )


def _site(name: str, state: State, running: Emulator, account: Account, cleanup: ExitStack) -> LocalSite:
    deployed = account.deployed_site(name, agent_policy_arn=agent_policy_arn(state, name))
    descriptor = deployed.descriptor
    ftp = cleanup.enter_context(ftp_server(name, state.root(name)))
    state.agent(name).mkdir(parents=True, exist_ok=True)
    state.configuration(name).write_text(_agent_configuration(name, state, running), encoding="utf-8")
    return LocalSite(
        name=name,
        root=str(state.root(name)),
        bucket=descriptor.bucket,
        prefix=descriptor.prefix,
        table=descriptor.table,
        queues={str(kind): url for kind, url in descriptor.queues.items()},
        dead_letter_queues=dict(deployed.dead_letter_queues),
        distribution=descriptor.distribution,
        distribution_url=cleanup.enter_context(
            viewer_proxy(running, descriptor.domain, missing_is_404=deployed.cdn_may_list)
        ),
        ftp=ftp.url,
        config=str(state.configuration(name)),
        agent_env=running.client_environment(deployed.agent),
    )


def _agent_configuration(site: str, state: State, running: Emulator) -> str:
    # A JSON string is a valid TOML basic string.
    return "\n".join(
        [
            f"site = {json.dumps(site)}",
            f"root = {json.dumps(str(state.root(site)))}",
            f"interval = {_AGENT_SECONDS}",
            f"settle = {_AGENT_SECONDS}",
            f"workers = {_AGENT_WORKERS}",
            f"state_dir = {json.dumps(str(state.agent(site)))}",
            "",
            "[aws]",
            f"region = {json.dumps(REGION)}",
            f"endpoint_url = {json.dumps(running.endpoint)}",
            f"ca_bundle = {json.dumps(str(running.ca_bundle))}",
            "",
        ]
    )
