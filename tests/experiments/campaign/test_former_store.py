"""Status and export of a campaign that version 0.1.0 stored."""

import csv
import io
import json
import sqlite3

import numpy as np
import pytest

# Schema and names as version 0.1.0 wrote them.
SCHEMA = """
create table about (key text primary key, value text not null);
create table items (
    position integer primary key, key text unique not null, item text not null,
    reference text, state text not null default 'waiting', owner text,
    tries integer not null default 0, error text, record text, arrays blob
);
insert into about values ('schema_version', '1');
insert into about values ('version', '"0.1.0"');
"""


def item(attack, limit, budget, index, reference=None):
    return {
        "place": "native,steps=30",
        "attack": attack,
        "settings": {},
        "limit": limit,
        "budget": budget,
        "index": index,
        "label": 7,
        "target_class": None,
        "seed": 11,
        "reference": reference,
    }


def record(successes, bound):
    return {
        "queries": 40,
        "stopped_by": "budget",
        "success": {"successes": successes, "draws": 4},
        "clean_success": {"successes": 0, "draws": 4},
        "verification_queries": 8,
        "distance": {"l0": 5.0, "l2": 1.5, "local_sd": 12.0},
        "bound": bound,
        "seconds": 0.5,
    }


def packed(value):
    file = io.BytesIO()
    np.savez_compressed(file, adversarial=np.full((8, 8), value))
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    rows = [
        ("a", item("greedy-window", "", None, 3), "done", None, record(0, None), packed(0.1)),
        ("b", item("adaptive", "l2=2", 40, 3), "done", None, record(3, None), packed(0.2)),
        (
            "c",
            item("adaptive", "local_sd@greedy-window", 40, 3, "a"),
            "done",
            None,
            record(1, 12.0),
            packed(0.3),
        ),
        ("d", item("adaptive", "l2=2", 40, 4), "failed", "ValueError: boom", None, None),
    ]
    with sqlite3.connect(tmp_path / "campaign.sqlite") as db:
        db.executescript(SCHEMA)
        db.executemany(
            "insert into items (key, item, state, error, record, arrays) values (?, ?, ?, ?, ?, ?)",
            [
                (key, json.dumps(each), state, error, result and json.dumps(result), arrays)
                for key, each, state, error, result, arrays in rows
            ],
        )
    db.close()
    return tmp_path


def test_status(command, folder):
    code, out, _ = command("campaign", "status", folder, "--json")
    figures = json.loads(out)
    assert (code, figures["done"], figures["waiting"], figures["total"]) == (0, 3, 0, 4)
    (failed,) = figures["failures"]
    assert (failed["deployment"], failed["bound"]) == ("native,steps=30", "l2=2")
    code, out, _ = command("campaign", "status", folder)
    assert code == 0
    assert "boom" in out


def test_export(command, folder):
    table, images = folder / "rows.csv", folder / "images.npz"
    code, out, err = command(
        "campaign", "export", folder, "--csv", table, "--images", images, "--json"
    )
    assert code == 0, err
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["bound"] for row in rows] == ["", "l2=2", "local_sd@greedy-window"]
    assert [row["max_distance"] for row in rows] == ["", "2.0", "12.0"]
    assert {row["deployment"] for row in rows} == {"native,steps=30"}
    assert [(row["success"], row["trials"]) for row in rows] == [
        ("0.0", "4"),
        ("0.75", "4"),
        ("0.25", "4"),
    ]
    with np.load(images) as arrays:
        assert arrays["adversarial"][:, 0, 0].tolist() == [0.1, 0.2, 0.3]
    figures = {(each["attack"], each["bound"]): each for each in json.loads(out)["attacks"]}
    assert figures["adaptive", "l2=2"]["success"] == 0.75
    assert figures["adaptive", "l2=2"]["failed"] == 1
    assert command("campaign", "export", folder)[0] == 0
