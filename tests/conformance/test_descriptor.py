"""The descriptor, where `cdk deploy` left it."""

import pytest

from siteferry.errors import ConfigError
from tests.conformance.real import Account


def test_the_descriptor_is_read(account: Account) -> None:
    """It is that of its site, and names what was deployed."""
    site = account.descriptor.site
    found = account.source(site).read()
    assert (found.site, found.bucket) == (site, account.descriptor.bucket)
    assert found == account.source(site).read()


def test_a_site_that_is_not_deployed(account: Account) -> None:
    """A site without a descriptor is an error that names the parameter."""
    with pytest.raises(ConfigError, match="/siteferry/no-such-site"):
        account.source("no-such-site").read()
