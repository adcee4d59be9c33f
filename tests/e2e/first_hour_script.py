"""What is typed in an operator's first hour, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what to wait for before the next one."""

    command: str
    """With {endpoint}, {version} and {next} to be filled in."""
    journal: str = ""
    """What the unit's journal has to say after it."""
    interrupt: str = ""
    """What has to be shown before Ctrl-C ends it."""
    frames: int = 1
    """States to show of a line that is drawn over."""


@dataclass(frozen=True, slots=True)
class Section:
    """Steps that belong together."""

    title: str
    text: str
    steps: tuple[Step, ...]


SECTIONS = (
    Section(
        "Install",
        "The package brings all that it needs beside Debian's Python. It starts nothing.",
        (Step("apt install ./siteferry_{version}_amd64.deb"),),
    ),
    Section(
        "Configure, and check",
        "`siteferry check` says what is missing. `siteferry-as-unit` runs a command as the unit would: with its user,\n"
        "its right to read what FTP users closed to others, and its credentials.",
        (
            Step("siteferry-as-unit check"),
            Step("sed -i -E 's/^# (site|root|region) = /\\1 = /' /etc/siteferry.toml"),
            Step("sed -i 's|^# endpoint_url = .*|endpoint_url = \"{endpoint}\"|' /etc/siteferry.toml"),
            Step("sed -i 's|^# ca_bundle = .*|ca_bundle = \"/etc/siteferry/ca.pem\"|' /etc/siteferry.toml"),
            Step("grep '^[a-z[]' /etc/siteferry.toml"),
            Step("siteferry-as-unit check"),
        ),
    ),
    Section(
        "Credentials",
        "This host has no role, so a file with keys is put where systemd takes it from.\n"
        "Only root and the unit can read it.",
        (
            Step("install -d -m 700 /etc/credstore"),
            Step("install -m 600 aws-credentials /etc/credstore/siteferry.aws-credentials"),
            Step("rm aws-credentials"),
            Step("siteferry-as-unit check"),
        ),
    ),
    Section(
        "The plan",
        "What would be published, with a reason for each file, and what would not. Nothing is changed.",
        (Step("siteferry-as-unit sync --dry-run | tail -n 6"),),
    ),
    Section(
        "The first sync",
        "With a bar on a terminal.",
        (Step("siteferry-as-unit sync", frames=4), Step("siteferry-as-unit status")),
    ),
    Section(
        "The service",
        "From now on the daemon keeps the site up to date. A file is live some seconds after it was left alone for\n"
        "`settle` (10) seconds; `status --watch` shows it come, until Ctrl-C.",
        (
            Step("systemctl enable --now siteferry"),
            Step("systemctl status siteferry"),
            Step("echo '<h1>News</h1>' > /srv/ftp/www/news.html"),
            Step("siteferry-as-unit status --watch", interrupt="(hinted): 1 published"),
            Step("siteferry-as-unit explain news.html"),
        ),
    ),
    Section(
        "A file that is not live",
        "Somebody uploads a film that is larger than `max_file_size`. `status` names it, and\n"
        "`explain` says why it is not live and what to do.",
        (
            Step("truncate -s 51G /srv/ftp/www/film.mp4", journal="2 names not published"),
            Step("siteferry-as-unit status --local"),
            Step("siteferry-as-unit explain film.mp4"),
            Step("truncate -s 5M /srv/ftp/www/film.mp4", journal="published film.mp4"),
            Step("siteferry-as-unit explain film.mp4 | tail -n 1"),
            Step("siteferry-as-unit explain home.html | head -n 3"),
        ),
    ),
    Section(
        "Deletes that are held",
        "Two years of photos are gone. A person decides whether that is meant.",
        (
            Step("rm -r /srv/ftp/www/photos/2016 /srv/ftp/www/photos/2017", journal="HELD"),
            Step("siteferry-as-unit status"),
            Step("siteferry-as-unit approve", journal="400 deleted"),
            Step("siteferry-as-unit status"),
        ),
    ),
    Section(
        "A pause",
        "Nothing is published while the disks move; the daemon stays, and keeps the site.",
        (
            Step("siteferry-as-unit pause --for 2h moving the disks", journal="PAUSED"),
            Step("siteferry-as-unit status --local"),
            Step("siteferry-as-unit resume", journal="resumed"),
        ),
    ),
    Section(
        "Another setting, and a restart",
        "A reload takes the new configuration, or says what is wrong with it and keeps the old one.",
        (
            Step("sed -i 's/^# workers = 16/workers = 0/' /etc/siteferry.toml"),
            Step("systemctl reload siteferry", journal="workers"),
            Step("journalctl -u siteferry -n 2"),
            Step("sed -i 's/^workers = 0/workers = 8/' /etc/siteferry.toml"),
            Step("systemctl reload siteferry", journal="starting again with it"),
            Step("systemctl restart siteferry"),
            Step("systemctl status siteferry | head -n 5"),
        ),
    ),
    Section(
        "An upgrade",
        "The unit is started again with the new version; configuration and state are kept.",
        (
            Step("apt install ./siteferry_{next}_amd64.deb"),
            Step("siteferry --version"),
            Step("siteferry-as-unit status"),
        ),
    ),
    Section(
        "And away",
        "`apt remove` stops the unit, and keeps configuration and state; `apt purge` removes them.",
        (Step("apt remove -y siteferry"), Step("ls /etc/siteferry.toml /var/lib/siteferry")),
    ),
)
