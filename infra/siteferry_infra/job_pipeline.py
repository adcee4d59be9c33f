"""From a job to its handler: queue, dead-letter queue, function, event source and alarms, the same for every kind."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from siteferry_contract.job import JobKind
from siteferry_infra.alarms import Alarms
from siteferry_infra.functions import Handler
from siteferry_infra.sizes import SIZES

MAX_RECEIVES: Final = 5
VISIBILITY_FACTOR: Final = 6
"""AWS's advice for a queue that a function reads: six times its time-out, plus the batching window."""
_RETENTION: Final = cdk.Duration.days(14)
"""SQS's longest."""
_OLD_JOB: Final = cdk.Duration.minutes(15)


class JobQueue(Construct):
    """The queue of one kind of job and its dead-letter queue.

    Their names are explicit: the dead-letter queue names the queue that may use it, and a reference would be
    circular.
    """

    def __init__(self, scope: Construct, construct_id: str, *, site: str, kind: JobKind, window_seconds: int) -> None:
        super().__init__(scope, construct_id)
        self.kind = kind
        self.window_seconds = window_seconds
        name = f"siteferry-{site}-{kind}"
        stack = cdk.Stack.of(self)
        self.dead = sqs.Queue(
            self,
            "Dead",
            queue_name=f"{name}-dead",
            retention_period=_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                source_queues=[
                    sqs.Queue.from_queue_arn(self, "Source", stack.format_arn(service="sqs", resource=name))
                ],
            ),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            retention_period=_RETENTION,
            visibility_timeout=cdk.Duration.seconds(VISIBILITY_FACTOR * SIZES[kind].timeout_seconds + window_seconds),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead, max_receive_count=MAX_RECEIVES),
        )


class JobPipeline(Construct):
    """The handler of a queue. What it may do beyond its own queue is granted where the stack is put together."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        site: str,
        jobs: JobQueue,
        code: lambda_.Code,
        descriptor: str,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        kind, size = jobs.kind, SIZES[jobs.kind]
        handler = Handler(
            self,
            "Handler",
            site=site,
            kind=kind,
            code=code,
            descriptor=descriptor,
            timeout=cdk.Duration.seconds(size.timeout_seconds),
            memory_mb=size.memory_mb,
        )
        self.function = handler.function
        self.log_group = handler.log_group
        self.function.add_event_source(
            event_sources.SqsEventSource(
                jobs.queue,
                batch_size=size.batch_size,
                max_batching_window=cdk.Duration.seconds(jobs.window_seconds) if jobs.window_seconds else None,
                max_concurrency=size.max_concurrency,
                report_batch_item_failures=True,
            )
        )
        five_minutes = cdk.Duration.minutes(5)
        alarms.add(
            self,
            f"{kind}-dead-letters",
            metric=jobs.dead.metric_approximate_number_of_messages_visible(
                period=cdk.Duration.minutes(1), statistic="Maximum"
            ),
            limit=0,
            runbook="dead-letters",
            what=f"{kind} jobs of site {site} failed {MAX_RECEIVES} times and wait in siteferry-{site}-{kind}-dead."
            " What they are about is not done: `siteferry redrive --dry-run` on the FTP host tells why.",
        )
        alarms.add(
            self,
            f"{kind}-old-jobs",
            metric=jobs.queue.metric_approximate_age_of_oldest_message(period=five_minutes, statistic="Maximum"),
            limit=_OLD_JOB.to_seconds(),
            periods=3,
            runbook="old-jobs",
            what=f"A {kind} job of site {site} has waited for over {_OLD_JOB.to_minutes():.0f} minutes. After a very"
            " large change that is normal, and drains by itself.",
        )
        alarms.add(
            self,
            f"{kind}-errors",
            metric=self.function.metric_errors(period=five_minutes, statistic="Sum"),
            limit=0,
            periods=2,
            runbook="handler-errors",
            what=f"The {kind} handler of site {site} crashes: whole batches fail, not only single jobs. They are tried"
            " again, and nothing is lost.",
        )
        alarms.add(
            self,
            f"{kind}-throttles",
            metric=self.function.metric_throttles(period=five_minutes, statistic="Sum"),
            limit=0,
            periods=3,
            runbook="handler-throttles",
            what=f"Lambda refuses to run the {kind} handler of site {site} as often as its queue asks: the account's"
            " concurrency is used up. Jobs wait, and too many refusals bring them into the dead-letter queue.",
        )
