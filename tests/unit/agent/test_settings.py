"""Configuration, headers, names for people, and the command line."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from siteferry import config as config_module
from siteferry.cli import main
from siteferry.config import DEFAULT_EXCLUDES, load_config
from siteferry.errors import ConfigError, Exit
from siteferry.headers import Headers, content_type
from siteferry.names import join_path, printable
from siteferry.state import StateDirectory
from siteferry_contract.descriptor import HeaderRule

GOOD = 'site = "www"\nroot = "/srv/ftp/www"\n'


def write(path: Path, text: str) -> Path:
    """Write a configuration."""
    file = path / "siteferry.toml"
    file.write_text(text, "utf-8")
    return file


# ---- configuration


def test_least_configuration(tmp_path: Path) -> None:
    """Site and root are all that is needed."""
    config = load_config(write(tmp_path, GOOD))
    assert (config.site, config.root, config.state_dir) == ("www", Path("/srv/ftp/www"), Path("/var/lib/siteferry/www"))
    assert (config.settle, config.interval, config.exclude, config.delete) == (10, 60, DEFAULT_EXCLUDES, True)


def test_settings_about_hostile_users(tmp_path: Path) -> None:
    """By default no symlink is followed, and no file over 50 GB published; both can be said otherwise."""
    default = load_config(write(tmp_path, GOOD))
    assert (default.symlinks, default.max_file_size) == ("skip", 50)
    other = load_config(write(tmp_path, GOOD + 'symlinks = "inside"\nmax_file_size = 1.5\n'))
    assert (other.symlinks, other.max_file_size) == ("inside", 1.5)


def test_excludes_add_to_the_defaults(tmp_path: Path) -> None:
    """Excludes come on top of the defaults, which can be switched off."""
    text = GOOD + 'exclude = ["*.bak"]\n'
    assert load_config(write(tmp_path, text)).exclude == (*DEFAULT_EXCLUDES, "*.bak")
    assert load_config(write(tmp_path, text + "exclude_defaults = false\n")).exclude == ("*.bak",)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('root = "/srv"\n', "site"),
        ('site = "www"\n', "root"),
        ('site = "WWW"\nroot = "/srv"\n', "site"),
        ('site = "w/w"\nroot = "/srv"\n', "site"),
        ('site = "www"\nroot = "relative"\n', "root"),
        ('site = "www"\nroot = ""\n', "root"),
        (GOOD + "intervall = 5\n", "interval"),
        (GOOD + "settle = 0\n", "settle"),
        (GOOD + "settle = nan\n", "settle"),
        (GOOD + 'settle = "10"\n', "settle"),
        (GOOD + "settle = true\n", "settle"),
        (GOOD + "workers = 0\n", "workers"),
        (GOOD + 'symlinks = "follow"\n', "symlinks"),
        (GOOD + "symlinks = true\n", "symlinks"),
        (GOOD + "max_file_size = 0\n", "max_file_size"),
        (GOOD + "workers = 1.5\n", "workers"),
        (GOOD + "lease = 1\n", "lease"),
        (GOOD + "lease = inf\n", "lease"),
        (GOOD + 'exclude = "*.bak"\n', "exclude"),
        (GOOD + "exclude = [1]\n", "exclude"),
        (GOOD + 'delete = "no"\n', "delete"),
        (GOOD + "brake = 5\n", "brake"),
        (GOOD + "[brake]\npercent = 101\n", "brake.percent"),
        (GOOD + "[brake]\nfile = 1\n", "brake.files"),
        (GOOD + "[hints]\ninotify = 1\n", "hints.inotify"),
        (GOOD + "[hints]\ninotify_directories = 0\n", "hints.inotify_directories"),
        (GOOD + '[hints]\nlogs = "/var/log/xferlog"\n', "hints.logs"),
        (GOOD + '[hints]\nlogs = ["xferlog"]\n', "hints.logs"),
        (GOOD + "[hints]\nlog = []\n", "hints.logs"),
        (GOOD + "[aws]\nregion = 5\n", "aws.region"),
        (GOOD + '[aws]\nca_bundle = "ca.pem"\n', "aws.ca_bundle"),
        (GOOD + "[more]\n", "more"),
        ("site = \n", "TOML"),
    ],
)
def test_bad_configuration(tmp_path: Path, text: str, key: str) -> None:
    """A setting that is missing, wrong or unknown is named with its file, its key and a remedy."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(file) in str(caught.value)
    assert key in f"{caught.value} {caught.value.remedy}"
    assert caught.value.exit == Exit.CONFIG


def test_unreadable_configurations(tmp_path: Path) -> None:
    """A file that is missing, a directory or no text is named with a remedy."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("missing", "", "bytes"):
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / name)
        assert str(tmp_path) in str(caught.value)
        assert caught.value.remedy


# ---- headers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html"),
        ("d/A.HTML", "text/html"),
        ("a.js", "text/javascript"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("a.doc", "application/msword"),
        ("a", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("d.html/a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.n\nonsense", "application/octet-stream"),
    ],
)
def test_content_types(name: str, expected: str) -> None:
    """A content type follows from the extension alone, the same on every host."""
    assert content_type(name) == expected


def test_first_rule_that_matches_wins() -> None:
    """Of the header rules the first that matches a key without its prefix wins, over the content type too."""
    rules = [
        HeaderRule("docs/*.html", {"cache-control": "one"}),
        HeaderRule("*.html", {"cache-control": "two", "content-type": "text/html; charset=utf-8"}),
        HeaderRule("*", {"x-amz-meta-any": "three"}),
    ]
    headers = Headers("p/", rules)
    assert headers.settings("p/docs/a.html") == {"content-type": "text/html", "cache-control": "one"}
    assert headers.settings("p/b.html") == {"content-type": "text/html; charset=utf-8", "cache-control": "two"}
    assert headers.of("p/c.svgz", b"c.svgz", 1_500_000_000) == {
        "content-type": "image/svg+xml",
        "content-encoding": "gzip",
        "x-amz-meta-any": "three",
        "x-amz-meta-mtime": "1.500000000",
    }


# ---- names


def test_no_control_character_survives() -> None:
    """Whatever a name has, what is shown of it is one printable line, and distinct from others."""
    hostile = [bytes((n,)) for n in range(256)] + ["\u202e".encode(), "\u2028".encode(), "é".encode(), b"\\x00"]
    shown = [printable(name) for name in hostile]
    assert all(text.isprintable() for text in shown)
    assert len(set(shown)) == len(shown)
    assert (printable(b""), printable("\ud800"), join_path(b"", b"a"), join_path(b"d", b"a")) == (
        ".",
        "\\ud800",
        b"a",
        b"d/a",
    )


# ---- the command


@pytest.mark.parametrize("command", [[], ["sync"], ["run"], ["status"], ["approve"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself."""
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: siteferry" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["sync", "--nonsense"], ["sync", "--workers", "many"], ["sync", "extra"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is one message, the way to help, and the exit code for it."""
    assert main(arguments) == Exit.USAGE
    error = capsys.readouterr().err
    assert error.startswith("siteferry: ")
    assert "--help" in error


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A good configuration in directories of the test's own."""
    (tmp_path / "root").mkdir()
    text = f'site = "www"\nroot = "{tmp_path}/root"\nstate_dir = "{tmp_path}/state"\n[aws]\nregion = "us-east-1"\n'
    return write(tmp_path, text)


def test_workers_are_checked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of workers that makes no sense is refused."""
    assert main(["sync", "--config", str(config), "--workers", "0"]) == Exit.USAGE
    assert "1 to 512" in capsys.readouterr().err


def test_missing_configuration_has_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that is not there is a configuration error with a remedy."""
    assert main(["status", "--config", str(tmp_path / "none.toml")]) == Exit.CONFIG
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_status_without_a_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status of a site that never ran says so, from this host alone."""
    assert main(["status", "--config", str(config)]) == Exit.DONE
    assert "none yet" in capsys.readouterr().out


def test_approve_needs_held_deletes(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is held can be approved, and exactly as much."""
    assert main(["approve", "--config", str(config)]) == Exit.USAGE
    state = StateDirectory(tmp_path / "state")
    state.write_status({"last": {"held": 7}})
    assert main(["approve", "--config", str(config)]) == Exit.DONE
    assert "7" in capsys.readouterr().out
    assert state.approved_deletes() == 7


def test_second_sync_on_this_host_is_refused(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While one process syncs a site, another one is refused, and the holder named."""
    state = StateDirectory(tmp_path / "state")
    state.lock()
    try:
        assert state.is_locked()
        assert main(["sync", "--config", str(config)]) == Exit.BUSY
        assert str(os.getpid()) in capsys.readouterr().err
    finally:
        state.unlock()
    assert not state.is_locked()


def test_no_credentials(config: Path) -> None:
    """Without credentials one clear message and the exit code for it, and no traceback."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(config.parent),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "siteferry", "sync", "--config", str(config)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.NO_PERMISSION
    assert "no AWS credentials" in done.stderr
    assert "Traceback" not in done.stderr


EXAMPLE = Path("agent/packaging/siteferry.toml")
SETTING = re.compile(r"(?m)^# (?=\w+ = )")
"""What makes a comment of a setting, in the example."""


def test_the_example_configuration_says_what_it_lacks() -> None:
    """As it is installed it sets nothing, and names the first setting that is needed."""
    with pytest.raises(ConfigError, match=r"`site` is missing"):
        load_config(EXAMPLE)


def test_the_example_configuration_explains_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncommented it loads, and has every setting that there is; each paragraph of it has a comment."""
    asked = set()

    def take(table: Any, key: str, check: Any, default: Any = None) -> Any:
        asked.add(table.where + key)
        return original(table, key, check, default)

    original = config_module._Table.take
    monkeypatch.setattr(config_module._Table, "take", take)
    text = SETTING.sub("", EXAMPLE.read_text("utf-8"))
    (tmp_path / "all.toml").write_text(text, "utf-8")
    load_config(tmp_path / "all.toml")
    shown = tomllib.loads(text)
    names = {f"{table}.{name}" for table, values in shown.items() if isinstance(values, dict) for name in values}
    assert shown.keys() | names == asked
    assert all("#" in block for block in text.split("\n\n"))


def test_the_example_configuration_shows_the_defaults(tmp_path: Path) -> None:
    """Uncommented, what it shows is the default, but for what has none and what `exclude` gives as examples."""
    example = re.sub(r"(?m)^# exclude = .*", "", EXAMPLE.read_text("utf-8")).partition("[aws]")[0]
    needed = re.sub(r"(?m)^# (?=site|root)", "", example)
    (tmp_path / "needed.toml").write_text(needed, "utf-8")
    (tmp_path / "shown.toml").write_text(SETTING.sub("", example), "utf-8")
    assert load_config(tmp_path / "shown.toml") == load_config(tmp_path / "needed.toml")
    assert "files = 20" in example
