"""What holds for the templates as a whole, and for the app that makes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.infra.conftest import SITES, Synthesized, synthesize


def test_cfn_lint_finds_nothing(stack: Synthesized) -> None:
    """The template is valid by CloudFormation's own schemas, in two regions."""
    program = Path(sys.prefix, "bin", "cfn-lint")
    regions = ["--regions", "us-east-1", "eu-central-1"]
    # CDK makes a function depend on its role's policies, and so on the role, which it refers to already: redundant.
    ignored = ["--ignore-checks", "W3005"]
    done = subprocess.run(
        [sys.executable, str(program), *regions, *ignored, "--template", str(stack.file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_cdk_nag_finds_nothing(tmp_path: Path) -> None:
    """The stacks follow AWS's rules for good stacks, but for what is acknowledged with its reason beside the code."""
    synthesize(tmp_path, judged=True)
    reports = json.loads((tmp_path / "validation-report.json").read_text("utf-8"))["pluginReports"]
    (report,) = [one for one in reports if one["pluginName"] == "AwsSolutions"]
    assert (report["conclusion"], report["violations"]) == ("success", [])
    acknowledged = {found["ruleName"].partition("-")[2].partition("[")[0] for found in report["suppressedViolations"]}
    assert acknowledged == {"CFR1", "CFR2", "CFR3", "CFR4", "IAM5", "S1"}
    assert all(found["reason"] for found in report["suppressedViolations"])


def test_synthesis_is_deterministic(stacks: dict[str, Synthesized], tmp_path: Path) -> None:
    """The same commit gives the same template, byte for byte, so a second deploy changes nothing."""
    for site, stack in synthesize(tmp_path, SITES).items():
        assert stack.file.read_bytes() == stacks[site].file.read_bytes()


def test_a_refused_settings_file_ends_the_app_with_its_message(tmp_path: Path) -> None:
    """The operator sees one line that names the file and the key path, and no traceback."""
    sites = tmp_path / "wrong.toml"
    sites.write_text("[sites.www]\nretention_days = 1\n")
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=Path(__file__).resolve().parents[2] / "infra",
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"sites": str(sites)}), "CDK_OUTDIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        f"siteferry: {sites}: sites.www.retention_days: 1 is out of range; use 30 to 3650 days"
    )
    assert "Traceback" not in done.stderr
