"""The CDK app: one stack for each site of `sites.toml`, or of the file given by `--context sites=FILE`.

A site whose stack is not in us-east-1 may have a second one there, for the alarm on CloudFront's metrics.
"""

import sys
from pathlib import Path

import aws_cdk as cdk

from siteferry_infra.cdn_alarm import CdnAlarmStack
from siteferry_infra.functions import BundlingError
from siteferry_infra.settings import SettingsError, load_sites
from siteferry_infra.stack import SiteStack


def main() -> None:
    """Synthesize; ends with one clear message where the settings are refused."""
    app = cdk.App()
    given = app.node.try_get_context("sites")
    try:
        for site in load_sites(Path(given) if given else Path(__file__).parent / "sites.toml"):
            SiteStack(app, f"siteferry-{site.name}", site=site)
            if site.cdn_alarm_for:
                CdnAlarmStack(app, f"siteferry-{site.name}-cdn-alarm", site=site, distribution=site.cdn_alarm_for)
    except (SettingsError, BundlingError) as error:
        sys.exit(f"siteferry: {error}")
    app.synth()


main()
