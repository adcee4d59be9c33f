"""`siteferry-local demo`: everything at work, with a sample site to play with."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from siteferry_local.agent import Agent, agent_daemon
from siteferry_local.errors import LocalStackError
from siteferry_local.processes import tail
from siteferry_local.sample import sample_files
from siteferry_local.stack import LocalSite, local_stack
from siteferry_local.state import State, claimed
from siteferry_local.terminal import Terminal
from siteferry_local.tour import Tour
from siteferry_local.visitors import Viewer, ftp_user
from siteferry_local.waiting import wait_until

_SITE = "www"
_PUBLISH_SECONDS = 90.0


def demo(*, state: Path | None, port: int | None, sites: Path, once: bool) -> int:
    """Bring all up and publish the sample; then stay until stopped, or with `once` check and end.

    Returns 0, or 1 when a check failed. Raises LocalStackError when something does not come up or ends early.
    """
    terminal = Terminal()
    terminal.title("siteferry, on this machine")
    with ExitStack() as cleanup:
        folder = state or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="siteferry-demo-")))
        claim = cleanup.enter_context(claimed(folder))
        stack = cleanup.enter_context(local_stack(claim, port=port, sites=sites, report=terminal.progress))
        site = next((site for site in stack.sites if site.name == _SITE), None)
        if site is None:
            raise LocalStackError(f"{sites}: sites.{_SITE}: is missing; the demo publishes its sample there")
        terminal.progress("starting the agent")
        agent = cleanup.enter_context(agent_daemon(claim, site, report=terminal.from_agent))
        files = sample_files()
        terminal.progress(f"uploading {len(files)} sample files through FTP")
        with ftp_user(site.ftp) as user:
            for path, body in files.items():
                user.upload(path, body)
        if once:
            terminal.title("A tour, seen from the viewer's side")
            held = Tour(stack, site, agent, files, terminal).run()
            _conclude(terminal, claim, held=held)
            return 0 if held else 1
        _await_published(site, agent, files)
        _invite(terminal, site)
        agent.wait()
    return 1


def _await_published(site: LocalSite, agent: Agent, files: dict[str, bytes]) -> None:
    viewer = Viewer(site.distribution_url)

    def is_published() -> bool:
        agent.check()
        return viewer.get("").body == files["index.html"]

    wait_until(is_published, seconds=_PUBLISH_SECONDS, what="the sample's first page is served")


def _invite(terminal: Terminal, site: LocalSite) -> None:
    terminal.title("It is live")
    terminal.fact("Site", site.distribution_url)
    terminal.fact("FTP", site.ftp)
    terminal.fact("Root", site.root)
    terminal.title("Change a file and see it live")
    terminal.line(f"  echo 'Hello, harbour' | curl -T - {site.ftp}hello.txt")
    terminal.line(f"  curl {site.distribution_url}hello.txt")
    terminal.line(f"  curl {site.ftp} -Q 'DELE hello.txt'")
    terminal.line()
    terminal.line("What the agent publishes is told below. Ctrl-C ends everything.")
    terminal.line()


def _conclude(terminal: Terminal, state: State, *, held: bool) -> None:
    terminal.line()
    if held:
        terminal.line("All as it should be.")
        return
    terminal.line("Something differed (see above). The end of the emulator's log, where the Lambdas print:")
    terminal.line(tail(state.emulator_log))
