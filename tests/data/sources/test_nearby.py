"""What lies near a missing file."""

from pathlib import Path

import pytest

from petseg.data.sources import nearby


@pytest.mark.parametrize(
    ("stem", "stems", "found"),
    [
        ("rex_3", {"rex_3_mask", "rex_31_mask", "rex_30"}, "rex_3_mask"),
        ("1", {"12_mask", "21", "mask_1"}, "mask_1"),
        ("tom", {"tom_mask", "tom_m"}, "tom_m"),
        ("mask_tom", {"tom"}, "tom"),
        ("My Cat", {"my_cat_gt"}, "my_cat_gt"),
        ("gro\u0308ße", {"größe_seg"}, "größe_seg"),
        ("tom", {"rex", "31"}, None),
        ("tom", set(), None),
    ],
)
def test_the_nearest_name_holds_the_other_and_cuts_no_number(stem: str, stems: set, found: str | None) -> None:
    assert nearby.similar(stem, stems) == found


def test_the_cure_can_be_typed(tmp_path: Path) -> None:
    assert nearby.cure(tmp_path / "my own", "--pet", "8") == (
        f"run: petseg import '{tmp_path}/my own' --out 'my own-clean' --pet 8"
    )
