import shutil

import pytest
import torch

from muxlearn.box._student import make_student, read_parts, read_points, write_parts
from muxlearn.points import Point
from tests.box.test_training import teacher  # noqa: F401  (a fixture)

POINTS = (Point(1, 1), Point(1, 2))


@pytest.fixture
def student(teacher):  # noqa: F811
    return make_student(teacher, POINTS)


def write(student, folder, bias, most_bytes=20_000):
    torch.nn.init.constant_(student.head.bias, bias)
    write_parts(student, folder, POINTS, 7, most_bytes)


def test_parts_are_joined(student, tmp_path):
    write(student, tmp_path, 1.0)
    assert len(list(tmp_path.glob("encoder.safetensors.*"))) > 2
    assert read_points(tmp_path) == POINTS
    assert read_parts(tmp_path).head.bias.eq(1).all()


def test_parts_of_a_former_larger_checkpoint_are_left_alone(student, tmp_path):
    write(student, tmp_path, 1.0)
    write(student, tmp_path, 2.0, most_bytes=40_000)
    assert read_parts(tmp_path).head.bias.eq(2).all()


@pytest.mark.parametrize("n_moved", [0, 1])
def test_a_process_that_ends_between_two_files_leaves_the_new_ones(student, tmp_path, n_moved):
    former, new = tmp_path / "former", tmp_path / "new"
    write(student, former, 1.0)
    write(student, new, 2.0)
    committed = former / ".muxlearn-committed"
    shutil.copytree(new, committed)
    for number in range(n_moved):
        name = f"encoder.safetensors.{number:02d}"
        (committed / name).replace(former / name)
    assert read_parts(former).head.bias.eq(2).all()


def test_a_missing_part_is_named(student, tmp_path):
    write(student, tmp_path, 1.0)
    (tmp_path / "encoder.safetensors.01").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no encoder\.safetensors\.01; python -m"):
        read_parts(tmp_path)
