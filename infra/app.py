"""The CDK app: one stack for each site of `sites.toml`, or of the file given by `--context sites=FILE`."""

import sys
from pathlib import Path

import aws_cdk as cdk

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
    except (SettingsError, BundlingError) as error:
        sys.exit(f"siteferry: {error}")
    app.synth()


main()
