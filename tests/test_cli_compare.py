"""`napari-sparse-gmm compare`, from tables to a table and figures."""

from pathlib import Path

import pandas as pd
import pytest

from napari_sparse_gmm.cli import main
from napari_sparse_gmm.errors import InputError
from napari_sparse_gmm.io.summaries import read_summaries


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    """Three files of each of two conditions, in folders of their own, and a broken one."""
    rows = [
        {"file": f"data/{condition}/{condition[0]}{k}.csv", "clusters": 10 * at + k, "problem": ""}
        for at, condition in enumerate(("control", "drug"))
        for k in range(3)
    ]
    rows.append({"file": "data/drug/bad.csv", "problem": "Column 'y', of bad.csv, is empty."})
    path = tmp_path / "results" / "summary.csv"
    path.parent.mkdir()
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_table_and_figures(summary: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["compare", str(summary), "--condition", "folder", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "no p value is below 0.1." in said
    assert "1 row with a problem left out: 'data/drug/bad.csv'." in said
    (effect,) = pd.read_csv(out / "effects.csv").to_dict("records")
    assert (effect["condition"], effect["difference"], effect["p"]) == ("drug", 10.0, 0.1)
    names = {path.name for path in out.iterdir()}
    figures = {"effects.png", "effects.pdf", "clusters.png", "clusters.pdf"}
    assert names == {"effects.csv", *figures}
    before = (out / "clusters.pdf").read_bytes()
    assert main(["compare", str(summary), "--condition", "folder", "--out", str(out)]) == 0
    assert (out / "clusters.pdf").read_bytes() == before


def test_conditions_of_another_table(summary: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples.csv"
    rows = [(f"c{k}.csv", "mock") for k in range(3)] + [(f"d{k}.csv", "toxin") for k in range(3)]
    pd.DataFrame(rows, columns=["file", "condition"]).to_csv(samples, index=False)
    table = read_summaries([summary], samples)
    assert table["condition"].tolist()[:6] == ["mock"] * 3 + ["toxin"] * 3
    assert table["condition"].isna().tolist()[6:] == [True]
    pd.DataFrame([*rows, ("x/c0.csv", "mock")], columns=["file", "condition"]).to_csv(samples)
    with pytest.raises(InputError, match=r"several files called c0\.csv"):
        read_summaries([summary], samples)
    pd.DataFrame([("e0.csv", "mock")], columns=["file", "condition"]).to_csv(samples)
    with pytest.raises(InputError, match=r"as data/control/c0\.csv, is in samples\.csv: write the"):
        read_summaries([summary], samples)


def test_a_summary_of_each_condition(summary: Path, tmp_path: Path, capsys) -> None:
    other = tmp_path / "treated" / "summary.csv"
    other.parent.mkdir()
    table = pd.read_csv(summary)
    table.assign(clusters=table["clusters"] + 5).to_csv(other, index=False)
    command = ["compare", str(summary), str(other), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "Compared with results:" in capsys.readouterr().out
    assert main(["compare", str(summary), "--out", str(tmp_path / "out")]) == 2
    assert "Name a column by --condition" in capsys.readouterr().err


def test_all_columns_of_conditions_are_offered(summary: Path, tmp_path: Path, capsys) -> None:
    """Also those of the other table, and not those of what was found."""
    table = pd.read_csv(summary)
    table = table.assign(**{f"size {k}": table["clusters"] + k / 7 for k in range(9)})
    table.to_csv(summary, index=False)
    samples = tmp_path / "samples.csv"
    rows = [(f"{c}{k}.csv", 5 * k % 2, c) for c in "cd" for k in range(3)]
    pd.DataFrame(rows, columns=["file", "dose", "drug"]).to_csv(samples, index=False)
    command = ["compare", str(summary), "--samples", str(samples), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert capsys.readouterr().err.endswith(
        "Name a column by --condition (one of 'file', 'folder', 'drug', 'dose'; 'folder' is the "
        "folder that each file is in). samples.csv has no column 'condition'.\n"
    )
    assert main([*command, "--condition", "drugs"]) == 2
    expected = "There is no column 'drugs', but 'file', 'folder', 'drug', 'dose'.\n"
    assert capsys.readouterr().err.endswith(expected)


def test_an_output_that_cannot_be_is_a_sentence(summary: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    command = ["compare", str(summary), "--condition", "folder", "--out"]
    assert main([*command, str(tmp_path / "file" / "out")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'file' / 'out'} cannot be read or written (Not a directory)" in said
    assert "Errno" not in said
