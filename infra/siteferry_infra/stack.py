"""One stack a site: the units put together, and what each may do with the others."""

from dataclasses import replace

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from siteferry_contract.descriptor import Descriptor, parameter_name
from siteferry_contract.job import JOB_KINDS
from siteferry_infra.acknowledged import acknowledge
from siteferry_infra.agent_access import AgentAccess
from siteferry_infra.agent_alarms import add_agent_alarms
from siteferry_infra.alarms import RUNBOOKS, Alarms
from siteferry_infra.budget_alarm import add_budget_alarm, budget_metric
from siteferry_infra.by_hand import print_by_hand
from siteferry_infra.cdn import Cdn
from siteferry_infra.cdn_alarm import REGION, add_cdn_alarm
from siteferry_infra.dashboard import Dashboard
from siteferry_infra.functions import handlers_code
from siteferry_infra.handler_access import grant_handler
from siteferry_infra.index_alarms import add_index_alarms
from siteferry_infra.job_pipeline import JobPipeline, JobQueue
from siteferry_infra.page_template import layout_of
from siteferry_infra.settings import SiteSettings
from siteferry_infra.storage import Storage


class SiteStack(cdk.Stack):
    """Everything that a site is in the cloud, for any account and region."""

    def __init__(self, scope: Construct, construct_id: str, *, site: SiteSettings) -> None:
        super().__init__(scope, construct_id, description=f"siteferry: the site {site.name}")
        cdk.Tags.of(self).add("siteferry:site", site.name)
        storage = Storage(
            self, "Storage", prefix=site.prefix, retention_days=site.retention_days, existing=site.existing
        )
        cdn = Cdn(
            self,
            "Cdn",
            bucket=storage.bucket,
            prefix=site.prefix,
            site=site.name,
            domain_names=site.domain_names,
            certificate_arn=site.certificate_arn,
            redirects=site.directory_redirects,
            error_page=site.error_page,
            cache_tags=site.invalidation == "tags",
            existing=site.existing,
        )
        alarms = Alarms(self, "Alarms", site=site.name, email=site.alarm_email, runbooks=site.runbook_url or RUNBOOKS)
        add_agent_alarms(
            self,
            "Heartbeat",
            site=site.name,
            silent_minutes=site.agent_silent_minutes,
            oldest_minutes=site.oldest_change_minutes,
            alarms=alarms,
        )
        queues = {
            kind: JobQueue(
                self,
                f"{kind.title()}Jobs",
                site=site.name,
                kind=kind,
                window_seconds=site.invalidation_window if kind == "invalidate" else 0,
            )
            for kind in JOB_KINDS
        }
        descriptor = Descriptor(
            site=site.name,
            region=self.region,
            bucket=storage.bucket.bucket_name,
            prefix=site.prefix,
            table=storage.table.table_name,
            encoding=site.encoding,
            queues={kind: jobs.queue.queue_url for kind, jobs in queues.items()},
            distribution=cdn.distribution.distribution_id,
            domain=cdn.distribution.distribution_domain_name,
            directory_pages=site.directory_pages,
            page_layout=layout_of(site.page_template),
            copy_rules=site.copy_rules,
            header_rules=site.header_rules,
            invalidation=site.invalidation,
            directory_redirects=site.directory_redirects,
            invalidation_budget=site.invalidation_budget,
            retention_days=site.retention_days,
        )
        add_budget_alarm(self, "InvalidationBudget", site=site.name, budget=site.invalidation_budget, alarms=alarms)
        code = handlers_code(site.page_template)
        log_groups, functions = [], {}
        for kind, jobs in queues.items():
            pipeline = JobPipeline(
                self,
                f"{kind.title()}Pipeline",
                site=site.name,
                jobs=jobs,
                code=code,
                # A Lambda's environment is limited to 4 KB, and header rules are the agent's business.
                descriptor=replace(descriptor, header_rules=()).to_json(),
                alarms=alarms,
            )
            log_groups.append(pipeline.log_group)
            functions[kind] = pipeline.function
            grant_handler(pipeline.function, kind=kind, storage=storage, queues=queues, cdn=cdn)
        add_index_alarms(self, "IndexTable", site=site.name, table=storage.table, alarms=alarms)
        add_cdn_alarm(
            self,
            "CdnErrors",
            site=site.name,
            distribution=cdn.distribution.distribution_id,
            alarms=alarms,
            condition=cdk.CfnCondition(
                self, "IsWhereCdnMetricsAre", expression=cdk.Fn.condition_equals(self.region, REGION)
            ),
        )
        Dashboard(
            self,
            "Overview",
            site=site.name,
            distribution=cdn.distribution.distribution_id,
            queues=queues,
            functions=functions,
            alarms=alarms.all,
            budget=budget_metric(site.name),
        )
        parameter = ssm.StringParameter(
            self,
            "Descriptor",
            parameter_name=parameter_name(site.name),
            description=f"siteferry: the descriptor of the site {site.name}; written by the stack, read by the agent",
            string_value=descriptor.to_json(),
            tier=ssm.ParameterTier.INTELLIGENT_TIERING,
        )
        # What the agent sends because of another descriptor must not reach handlers that have the one before.
        parameter.node.add_dependency(*functions.values())
        agent = AgentAccess(
            self,
            "Agent",
            site=site.name,
            storage=storage,
            queues=[jobs.queue for jobs in queues.values()],
            dead_letter_queues=[jobs.dead for jobs in queues.values()],
            log_groups=log_groups,
            parameter=parameter,
        )
        self._acknowledge_objects(storage, site)
        self._bound(site.existing.permissions_boundary_arn)
        for name, value, meaning in (
            ("BucketName", storage.bucket.bucket_name, "The bucket that is published"),
            ("TableName", storage.table.table_name, "The index"),
            ("DistributionId", cdn.distribution.distribution_id, "The distribution"),
            ("DistributionDomainName", cdn.distribution.distribution_domain_name, "Where the site is served"),
            ("AgentPolicyArn", agent.policy.managed_policy_arn, "To attach to the agent's role or user"),
            ("DescriptorParameter", parameter.parameter_name, "What the agent reads at start"),
            (
                "TakeUpAgain",
                f'bucket = "{storage.bucket.bucket_name}"\ntable = "{storage.table.table_name}"',
                "What cdk destroy leaves; with these two lines in sites.toml a new stack goes on with it",
            ),
        ):
            cdk.CfnOutput(self, name, value=value, description=meaning)
        print_by_hand(self, site=site, storage=storage, cdn=cdn)

    def _acknowledge_objects(self, storage: Storage, site: SiteSettings) -> None:
        made = storage.bucket.node.default_child
        bucket = (
            f"<{self.get_logical_id(made)}.Arn>"
            if isinstance(made, cdk.CfnElement)
            else f"arn:<AWS::Partition>:s3:::{site.existing.bucket}"
        )
        acknowledge(self, {f"IAM5[Resource::{bucket}/{site.prefix}*]": "the site's objects: users choose their keys"})

    def _bound(self, policy_arn: str | None) -> None:
        """Put every role of the stack under a permissions boundary."""
        if policy_arn is not None:
            boundary = iam.ManagedPolicy.from_managed_policy_arn(self, "Boundary", policy_arn)
            iam.PermissionsBoundary.of(self).apply(boundary)
