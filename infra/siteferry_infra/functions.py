"""The handlers' code as one asset, bundled without Docker, and the functions made of it.

The asset's hash comes from the sources and from the locked requirements, never from what an installer wrote: a second
deploy of the same commit changes nothing, on any machine.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from siteferry_infra.page_template import TEMPLATE

PROJECT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("siteferry_contract", "siteferry_lambdas")
RUNTIME: Final = lambda_.Runtime.PYTHON_3_14
_PYTHON_VERSION: Final = "3.14"
_PLATFORM: Final = "aarch64-manylinux2014"
_RECIPE: Final = "1"
"""Counted up when the way of bundling changes what is in the bundle."""


class BundlingError(RuntimeError):
    """The handlers' code could not be bundled; the text says what to do."""


def handlers_code(page_template: str | None = None) -> lambda_.AssetCode:
    """Give the asset with every handler in it, and with a site's own template of directory pages if it has one."""
    requirements = locked_requirements()
    return lambda_.Code.from_asset(
        str(PROJECT / "lambdas"),
        asset_hash=bundle_hash(PROJECT / "lambdas", requirements, page_template),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("unused"), local=_UvBundling(requirements, page_template)
        ),
    )


def locked_requirements() -> str:
    """Give what the handlers need, with hashes, as uv.lock has it; without boto3, which the runtime brings."""
    return _uv(
        "export",
        "--project",
        str(PROJECT),
        "--frozen",
        "--only-group",
        "lambdas",
        "--prune",
        "boto3",
        "--no-emit-project",
        "--no-header",
        "--no-annotate",
    )


def bundle_hash(sources: Path, requirements: str, page_template: str | None = None) -> str:
    """Hash the packages under `sources`, the requirements and the template: content and names, nothing else."""
    digest = hashlib.sha256()
    for part in (_RECIPE, _PYTHON_VERSION, _PLATFORM, requirements):
        digest.update(part.encode() + b"\0")
    for package in PACKAGES:
        for path in sorted((sources / package).rglob("*")):
            if path.is_file() and not _is_ignored(path):
                digest.update(path.relative_to(sources).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    if page_template is not None:
        digest.update(b"page_template\0" + page_template.encode())
    return digest.hexdigest()


def bundle(target: Path, requirements: str, page_template: str | None = None) -> None:
    """Fill `target` with the packages and the requirements for the Lambda runtime; raises BundlingError.

    A site's own template takes the place of the built-in one.
    """
    listed = target / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    _uv(
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--python-platform",
        _PLATFORM,
        "--python-version",
        _PYTHON_VERSION,
        "--link-mode",
        "copy",
        "--target",
        str(target),
        "--requirements",
        str(listed),
    )
    shutil.rmtree(target / "bin", ignore_errors=True)  # command line tools of the requirements
    for package in PACKAGES:
        shutil.copytree(
            PROJECT / "lambdas" / package, target / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    if page_template is not None:
        (target / TEMPLATE).write_text(page_template, encoding="utf-8", newline="")


@jsii.implements(cdk.ILocalBundling)
class _UvBundling:
    def __init__(self, requirements: str, page_template: str | None) -> None:
        self._requirements = requirements
        self._page_template = page_template

    def try_bundle(self, output_dir: str, options: Any = None, **_: Any) -> bool:
        """Bundle here. Never falls back to Docker: an error ends the synth."""
        del options
        bundle(Path(output_dir), self._requirements, self._page_template)
        return True


def _is_ignored(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".pyc"


def _uv(*arguments: str) -> str:
    # `uv run`, by which cdk.json starts the app, names its own binary in UV.
    program = os.environ.get("UV") or shutil.which("uv")
    if program is None:
        raise BundlingError("uv is not on the PATH; install it: https://docs.astral.sh/uv/")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundlingError(f"`uv {' '.join(arguments)}` failed:\n{done.stderr.strip()}")
    return done.stdout


class Handler(Construct):
    """One handler: a function, its role, which may do nothing but log until it is granted more, and its log group."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        site: str,
        kind: str,
        code: lambda_.Code,
        descriptor: str,
        timeout: cdk.Duration,
        memory_mb: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/siteferry/{site}/{kind}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"siteferry site {site}: the {kind} handler",
        )
        self.log_group.grant_write(role)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=f"siteferry-{site}-{kind}",
            description=f"siteferry site {site}: handles {kind} jobs",
            code=code,
            handler=f"siteferry_lambdas.{kind}.handler",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=memory_mb,
            timeout=timeout,
            role=role,
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            environment={
                "SITEFERRY_DESCRIPTOR": descriptor,
                "POWERTOOLS_SERVICE_NAME": f"siteferry-{kind}",
                "POWERTOOLS_METRICS_NAMESPACE": "siteferry",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
