"""What `siteferry check` looks at in AWS, in order."""

from collections.abc import Iterator
from typing import Final

from siteferry.aws.descriptor import SsmDescriptor
from siteferry.aws.identity import check_identity
from siteferry.aws.index import DynamoIndex
from siteferry.aws.permissions import Permissions
from siteferry.aws.session import Session
from siteferry.check import Finding, Verdict, failed, untried, well
from siteferry.config import Config
from siteferry.errors import SiteferryError
from siteferry.tenancy import check_applied
from siteferry_contract.descriptor import Descriptor, parameter_name

REQUEST_SECONDS: Final = 20.0
"""With all its tries: a person waits."""
_GET: Final = "dynamodb:GetItem"


def check_aws(config: Config) -> Iterator[Finding]:
    """Look at credentials, descriptor, bucket, permissions and index; nothing is changed."""
    try:
        session = Session(config.aws, REQUEST_SECONDS)
    except SiteferryError as error:
        yield failed("credentials", error)
        return
    found, go_on = check_identity(session)
    yield from found
    if not go_on:
        yield untried("descriptor and all else", "it needs credentials that AWS takes")
        return
    try:
        descriptor = SsmDescriptor(session, config.site).read()
    except SiteferryError as error:
        yield failed("descriptor", error)
        yield untried("bucket, index, jobs", "only the descriptor says which they are")
        return
    yield well("descriptor", f"{parameter_name(config.site)}: revision {descriptor.revision}")
    permissions = Permissions(session, descriptor)
    yield from permissions.check()
    yield _index(session, descriptor, readable=_GET not in permissions.denied)
    if permissions.dead_letters:
        counts = ", ".join(f"{count} in {queue}" for queue, count in permissions.dead_letters.items())
        yield Finding("dead letters", Verdict.WARN, counts, "why: siteferry redrive --dry-run")


def _index(session: Session, descriptor: Descriptor, *, readable: bool) -> Finding:
    if not readable:
        return untried("index", f"{_GET} is denied")
    try:
        head = DynamoIndex(session, descriptor.table).read_head()
        if head is None:
            return Finding(
                "index",
                Verdict.WARN,
                "it is empty: nothing was published yet",
                "`siteferry sync --dry-run` shows what the first run would do; for a bucket that another tool filled,"
                " `siteferry adopt --dry-run`",
            )
        check_applied(head, descriptor)
    except SiteferryError as error:
        return failed("index", error)
    held = f"; the site is {head.lease.owner}'s now" if head.lease else ""
    if head.open is not None:
        return well("index", f"run {head.open} is open: it is going on, or the next one recovers it{held}")
    return well("index", f"run {head.run} is closed, prefix and encoding are as published{held}")
