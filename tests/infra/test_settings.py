"""What sites.toml may say, and what the operator is told when it says something else."""

import json
from pathlib import Path

import pytest

from siteferry_contract.copy_rules import CopyRule
from siteferry_contract.descriptor import HeaderRule
from siteferry_infra.settings import SettingsError, SiteSettings, load_sites, parse_sites

INFRA = Path(__file__).resolve().parents[2] / "infra"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b"
COPY_RULES = ", ".join(f'{{ from = "a{n}/", to = "b{n}/" }}' for n in range(90))
MANY_COPY_RULES = f"copy_rules = [{COPY_RULES}]"
HEADER_RULES = ", ".join(['{ match = "*", headers = { cache-control = "a" } }'] * 80)
MANY_HEADER_RULES = f"header_rules = [{HEADER_RULES}]"
METADATA = ", ".join(f'x-amz-meta-{name} = "{name * 800}"' for name in "ab")
MUCH_METADATA = f'header_rules = [{{ match = "*", headers = {{ {METADATA} }} }}]'


def one(body: str) -> SiteSettings:
    """Parse the body of a table [sites.www]."""
    (site,) = parse_sites(f"[sites.www]\n{body}", source="sites.toml")
    return site


def test_a_site_needs_no_more_than_a_name() -> None:
    """An empty table is a site with the defaults."""
    assert one("") == SiteSettings(
        name="www",
        prefix="",
        encoding="latin-1",
        copy_rules=(),
        directory_pages=True,
        directory_redirects="exact",
        error_page="404.html",
        page_template=None,
        header_rules=(),
        invalidation="paths",
        invalidation_window=2,
        alarm_email=None,
        domain_names=(),
        certificate_arn=None,
        retention_days=90,
    )


def test_every_setting_arrives() -> None:
    """What is written is what the stack gets; header names become lower case."""
    site = one(
        f"""
        prefix = "some/prefix/"
        encoding = "utf-8"
        copy_rules = [{{ from = "docs/", to = "mirror/docs/" }}, {{ from = "", to = "all/" }}]
        directory_pages = false
        directory_redirects = "by-extension"
        error_page = "errors/404.html"
        header_rules = [{{ match = "*.html", headers = {{ Cache-Control = "max-age=60", x-amz-meta-team = "a" }} }}]
        invalidation = "paths"
        invalidation_window = 5
        alarm_email = "ops@example.com"
        domain_names = ["www.example.com", "*.example.org"]
        certificate_arn = "{CERTIFICATE}"
        retention_days = 30
        """
    )
    assert site == SiteSettings(
        name="www",
        prefix="some/prefix/",
        encoding="utf-8",
        copy_rules=(CopyRule("docs/", "mirror/docs/"), CopyRule("", "all/")),
        directory_pages=False,
        directory_redirects="by-extension",
        error_page="errors/404.html",
        header_rules=(HeaderRule("*.html", {"cache-control": "max-age=60", "x-amz-meta-team": "a"}),),
        invalidation="paths",
        invalidation_window=5,
        alarm_email="ops@example.com",
        domain_names=("www.example.com", "*.example.org"),
        certificate_arn=CERTIFICATE,
        retention_days=30,
    )


def test_sites_keep_their_order() -> None:
    """Several tables are several sites."""
    sites = parse_sites("[sites.b]\n[sites.a]\nprefix = 'x/'\n", source="sites.toml")
    assert [site.name for site in sites] == ["b", "a"]


@pytest.mark.parametrize(
    ("body", "place", "parts"),
    [
        ("copy_rule = []", "copy_rule", ["no such setting", "did you mean 'copy_rules'?"]),
        ("zzz = 1", "zzz", ["no such setting", "known are: agent_silent_minutes, alarm_email, bucket, cdn_"]),
        ('buckets = "b"', "buckets", ["no such setting", "did you mean 'bucket'?"]),
        ("prefix = 1", "prefix", ["1 (an integer) is not a string", "put it in quotes"]),
        ('prefix = "/a/"', "prefix", ["'/a/'", "begin with none"]),
        ('prefix = "a"', "prefix", ["'a'", "end with one '/'"]),
        ('prefix = "a//b/"', "prefix", ["'a//b/'"]),
        ('prefix = "a/../b/"', "prefix", ["'a/../b/'"]),
        ('prefix = "a b/"', "prefix", ["'a b/'", "origin path", "use at most 255"]),
        ('prefix = "a*/"', "prefix", ["'a*/'", "origin path"]),
        (f'prefix = "{"a" * 255}/"', "prefix", ["origin path"]),
        ('encoding = "utf8"', "encoding", ["'utf8'", "latin-1, utf-8, auto"]),
        ("encoding = true", "encoding", ["True (a boolean) is not a string"]),
        ('directory_pages = "yes"', "directory_pages", ["'yes' (a string)", "true or false"]),
        ("directory_pages = 1", "directory_pages", ["1 (an integer) is not a boolean"]),
        ('retention_days = "90"', "retention_days", ["'90' (a string)", "whole number of days"]),
        ("retention_days = true", "retention_days", ["True (a boolean) is not an integer"]),
        ("retention_days = 29", "retention_days", ["29 is out of range", "use 30 to 3650 days"]),
        ("retention_days = 4000", "retention_days", ["use 30 to 3650 days"]),
        ("invalidation_window = 0", "invalidation_window", ["use 1 to 300 seconds"]),
        ("invalidation_window = 301", "invalidation_window", ["use 1 to 300 seconds"]),
        ("invalidation_window = 2.5", "invalidation_window", ["2.5 (a float) is not an integer"]),
        ('directory_redirects = "no"', "directory_redirects", ["'no' is unknown", 'use "exact"']),
        ('error_page = "/404.html"', "error_page", ["cannot be the path of an error page", "without a leading slash"]),
        ('error_page = "a/../404.html"', "error_page", ["cannot be the path of an error page"]),
        ("invalidation_budget = 0", "invalidation_budget", ["0 is out of range", "1 to 1000000 paths"]),
        ('invalidation_budget = "10"', "invalidation_budget", ["whole number of paths"]),
        ('invalidation = "all"', "invalidation", ["'all' is unknown", 'use "paths"']),
        ("agent_silent_minutes = 1441", "agent_silent_minutes", ["use 0 to 1440 minutes"]),
        ("agent_silent_minutes = 1", "agent_silent_minutes", ["1 is too few", "at least 2, or 0 for no alarm"]),
        ("oldest_change_minutes = -1", "oldest_change_minutes", ["use 0 to 1440 minutes"]),
        ('runbook_url = "https://x.example/r"', "runbook_url", ["is no address of a folder", "its last slash"]),
        ('cdn_alarm_for = "www"', "cdn_alarm_for", ["'www' is no id of a distribution", "output DistributionId"]),
        ('alarm_email = "ops"', "alarm_email", ["'ops' is no e-mail address"]),
        ('alarm_email = "a b@example.com"', "alarm_email", ["is no e-mail address"]),
        ('domain_names = ["www.example.com"]', "certificate_arn", ["is missing, but domain_names is set", "us-east-1"]),
        (f'certificate_arn = "{CERTIFICATE}"', "domain_names", ["is missing, but certificate_arn is set"]),
        ('domain_names = "www.example.com"', "domain_names", ["is not an array"]),
        ('domain_names = ["a.example", 1]', "domain_names[1]", ["1 (an integer) is not a string"]),
        ('domain_names = ["https://www.example.com"]', "domain_names[0]", ["is no domain name"]),
        (
            'domain_names = ["www.example.com"]\ncertificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0"',
            "certificate_arn",
            ["no certificate for CloudFront", "arn:aws:acm:us-east-1:"],
        ),
        ("copy_rules = 1", "copy_rules", ["1 (an integer) is not an array"]),
        ("copy_rules = ['a']", "copy_rules[0]", ["'a' (a string) is not a table"]),
        ("copy_rules = [{ from = 'a/' }]", "copy_rules[0].to", ["is missing"]),
        ("copy_rules = [{ from = 'a/', to = 'b/', form = 'c/' }]", "copy_rules[0].form", ["did you mean 'from'?"]),
        ("copy_rules = [{ from = 'a/', to = 7 }]", "copy_rules[0].to", ["7 (an integer) is not a string"]),
        ("copy_rules = [{ from = 'a', to = 'b/' }]", "copy_rules[0].from", ["'a'"]),
        (
            "copy_rules = [{ from = 'a/', to = 'b/' }, { from = 'c/', to = 'd' }]",
            "copy_rules[1].to",
            ["'d'", "destination of its own"],
        ),
        ("copy_rules = [{ from = 'a/', to = '' }]", "copy_rules[0].to", ["empty"]),
        ("copy_rules = [{ from = 'a/', to = 'a/b/' }]", "copy_rules[0].to", ["overlaps"]),
        ("copy_rules = [{ from = 'a/', to = 'b/' }, { from = 'c/', to = 'b/c/' }]", "copy_rules[0].to", ["overlaps"]),
        ('copy_rules = [{ from = "a/", to = "b\\n/" }]', "copy_rules[0].to", ["'b\\n/' has unprintable"]),
        (
            MANY_COPY_RULES,
            "copy_rules",
            ["bytes are too many", "limited to 4 KB", "use fewer"],
        ),
        ("header_rules = [{ match = '*' }]", "header_rules[0].headers", ["missing or empty"]),
        ("header_rules = [{ headers = { cache-control = 'a' } }]", "header_rules[0].match", ["is missing"]),
        ("header_rules = [{ match = '', headers = { cache-control = 'a' } }]", "header_rules[0].match", ["no file"]),
        (
            "header_rules = [{ match = '/a', headers = { cache-control = 'a' } }]",
            "header_rules[0].match",
            ["leading slash"],
        ),
        (
            "header_rules = [{ match = '*', headers = { x-frame-options = 'DENY' } }]",
            "header_rules[0].headers.x-frame-options",
            ["S3 cannot keep this header", "x-amz-meta-*"],
        ),
        (
            "header_rules = [{ match = '*', headers = { x-amz-meta-mtime = '1' } }]",
            "header_rules[0].headers.x-amz-meta-mtime",
            ["siteferry sets this metadata itself"],
        ),
        (
            "header_rules = [{ match = '*', headers = { x-amz-meta-cache-tag = '1' } }]",
            "header_rules[0].headers.x-amz-meta-cache-tag",
            ["siteferry sets this metadata itself"],
        ),
        (
            "header_rules = [{ match = '*', headers = { x-amz-meta-siteferry-generated = '1' } }]",
            "header_rules[0].headers.x-amz-meta-siteferry-generated",
            ["siteferry sets this metadata itself"],
        ),
        (
            "header_rules = [{ match = '*', headers = { 'x-amz-meta-a b' = '1' } }]",
            "header_rules[0].headers.x-amz-meta-a b",
            ["no name that S3 takes"],
        ),
        (
            "header_rules = [{ match = '*', headers = { cache-control = 'a', Cache-Control = 'b' } }]",
            "header_rules[0].headers.Cache-Control",
            ["twice"],
        ),
        (
            "header_rules = [{ match = '*', headers = { cache-control = 60 } }]",
            "header_rules[0].headers.cache-control",
            ["60 (an integer) is not a string"],
        ),
        (
            'header_rules = [{ match = "*", headers = { cache-control = "a\\r\\nset-cookie: b" } }]',
            "header_rules[0].headers.cache-control",
            ["characters that a header cannot carry", "visible ASCII"],
        ),
        (
            "header_rules = [{ match = '*', headers = { content-language = 'é' } }]",
            "header_rules[0].headers.content-language",
            ["characters that a header cannot carry"],
        ),
        (
            "header_rules = [{ match = '*', headers = { cache-control = ' a' } }]",
            "header_rules[0].headers.cache-control",
            ["empty or has space around it"],
        ),
        (
            f"header_rules = [{{ match = '*', headers = {{ cache-control = '{'a' * 1025}' }} }}]",
            "header_rules[0].headers.cache-control",
            ["1025 characters are too many"],
        ),
        (
            MUCH_METADATA,
            "header_rules[0].headers",
            ["of x-amz-meta-* are too many"],
        ),
        (
            MANY_HEADER_RULES,
            "header_rules",
            ["bytes are too many", "8 KB"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_reason_and_remedy(body: str, place: str, parts: list[str]) -> None:
    """The message begins with the file and the key path, and says what was seen, why not, and what to do."""
    with pytest.raises(SettingsError) as caught:
        one(body)
    message = str(caught.value)
    assert message.startswith(f"sites.toml: sites.www.{place}: ")
    assert "; " in message
    for part in parts:
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["sites: there is no site", "[sites.NAME]"]),
        ("[sites]", ["sites: there is no site"]),
        ("sites = 1", ["sites: 1 (an integer) is not a table"]),
        ("[site.www]", ["site: there is no such setting", "did you mean 'sites'?"]),
        ("[sites]\nwww = 1", ["sites.www: 1 (an integer) is not a table"]),
        ("[sites.WWW]", ["'WWW' cannot name a site", "lower-case"]),
        ('[sites."a.b"]', ["'a.b' cannot name a site"]),
        (f"[sites.{'a' * 32}]", ["cannot name a site", "1 to 31"]),
        ("[sites.www\n", ["is not TOML", "line 1"]),
        ("[sites.www]\n[sites.www]", ["is not TOML"]),
    ],
)
def test_a_wrong_outline_is_told(text: str, parts: list[str]) -> None:
    """The file as a whole is checked like its settings."""
    with pytest.raises(SettingsError) as caught:
        parse_sites(text, source="sites.toml")
    assert str(caught.value).startswith("sites.toml: ")
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 each get one clear message."""
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file.*--context sites=FILE"):
        load_sites(tmp_path / "missing.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n[sites.www]\n")
    with pytest.raises(SettingsError, match=r"latin\.toml: cannot be read: it is not UTF-8"):
        load_sites(latin)


def test_the_files_of_the_project_are_accepted() -> None:
    """The sites.toml that is shipped holds a site."""
    assert [site.name for site in load_sites(INFRA / "sites.toml")] == ["www"]


def test_the_cdk_cli_is_pinned_and_the_lock_names_no_registry() -> None:
    """`npm ci` gives everyone the same CLI from their own registry."""
    package = json.loads((INFRA / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((INFRA / "package-lock.json").read_text(encoding="utf-8"))
    assert package["devDependencies"] == {"aws-cdk": "2.1148.1"}
    assert lock["packages"]["node_modules/aws-cdk"]["version"] == "2.1148.1"
    assert all("resolved" not in entry for entry in lock["packages"].values())
