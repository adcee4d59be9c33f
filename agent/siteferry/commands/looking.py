"""`siteferry explain`: what only looks."""
# ruff: noqa: T201 - printing is what it is for

import argparse
import sys

from siteferry.app import open_queue_look, open_site
from siteferry.clock import HostClock
from siteferry.config import load_config
from siteferry.errors import Exit
from siteferry.explain import Explainer
from siteferry.explain_report import document, lines
from siteferry.report import PlainReporter
from siteferry.visit import HttpCdn


def explain(options: argparse.Namespace) -> int:
    """Say why a file is, or is not, live."""
    config = load_config(options.config)
    with open_site(config, PlainReporter(sys.stderr), HostClock.until_signalled(), to_look=True) as opened:
        queues = open_queue_look(config, opened.descriptor)
        cdn = HttpCdn(opened.descriptor.domain, config.aws.endpoint_url, config.aws.ca_bundle)
        explainer = Explainer(opened.site.parts, opened.site.tenancy.look(), queues, cdn)
        explanation = explainer.explain(options.path)
    if options.json:
        print(document(explanation))
    else:
        print("\n".join(lines(explanation)))
    return int(Exit.DONE if explanation.is_right else Exit.FAILED)
