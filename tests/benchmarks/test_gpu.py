"""The benchmark for a GPU: its parts, without a GPU and without trainings."""

import json
import time

import pytest

import gpu
from petseg.recipes.yaml_edit import edited
from support.paths import COMMITTED

TRAINED = {
    "dice": 0.91234,
    "dice_low": 0.9,
    "dice_high": 0.92,
    "epochs": 80,
    "seconds": 139.4,
    "images_per_second": 771.2,
    "waited_for_data": 0.004,
    "seconds_to": {"0.80": 9.2},
}


@pytest.fixture
def bench(tmp_path):
    return gpu.Bench(tmp_path, tmp_path, 256, 64, [64, 128], 5, 60, time.monotonic() + 60)


def test_parts_begin_with_the_cheap_and_end_with_the_other_reports(bench):
    names = [name for name, _ in gpu.parts(bench)]
    assert names[:3] == ["machine", "data", "tests"]
    assert names[3:7] == ["speed unet 64", "speed resnet34_unet 64", "speed unet 128", "speed resnet34_unet 128"]
    assert {"speed unet 128 plain loop", "speed unet 128 deterministic", "speed unet 128 compile"} < set(names)
    assert names[-6:] == ["oxford", "predict", "a", "b", "c", "d"]
    assert len(set(names)) == len(names)
    assert sum(gpu.SHARES.values()) < 0.75


def test_a_part_that_fails_does_not_stop_the_others_and_is_run_again(bench, monkeypatch, capsys):
    done, broken = [], [True]

    def part(name):
        done.append(name)
        if name == "machine" and broken.pop():
            raise RuntimeError("no driver")
        return {"told": f"{name} works"}

    monkeypatch.setattr(gpu, "parts", lambda bench: [(n, lambda n=n: part(n)) for n in ("machine", "data", "tests")])
    gpu.run_parts(bench)
    assert "machine: no driver" in capsys.readouterr().out
    report = (bench.out / "report.md").read_text()
    assert "data: data works\ntests: tests works" in report
    broken.append(False)
    gpu.run_parts(bench)
    assert done == ["machine", "data", "tests", "machine"]


def test_nothing_starts_when_the_time_is_over(bench, monkeypatch, capsys):
    late = gpu.Bench(bench.data, bench.out, 256, 64, [64], 5, 60, time.monotonic() - 1)
    monkeypatch.setattr(gpu, "parts", lambda bench: [("machine", lambda: pytest.fail("started"))])
    gpu.run_parts(late)
    assert capsys.readouterr().out == "machine: no time left\n"


def test_a_command_is_stopped_at_its_limit(bench):
    with pytest.raises(RuntimeError, match="30 ran longer than 0 s"):
        bench.run(["sleep", "30"], bench.out, 0.5)
    with pytest.raises(RuntimeError, match=r"(?s)-c .* failed: .*no data"):
        bench.run(["sh", "-c", "echo no data >&2; exit 1"], bench.out, 5)


def test_report(bench):
    results = {
        "machine": {"matrix_product": 4e14},
        "speed unet 128 plain loop": {"rate": 200, "flops": 1e12, "waited": 0.25, "memory": 45.26},
        "oxford": {"unet": TRAINED},
        "predict": {"unet": {"rate": 344.4}},
    }
    for name, result in results.items():
        (bench.out / f"{name}.json").write_text(json.dumps(result))
    lines = gpu.report(bench).splitlines()
    assert "| unet | 128 | plain loop | 200 | 50% | 25.0% | 45.3 |" in lines
    assert "| oxford | unet | 0.9123 | 0.9000 to 0.9200 | 80 | 139 | 771 | 0.4% | 9 | – | – | – | – |" in lines
    assert lines[-1] == "predict, arrays of 500 x 375, unet: 344 images/s"


def test_time_to_a_validation_dice(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "plots/train").mkdir(parents=True)
    run = {"seconds": 8.0, "images_per_second": 5.0, "waited_for_data": 0.1, "precision": "bf16"}
    (tmp_path / "models/unet.run.json").write_text(json.dumps(run))
    (tmp_path / "plots/train/unet.csv").write_text("epoch,valid_dice\n1,0.5\n2,0.81\n3,0.79\n4,0.86\n")
    (tmp_path / "params.yaml").write_text(edited(COMMITTED.read_text(), {"epochs": 4}))
    facts = gpu.trained(tmp_path, "unet")
    assert facts["seconds_to"] == {"0.80": 4.0, "0.85": 8.0}
    assert facts["epochs"] == 4
