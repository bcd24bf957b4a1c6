"""The figures of `balto stats` by pandas, to be compared with: one shard in memory at a time, counts added up.

Plain pandas, as its users write it: nested columns become Python objects, `explode` makes a row of each. Only the
columns that a figure needs are read. The result has the titles and sums of `pipeline.stats.figures`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from schemas.shards import CLAIM_COUNTS, TOKEN_COUNTS

pd: Any = pandas  # its stubs know scalars and frames apart only by hand
Frame = Any

COUNTS = [*CLAIM_COUNTS, *TOKEN_COUNTS]
COLUMNS = ["group_id", "policy", "status", "response", "label_spans", "claims", *COUNTS]
KEYS: dict[str, list[str]] = {
    "by policy": ["policy"],
    "responses": ["status"],
    "verdicts": ["verdict"],
    "status of claims": ["status"],
    "alignment": ["alignment"],
    "position in response": ["part"],
    "length and faithfulness": ["class"],
    "balance": ["block", "tenth"],
}


def figures(folder: str) -> dict[str, Any]:
    """Title -> value of the keys, joined by a space -> sums."""
    counted: dict[str, list[Frame]] = {name: [] for name in KEYS}
    for path in sorted((Path(folder) / "shards").glob("*.parquet")):
        for name, table in _of_shard(pd.read_parquet(path, columns=COLUMNS)).items():
            counted[name].append(table)
    return {name: _added(tables, KEYS[name]) for name, tables in counted.items()}


def _added(tables: list[Frame], keys: list[str]) -> dict[str, dict[str, float]]:
    added = pd.concat(tables).groupby(keys, dropna=False).sum()
    return {" ".join(map(str, np.atleast_1d(key))): row.to_dict() for key, row in added.iterrows()}


def _of_shard(rows: Frame) -> dict[str, Frame]:
    rows["n"] = rows["response"].str.len()
    by_policy = rows.groupby("policy", dropna=False)
    overview = by_policy[COUNTS].sum().assign(records=by_policy.size(), groups=by_policy["group_id"].nunique())
    tables = {"by policy": overview.reset_index(), "responses": _tally(rows["status"], "responses")}
    claims = pd.DataFrame(rows["claims"].explode().dropna().tolist())
    tables["verdicts"] = _tally(claims["verdict"].fillna("none"), "claims")
    tables["status of claims"] = _tally(claims["status"], "claims")
    tables["alignment"] = _tally(claims["alignment"], "claims")
    tables["position in response"] = _positions(rows)
    tables["length and faithfulness"] = _lengths(rows)
    groups = rows.groupby("group_id")[["n_tokens_supported", "n_tokens_unsupported"]].sum()
    tables["balance"] = pd.concat([_balance(groups, "group"), _balance(rows, "response")])
    return tables


def _tally(values: Frame, name: str) -> Frame:
    return values.value_counts().rename(name).reset_index()


def _positions(rows: Frame) -> Frame:
    spans = rows[["n", "label_spans"]].explode("label_spans").dropna()
    spans = pd.concat([spans[["n"]].reset_index(drop=True), pd.DataFrame(spans["label_spans"].tolist())], axis=1)
    parts = {"characters": rows[["n"]].assign(start=0, end=rows["n"]), "supported": spans[spans["label"] == 1],
             "unsupported": spans[spans["label"] == -1]}  # fmt: skip
    tables = []
    for part, chosen in parts.items():
        bounds = [(chosen["n"] * k + 9) // 10 for k in range(11)]
        shared = {
            f"tenth {k + 1}": (np.minimum(chosen["end"], bounds[k + 1]) - np.maximum(chosen["start"], bounds[k]))
            .clip(lower=0)
            .sum()
            for k in range(10)
        }
        tables.append(pd.DataFrame([{"part": part, **shared}]))
    return pd.concat(tables)


def _lengths(rows: Frame) -> Frame:
    judged = rows["n_supported"] + rows["n_contradicted"] + rows["n_unsupported"]
    classes = sum((rows["n"] >= 2**power).astype(int) for power in range(6, 15))
    table = rows.assign(**{"class": classes, "faithfulness": rows["n_supported"] / judged.where(judged > 0)})
    return table.groupby("class").agg(records=("n", "size"), faithfulness=("faithfulness", "sum")).reset_index()


def _balance(blocks: Frame, block: str) -> Frame:
    positive, negative = blocks["n_tokens_supported"].astype("int64"), blocks["n_tokens_unsupported"].astype("int64")
    active = (positive > 0) & (negative > 0)
    positive, negative = positive[active], negative[active]
    n = positive + negative
    table = pd.DataFrame({"block": block, "tenth": (10 * negative + n - 1) // n, "blocks": 1,
                          "mass_sqrt": np.sqrt(positive * negative) / n})  # fmt: skip
    return table.groupby(["block", "tenth"]).sum().reset_index()


if __name__ == "__main__":
    json.dump(figures(sys.argv[1]), sys.stdout, default=str)
