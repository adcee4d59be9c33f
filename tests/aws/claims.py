"""Every claim that the local stack cannot prove: docs/unproven.md is written from it (`python -m tests.aws.claims`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "unproven.md"
_ROUND: Final = "tests/aws/test_round_trip.py::"
_FAILURES: Final = "tests/aws/test_failures.py::"
_CONFORMANCE: Final = "tests/conformance/"


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that siteferry says, or relies on, of AWS."""

    name: str
    says: str
    why: str
    """Why the local stack cannot tell."""
    proof: str = ""
    """The test that tells, on an account; none: no test does."""


CLAIMS: Final = (
    Claim(
        "deploys",
        "CloudFormation takes the whole template, as it is, in an account and region of AWS.",
        "The emulator takes what it does not know, and not what it cannot do: an alarm with metric math.",
        f"{_ROUND}test_the_template_is_deployed_whole",
    ),
    Claim(
        "lifecycle",
        "S3 takes the rules by which old versions and unfinished uploads go.",
        "The emulator's CloudFormation leaves them out.",
        f"{_ROUND}test_the_bucket_has_its_lifecycle",
    ),
    Claim(
        "runtime",
        "The handlers run under the template's runtime and architecture (Python 3.14, arm64).",
        "They run under the Python of this project's environment.",
        f"{_ROUND}test_an_upload_is_served",
    ),
    Claim(
        "least-privilege",
        "The policies of agent and handlers are enough on AWS, as they are deployed.",
        "The emulator wants permissions that AWS does not know, and gets them beside the template's.",
        f"{_FAILURES}test_check_has_nothing_to_complain_of",
    ),
    Claim(
        "no-more-than-the-policy",
        "AWS refuses the agent's key what its policy does not name.",
        "IAM is the emulator's own.",
        f"{_FAILURES}test_the_agent_does_no_more_than_its_policy_says",
    ),
    Claim(
        "own-items",
        "AWS keeps the invalidate handler to its two items of the table, and the agent's metrics to their namespace.",
        "The emulator has neither dynamodb:LeadingKeys nor cloudwatch:namespace.",
    ),
    Claim(
        "cdn-404",
        "CloudFront answers 404 for what is missing, with the site's own page.",
        "Its CDN says 403, which the local proxy turns into 404, without the page.",
        f"{_ROUND}test_what_is_missing_is_404",
    ),
    Claim(
        "cdn-compression-and-tls",
        "CloudFront compresses text, leads from http to https and adds the template's headers.",
        "Viewers reach the local CDN by plain http through a proxy.",
        f"{_ROUND}test_the_cdn_compresses_and_insists_on_tls",
    ),
    Claim(
        "invalidation-by-paths",
        "The paths that are invalidated reach what CloudFront has cached, duplicates included.",
        "Nothing is cached.",
        f"{_ROUND}test_a_change_is_thrown_out_of_the_caches_by_paths",
    ),
    Claim(
        "invalidation-by-tags",
        "CloudFront takes the tags from an object's metadata, and an invalidation by tags reaches every copy.",
        "Nothing is cached, and tags are not looked at.",
        f"{_ROUND}test_a_change_is_thrown_out_of_the_caches_by_tags",
    ),
    Claim(
        "invalidation-spares-the-rest",
        "What has not changed stays cached when its neighbour is invalidated by tags.",
        "Nothing is cached.",
        f"{_ROUND}test_what_has_not_changed_stays_cached",
    ),
    Claim(
        "delete-is-served",
        "A file that was cached and is deleted is 404 at all its keys.",
        "Nothing is cached.",
        f"{_ROUND}test_a_delete_is_served",
    ),
    Claim(
        "invalidation-paths-refused",
        "CloudFront refuses a path that does not begin with a slash, in a way the broker knows.",
        "Any path is taken.",
        f"{_CONFORMANCE}test_cdn.py::test_a_path_that_is_not_taken",
    ),
    Claim(
        "invalidation-limits",
        "More than 15 wildcards in progress are refused, in a way the broker knows.",
        "Invalidations have no limits.",
        f"{_CONFORMANCE}test_cdn.py::test_too_many_in_progress",
    ),
    Claim(
        "batching-window",
        "Lambda gathers jobs for the batching window, so that many changes make few invalidations.",
        "There are no batching windows.",
        f"{_ROUND}test_changes_are_gathered_into_one_invalidation",
    ),
    Claim(
        "large-checksum",
        "A multipart upload has the CRC64NVME of the full object.",
        "The emulator gives it a composite one.",
        f"{_CONFORMANCE}test_objects.py::test_a_large_objects_checksum",
    ),
    Claim(
        "large-copy-checksum",
        "A copy of such an object has it too.",
        "The emulator shows a composite one.",
        f"{_CONFORMANCE}test_objects.py::test_a_large_copys_checksum",
    ),
    Claim(
        "copied-headers",
        "A copy with other headers loses a content-encoding that is not given.",
        "The emulator keeps it.",
        f"{_CONFORMANCE}test_objects.py::test_an_encoding_that_is_not_given_is_gone",
    ),
    Claim(
        "partial-deletes",
        "DeleteObjects answers for each key: one that is denied spares the others.",
        "The emulator refuses the whole request.",
        f"{_CONFORMANCE}test_versions.py::test_a_marker_that_fails_spares_the_others",
    ),
    Claim(
        "dead-letter-alarm",
        "A dead letter brings its alarm about, and the redrive its end; a log says the reason by then.",
        "SQS measures nothing there, so an alarm's state is set by hand.",
        f"{_FAILURES}test_a_failed_delete_is_told_repaired_and_redriven",
    ),
    Claim(
        "silence-alarm",
        "The alarm on a silent agent goes with its heartbeats, and comes back without them.",
        "Alarms are evaluated without regard to dimensions and missing data.",
        f"{_FAILURES}test_a_silent_agent_is_told",
    ),
    Claim(
        "held-alarm",
        "Held deletes bring their alarm about, until a person approves.",
        "Alarms are evaluated without regard to dimensions and missing data.",
        f"{_FAILURES}test_held_deletes_are_told",
    ),
    Claim(
        "other-alarms",
        "The alarms on errors, throttles, old jobs, an old change, the index, the budget and CloudFront come about.",
        "What they measure does not happen there, and cannot be brought about within minutes on AWS. How they are"
        " defined is tested in the template.",
    ),
    Claim(
        "expiry",
        "Versions and delete markers expire after `retention_days`, and uploads that were left after a day.",
        "No lifecycle rule is followed there, and on AWS they take a day at least.",
    ),
    Claim(
        "throttling",
        "Agent and handlers get through real throttling (SlowDown, ProvisionedThroughputExceeded, TooManyRequests).",
        "The emulator never throttles; the simulation and the tests of faults inject it. To bring it about on AWS would"
        " load a shared service.",
    ),
    Claim(
        "huge-copies",
        "A file of more than 5 GB is copied to its duplicate in parts, with all metadata.",
        "The emulator keeps all data in memory; on AWS it would take hours of upload.",
    ),
    Claim(
        "retention-of-messages",
        "A dead letter can be redriven for 14 days.",
        "No test waits for days.",
    ),
    Claim(
        "email",
        "An alarm's e-mail comes to the address that confirmed the subscription.",
        "A person has to confirm it. What the topic is told is tested on the local stack.",
    ),
)

_INTRODUCTION: Final = """\
# What is proven on AWS alone

Written by `python -m tests.aws.claims`, and checked by the tests. What the emulator was found to do differently is in
[the local stack](local-stack.md).

    SITEFERRY_AWS_ACCOUNT=123456789012 AWS_REGION=eu-central-1 uv run pytest -m aws

deploys two throw-away sites to that account, and to no other: the credentials must be its own. It proves what is listed
here, runs tests/conformance against the real services, and destroys the sites with their buckets, tables and users,
also after a failure; what could not be destroyed is said at the end. The account must be bootstrapped for the CDK.
`uv run python -m tests.aws NAME` removes what a run that was killed left. To go by the waits in the tests, it takes an
hour or more, nearly all of it CloudFront's and the alarms', and costs cents.

**No account has run it yet.** The tests themselves run on the local stack too, as far as that goes, and so does what
deploys and destroys, so that the first run on an account meets AWS and not their mistakes.
"""


def render() -> str:
    """Give the page."""
    proven = [claim for claim in CLAIMS if claim.proof]
    rest = [claim for claim in CLAIMS if not claim.proof]
    lines = [
        _INTRODUCTION,
        "| claim | what is claimed | why the local stack cannot tell | the test that tells |",
        "|---|---|---|---|",
        *(f"| {claim.name} | {claim.says} | {claim.why} | `{claim.proof}` |" for claim in proven),
        "",
        "## What no test proves",
        "",
        "| claim | what is claimed | why |",
        "|---|---|---|",
        *(f"| {claim.name} | {claim.says} | {claim.why} |" for claim in rest),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
